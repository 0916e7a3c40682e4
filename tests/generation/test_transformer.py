"""Properties of the transformer at toy size."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.toys import CHANNELS, TEXT_WIDTH, TOKENS, make_transformer, randomise
from woosh.generation.flow import flow_loss, linear_velocity
from woosh.generation.layers import ROTARY_BASE, attend, rotary_frequencies, rotary_table, rotate
from woosh.generation.transformer import Condition, WooshTransformer

TOY = {
    "latent_channels": 6,
    "text_width": 10,
    "text_tokens": 5,
    "width": 32,
    "inner_width": 48,
    "joint_blocks": 2,
    "fused_blocks": 2,
    "heads": 2,
    "rotary_channels": 12,
    "max_frames": 20,
    "time_features": 16,
    "rotary_factor": 1.0,
    "patch_size": 2,
}
FLOW_MAP = {"flow_map": True}
VIDEO = {"video_channels": 7}
SKIP = {"linear_skip": True}
SUMMARY = {"summary": True}
RELEASED = {"released_positions": True, "patch_size": 1, "rotary_factor": 40.0}
KINDS = [{}, SKIP, SUMMARY, FLOW_MAP, VIDEO, FLOW_MAP | VIDEO, RELEASED, RELEASED | VIDEO]


def build(**options: object) -> WooshTransformer:
    """A toy network whose zero-initialised layers hold numbers as well."""
    model = WooshTransformer(**TOY | options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def inputs(batch: int = 2, frames: int = 9) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, TOY["latent_channels"], frames), torch.linspace(0.1, 0.9, batch)


def prompt(batch: int = 2) -> tuple[Tensor, Tensor]:
    text = torch.randn(batch, TOY["text_tokens"], TOY["text_width"])
    return text, (torch.arange(TOY["text_tokens"]) < 3).expand(batch, -1)


def prepare(model: WooshTransformer, batch: int = 2) -> Condition:
    video = torch.randn(batch, 4, 7) if model.video_in is not None else None
    told = torch.arange(float(batch)) if model.prompt_summary is not None else None
    return model.prepare(*prompt(batch), video, told)


def run(model: WooshTransformer, latents: Tensor, time: Tensor, condition: Condition) -> Tensor:
    if model.flow_map_embedding is None:
        return model(latents, time, condition)
    return model(latents, time, condition, next_time=time / 2, guidance=3 + time)


@pytest.mark.parametrize("options", KINDS)
def test_saved_and_loaded_network_is_the_same(options: dict, tmp_path: Path) -> None:
    model = build(**options)
    model.save_pretrained(tmp_path)
    loaded = WooshTransformer.from_pretrained(tmp_path)
    assert {name: loaded.config[name] for name in TOY | options} == TOY | options
    latents, time = inputs()
    condition = prepare(model)
    assert run(loaded, latents, time, condition).equal(run(model, latents, time, condition))


@pytest.mark.parametrize("options", KINDS)
def test_a_clip_does_not_depend_on_its_batch(options: dict) -> None:
    model = build(**options)
    latents, time = inputs(3)
    condition = prepare(model, 3)
    together = run(model, latents, time, condition)
    for clip in range(3):
        one = slice(clip, clip + 1)
        parts = (condition.text, condition.video, condition.summary)
        own = Condition(*(None if part is None else part[one] for part in parts))
        torch.testing.assert_close(run(model, latents[one], time[one], own), together[one])


@pytest.mark.parametrize("options", KINDS)
def test_every_parameter_gets_a_gradient(options: dict) -> None:
    model = build(**options)
    latents, time = inputs()
    log_variance = model.log_variance(time, time / 2 if model.flow_map_embedding else None)
    velocity = run(model, latents, time, prepare(model))
    flow_loss(velocity, torch.randn_like(velocity), log_variance=log_variance).backward()
    unused = model.UNUSED_IN_FLOW_MAP if model.flow_map_embedding else ()
    for name, parameter in model.named_parameters():
        learns = parameter.grad is not None and parameter.grad.abs().sum() > 0
        assert learns != name.startswith(unused), name


def test_the_skip_adds_the_linear_guess() -> None:
    torch.manual_seed(0)
    plain = build()
    skipping = WooshTransformer(**TOY | SKIP).eval()
    skipping.load_state_dict(plain.state_dict())
    latents, time = inputs()
    condition = prepare(plain)
    torch.testing.assert_close(
        run(skipping, latents, time, condition),
        run(plain, latents, time, condition) + linear_velocity(latents, time),
    )


def test_the_skip_knows_each_channels_deviation() -> None:
    deviations = torch.linspace(0.3, 4.0, TOY["latent_channels"])
    told = WooshTransformer(**TOY | SKIP, latent_deviations=deviations.tolist()).eval()
    latents, time = inputs()
    # A new network says nothing of its own.
    velocity = run(told, latents, time, told.prepare(*prompt()))
    torch.testing.assert_close(velocity, linear_velocity(latents, time, deviations[:, None]))


def test_the_length_is_heard_and_may_be_unknown() -> None:
    model = build(**SUMMARY)
    (text, mask), (latents, time) = prompt(), inputs()
    velocities = [
        run(model, latents, time, model.prepare(text, mask, None, seconds))
        for seconds in (None, torch.zeros(2), torch.tensor([0.3, 0.3]), torch.tensor([4.0, 0.0]))
    ]
    unknown, zero, short, mixed = velocities
    assert unknown.equal(zero)
    assert not torch.allclose(short, zero, atol=1e-3)
    assert not torch.allclose(mixed[0], short[0], atol=1e-3) and torch.allclose(mixed[1], zero[1])


def test_padding_takes_no_part_in_the_summary() -> None:
    model = build(**SUMMARY)
    text, mask = prompt()
    spoilt = torch.where(mask[..., None].bool(), text, 100.0)
    first, second = model.prepare(text, mask).summary, model.prepare(spoilt, mask).summary
    assert first is not None and second is not None and first.equal(second)


def test_training_starts_at_velocity_zero_and_moves() -> None:
    model = WooshTransformer(**TOY)
    latents, time = inputs()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    target = torch.randn_like(latents)
    losses = []
    for _ in range(30):
        velocity = run(model, latents, time, model.prepare(*prompt()))
        losses.append(flow_loss(velocity, target))
        losses[-1].backward()
        optimiser.step()
        optimiser.zero_grad()
    torch.testing.assert_close(losses[0], target.square().mean())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("patch_size", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 7, 40])
def test_output_has_the_shape_of_the_latents(patch_size: int, frames: int) -> None:
    model = build(patch_size=patch_size)
    latents, time = inputs(frames=frames)
    assert run(model, latents, time, prepare(model)).shape == latents.shape


def test_patches_are_cut_and_joined_without_loss() -> None:
    model = build(patch_size=3)
    latents, _ = inputs(frames=10)
    patches = model.to_patches(latents)
    assert patches.shape == (2, 4, 18)
    assert patches[0, 1, 6:12].equal(latents[0, :, 4])
    assert model.from_patches(patches, 10).equal(latents)


def test_more_frames_than_the_table_has_are_refused() -> None:
    model = build()
    with pytest.raises(ValueError, match="41 latent frames; this network takes 1 to 40"):
        run(model, *inputs(frames=41), prepare(model))


def test_text_at_padded_positions_is_not_seen() -> None:
    model = build()
    text, mask = prompt()
    spoilt = torch.where(mask[..., None], text, torch.tensor(1e3))
    assert model.prepare(spoilt, mask).text.equal(model.prepare(text, mask).text)


def test_text_is_seen() -> None:
    model = build()
    latents, time = inputs()
    text, mask = prompt()
    one, other = (run(model, latents, time, model.prepare(t, mask)) for t in (text, text.flip(1)))
    assert not torch.allclose(one, other)


def test_no_video_is_one_zero_feature() -> None:
    model = build(**VIDEO)
    text, mask = prompt()
    nothing = model.prepare(text, mask).video
    assert nothing is not None and nothing.equal(torch.zeros(2, 1, TOY["width"]))
    assert model.prepare(text, mask, torch.zeros(2, 1, 7)).video.equal(nothing)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 337_238_145),
        (FLOW_MAP, 344_649_218),
        ({"video_channels": 768}, 413_578_881),
        (FLOW_MAP | {"video_channels": 768}, 420_989_954),
    ],
)
def test_released_sizes(options: dict, count: int) -> None:
    with torch.device("meta"):
        model = WooshTransformer(**options)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_yarn_scales_the_slow_pairs_of_the_released_table() -> None:
    pairs = torch.arange(56)
    plain = ROTARY_BASE ** (-2 * pairs / 128)
    ratio = rotary_frequencies(128, 112, 501, 40.0)[:56] / plain
    torch.testing.assert_close(ratio[:7], torch.ones(7))
    assert ratio[18] == pytest.approx(0.532, abs=1e-3)
    torch.testing.assert_close(ratio[31:], torch.full((25,), 0.025))
    torch.testing.assert_close(rotary_frequencies(128, 112, 501, 1.0)[:56], plain)
    assert not rotary_frequencies(128, 112, 501, 40.0)[56:].any()


def test_rotation_turns_adjacent_pairs_and_sees_distances_only() -> None:
    frequencies = rotary_frequencies(16, 12, 20, 1.0)
    heads = torch.randn(1, 1, 2, 16)

    def turned(position: float) -> Tensor:
        return rotate(heads, rotary_table(torch.tensor([position]), frequencies))

    angle = 3 * frequencies[1]
    first, second = heads[0, 0, 0, 2], heads[0, 0, 0, 3]
    torch.testing.assert_close(turned(3)[0, 0, 0, 2], first * angle.cos() - second * angle.sin())
    torch.testing.assert_close((turned(3) * turned(7)).sum(), (turned(11) * turned(15)).sum())
    assert turned(9)[..., 12:].equal(heads[..., 12:])


def test_rotation_is_a_complex_product_with_a_table_of_real_numbers() -> None:
    """Graphs of other programs have no complex numbers: the table must do without, and mean the same."""
    frequencies, positions = rotary_frequencies(16, 12, 20, 40.0), torch.arange(9) * 7.5
    heads = torch.randn(2, 9, 3, 16)
    table = rotary_table(positions, frequencies)
    assert table.shape == (9, 1, 8, 2) and not table.is_complex()
    angles = (positions[:, None] * frequencies)[:, None]
    pairs = torch.view_as_complex(heads.unflatten(-1, (-1, 2)))
    expected = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
    torch.testing.assert_close(rotate(heads, table), expected, rtol=0, atol=1e-6)


def test_positions_of_audio_text_and_video() -> None:
    model = build(patch_size=2, **VIDEO)
    joint, fused = model.positions(audio=4, text=2, video=3, device=torch.device("cpu"))
    expected = torch.tensor([20, 0, 2, 4, 0, 0, 0, 100 / 24, 200 / 24])
    torch.testing.assert_close(joint, expected)
    assert fused.equal(joint)


@pytest.mark.parametrize(
    ("frames", "video", "text_positions", "video_positions"),
    [
        (501, 0, torch.arange(501, 578), torch.empty(0)),
        (801, 192, torch.arange(801, 878), torch.cat((torch.arange(878, 1002), torch.zeros(68)))),
    ],
)
def test_released_positions_of_fused_blocks(
    frames: int, video: int, text_positions: Tensor, video_positions: Tensor
) -> None:
    with torch.device("meta"):
        model = WooshTransformer(released_positions=True)
    joint, fused = model.positions(1 + frames, 77, video, torch.device("cpu"))
    audio = torch.cat((torch.tensor([501]), torch.arange(frames)))
    text_and_video = torch.cat((torch.zeros(77), torch.arange(video) * 100 / 24))
    torch.testing.assert_close(joint, torch.cat((audio, text_and_video)))
    torch.testing.assert_close(fused, torch.cat((audio, text_positions, video_positions)))


@pytest.mark.parametrize("options", KINDS)
def test_half_precision_stays_near_float32(options: dict) -> None:
    model = build(**options)
    latents, time = inputs()
    condition = prepare(model)
    expected = run(model, latents, time, condition)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = run(model, latents, time, condition)
    half = model.to(torch.bfloat16)
    parts = (condition.text, condition.video, condition.summary)
    low = Condition(*(None if part is None else part.bfloat16() for part in parts))
    for result in (mixed, run(half, latents, time, low)):
        assert result.dtype == torch.float32
        assert (result - expected).norm() < 0.05 * expected.norm()


def test_attention_in_training_is_the_one_of_inference() -> None:
    query, key, value = torch.randn(3, 2, 9, 2, 16)
    table = rotary_table(torch.arange(9), rotary_frequencies(16, 12, 20, 1.0))
    fused = attend(query, key, value.bfloat16(), table)
    explicit = attend(query, key, value.bfloat16().requires_grad_(), table)
    assert (explicit - fused).float().norm() < 0.02 * fused.float().norm()


def test_arguments_that_do_not_fit_are_refused() -> None:
    model, student = build(), build(**FLOW_MAP)
    latents, time = inputs()
    text, mask = prompt()
    condition = model.prepare(text, mask)
    with pytest.raises(ValueError, match=r"latents must be \(B, 6, T\)"):
        model(latents[:, :5], time, condition)
    with pytest.raises(ValueError, match="2 latents need"):
        model(latents, time[:1], condition)
    with pytest.raises(ValueError, match="flow-map networks only"):
        model(latents, time, condition, next_time=time)
    with pytest.raises(ValueError, match="needs next_time and guidance"):
        student(latents, time, condition, next_time=time)
    with pytest.raises(ValueError, match="next_time"):
        model.log_variance(time, time)
    with pytest.raises(ValueError, match="next_time"):
        student.log_variance(time)
    with pytest.raises(ValueError, match=r"text must be \(B, 5, 10\)"):
        model.prepare(text[:, :4], mask[:, :4])
    with pytest.raises(ValueError, match="no video stream"):
        model.prepare(text, mask, torch.zeros(2, 4, 7))
    with pytest.raises(ValueError, match="K from 1 to 40"):
        build(**VIDEO).prepare(text, mask, torch.zeros(2, 41, 7))
    with pytest.raises(ValueError, match="not told lengths"):
        model.prepare(text, mask, None, torch.ones(2))
    with pytest.raises(ValueError, match=r"sound_seconds must be \(2,\)"):
        build(**SUMMARY).prepare(text, mask, None, torch.ones(3))


@pytest.mark.parametrize(
    "options",
    [
        {"heads": 5},
        {"rotary_channels": 18},
        {"released_positions": True, "patch_size": 2},
        {"latent_deviations": [1.0, 2.0]},
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        WooshTransformer(**TOY | options)


def test_features_are_the_audio_tokens_that_the_last_layer_reads() -> None:
    """The inner view and `forward` are two ways through the same blocks: they must agree to the bit."""
    model = randomise(make_transformer(), 2)
    latents, time = torch.randn(2, CHANNELS, 9), torch.tensor([0.3, 0.8])
    condition = model.prepare(torch.randn(2, TOKENS, TEXT_WIDTH), torch.ones(2, TOKENS))
    first, last = model.features(latents, time, condition, (0, 1))
    assert first.shape == last.shape == (2, 1 + 5, 32) and not first.equal(last)
    patches = model.final(last[:, 1:], model.embed_times(time))
    assert model.from_patches(patches, 9).equal(model(latents, time, condition))
    (alone,) = model.features(latents, time, condition, (0,))
    assert alone.equal(first)


@pytest.mark.parametrize("blocks", [(), (2,), (-1,)])
def test_features_of_a_block_that_is_not_there_are_refused(blocks: tuple[int, ...]) -> None:
    model = randomise(make_transformer(), 2)
    condition = model.prepare(torch.zeros(1, TOKENS, TEXT_WIDTH), torch.ones(1, TOKENS))
    with pytest.raises(ValueError, match="this network has 0 to 1"):
        model.features(torch.zeros(1, CHANNELS, 4), torch.ones(1), condition, blocks)


def test_rotary_frequencies_need_a_factor() -> None:
    """Positions were divided by it, at the first sound."""
    with pytest.raises(ValueError, match="rotary_factor is 0; it must be above 0"):
        WooshTransformer(width=32, heads=2, rotary_channels=16, rotary_factor=0)
