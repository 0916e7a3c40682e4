"""The pipeline: lengths, seeds, guidance, few-step models, refusals; on real classes at toy size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.paths import ROOT
from tests.toys import CHANNELS, make_autoencoder, make_pipeline
from woosh.catalogue import find_model
from woosh.generation.flow import guide
from woosh.generation.loading import load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.sampling import noise_streams
from woosh.generation.solvers import multistep, uniform_times
from woosh.training.autoencoder.magnitudes import add_magnitude_channels

RATE = 48_000


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generate(pipeline: WooshPipeline, prompt: Any = "a dog", **options: Any) -> np.ndarray:
    """Audio (B, 1, S) of 0.2 s from seed 0, unless told otherwise."""
    return pipeline(prompt, **{"seconds": 0.2, "generator": seeded(0), **options}).audios


@pytest.fixture(scope="module")
def pipeline() -> WooshPipeline:
    return make_pipeline()


@pytest.fixture(scope="module")
def few_step() -> WooshPipeline:
    return make_pipeline(flow_map=True)


@pytest.mark.parametrize("seconds", [0.5, 5, 10])
def test_length_is_exact_and_sound_lasts_to_the_end(
    pipeline: WooshPipeline, seconds: float
) -> None:
    audio = generate(pipeline, seconds=seconds, num_inference_steps=1)
    assert audio.shape == (1, 1, round(seconds * RATE))
    assert audio.dtype == np.float32
    assert audio[..., -RATE // 10 :].std() > 0.1 * audio.std()


@given(st.floats(1 / RATE, 0.3))
@settings(max_examples=15)
def test_any_length_gives_that_many_samples(seconds: float) -> None:
    audio = generate(SHARED_TOY, seconds=seconds, num_inference_steps=1)
    assert audio.shape[-1] == round(seconds * RATE)


SHARED_TOY = make_pipeline()


def with_magnitude_channels(channels: int) -> WooshPipeline:
    pipeline, clips = make_pipeline(), torch.randn(2, 1, 4800, generator=seeded(7))
    autoencoder = add_magnitude_channels(make_autoencoder(), channels, clips)
    torch.nn.init.normal_(autoencoder.decoder.backbone.embed.weight, std=0.02)
    pipeline.register_modules(autoencoder=autoencoder)
    return pipeline


def test_magnitude_channels_are_generated_and_decoded_alone(tmp_path: Path) -> None:
    pipeline = with_magnitude_channels(CHANNELS)
    sound = generate(pipeline, ["a dog", "rain"], seconds=0.205)
    assert sound.shape == (2, 1, round(0.205 * RATE)) and sound.std() > 0
    latents = pipeline(["a dog"], seconds=0.205, generator=seeded(0), output_type="latent").audios
    assert latents.shape == (1, CHANNELS, 22)
    assert np.array_equal(sound[:1], generate(pipeline, seconds=0.205))
    pipeline.save_pretrained(tmp_path)
    again = WooshPipeline.from_pretrained(tmp_path)
    assert np.array_equal(sound, generate(again, ["a dog", "rain"], seconds=0.205))


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="makes 8 latent channels, the autoencoder decodes 3"):
        generate(with_magnitude_channels(3))


def test_latents_follow_the_length(pipeline: WooshPipeline) -> None:
    latents = generate(pipeline, output_type="latent", seconds=0.205)
    assert latents.shape == (1, CHANNELS, 1 + 21)


def test_longer_sounds_are_made_in_windows(pipeline: WooshPipeline) -> None:
    assert pipeline.longest == pytest.approx(10.01)
    with pytest.raises(
        ValueError, match="601 seconds are too long: up to 600 s are made at a time"
    ):
        generate(pipeline, seconds=601)
    short = make_pipeline(max_frames=60)
    assert short.longest == pytest.approx(1.19)
    whole = generate(short, seconds=3, num_inference_steps=2)
    assert whole.shape[-1] == 3 * 48_000
    # With one velocity for all windows, windows would change nothing; here each sees its own part only.
    at_once = generate(make_pipeline(max_frames=200), seconds=3, num_inference_steps=2)
    assert not np.allclose(whole, at_once, atol=1e-4)
    adaptive = generate(short, seconds=2, num_inference_steps=None, solver="dopri5")
    assert adaptive.shape[-1] == 2 * 48_000


def test_other_seed_prompt_and_negative_prompt_change_the_sound(pipeline: WooshPipeline) -> None:
    sound = generate(pipeline)
    assert np.array_equal(sound, generate(pipeline))
    for options in (
        {"generator": seeded(1)},
        {"prompt": "rain"},
        {"negative_prompt": "rain"},
        {"guidance_scale": 2.0},
        {"num_inference_steps": 4},
    ):
        assert not np.array_equal(sound, generate(pipeline, **options)), options


@pytest.mark.parametrize("flow_map", [False, True])
def test_same_seed_same_bits_whatever_else_is_in_the_batch(flow_map: bool) -> None:
    pipeline = make_pipeline(flow_map)
    alone = generate(pipeline, "rain", generator=seeded(7), num_inference_steps=4)
    generators = [seeded(3), seeded(7), seeded(4)]
    prompts = ["a dog", "rain", "a much longer prompt about sea waves"]
    batch = generate(pipeline, prompts, generator=generators, num_inference_steps=4)
    assert np.array_equal(batch[1], alone[0])
    first = generate(
        pipeline, "rain", generator=seeded(7), num_inference_steps=4, num_waveforms_per_prompt=3
    )
    assert np.array_equal(first[0], alone[0])
    assert not np.array_equal(first[1], first[0])
    assert not np.array_equal(first[1], first[2])


def test_same_bits_in_a_batch_with_dopri5(pipeline: WooshPipeline) -> None:
    alone = generate(pipeline, "rain", solver="dopri5", generator=seeded(7))
    batch = generate(pipeline, ["sea", "rain"], solver="dopri5", generator=[seeded(1), seeded(7)])
    assert np.array_equal(batch[1], alone[0])


def test_dopri5_agrees_with_fine_euler(pipeline: WooshPipeline) -> None:
    adaptive = generate(pipeline, solver="dopri5", output_type="latent", seconds=0.1)
    fine = generate(pipeline, num_inference_steps=400, output_type="latent", seconds=0.1)
    coarse = generate(pipeline, num_inference_steps=2, output_type="latent", seconds=0.1)
    error = (adaptive - fine).abs().max() / fine.abs().max()
    assert error < 0.02
    assert error < 0.2 * (adaptive - coarse).abs().max() / fine.abs().max()


def test_a_generator_goes_on_where_it_stopped(pipeline: WooshPipeline) -> None:
    generator = seeded(0)
    first = generate(pipeline, generator=generator, num_waveforms_per_prompt=2)
    second = generate(pipeline, generator=generator, num_waveforms_per_prompt=2)
    sounds = [*first, *second]
    assert all(not np.array_equal(sounds[i], sounds[j]) for i in range(4) for j in range(i))


def test_no_generator_means_fresh_noise_and_leaves_the_global_state_alone(
    pipeline: WooshPipeline,
) -> None:
    before = torch.get_rng_state()
    first, second = (generate(pipeline, generator=None) for _ in range(2))
    assert not np.array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_of_several_sounds_do_not_overlap() -> None:
    streams = noise_streams(Request("a dog", sounds_per_prompt=3, generator=seeded(0)))
    noise = [torch.randn(1000, generator=stream) for stream in streams]
    assert torch.equal(noise[0], torch.randn(1000, generator=seeded(0)))
    correlation = torch.corrcoef(torch.stack(noise))
    assert (correlation - torch.eye(3)).abs().max() < 0.15


@pytest.mark.parametrize("start", [1.0, 0.6])
def test_result_is_the_solver_on_the_guided_velocity(start: float) -> None:
    pipeline = make_pipeline()
    pipeline.register_to_config(guidance_start=start)
    transformer = pipeline.transformer
    noise = torch.randn((1, CHANNELS, 21), generator=seeded(0))

    with torch.no_grad():
        text, mask = pipeline.sampler.embed_text(["a dog", "rain"])
        conditional, unconditional = (
            transformer.prepare(text[row, None], mask[row, None]) for row in range(2)
        )

        def velocity(latents: Tensor, time: Tensor) -> Tensor:
            return guide(
                transformer(latents, time, conditional),
                transformer(latents, time, unconditional),
                3.0 if time.item() <= start else 1.0,
            )

        expected = multistep(velocity, noise, uniform_times(4))
    options = {"guidance_scale": 3.0, "num_inference_steps": 4, "output_type": "latent"}
    latents = generate(pipeline, negative_prompt="rain", **options)
    assert (latents - expected).abs().max() < 1e-4 * expected.abs().max()


def test_guidance_one_is_the_conditional_velocity_alone(pipeline: WooshPipeline) -> None:
    batches = []
    hook = pipeline.transformer.register_forward_hook(
        lambda _module, arguments, _output: batches.append(len(arguments[0]))
    )
    plain = generate(pipeline, guidance_scale=1.0)
    guided = generate(pipeline, guidance_scale=1.0 + 1e-6)
    hook.remove()
    assert batches == [1, 1, 1, 2, 2, 2]
    assert np.abs(plain - guided).max() < 1e-3 * np.abs(plain).max()
    ignored = generate(pipeline, guidance_scale=1.0, negative_prompt="rain")
    assert np.array_equal(ignored, plain)


def test_text_is_embedded_once_per_call(pipeline: WooshPipeline) -> None:
    calls = []
    hook = pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    generate(pipeline, ["a dog", "rain", "a dog"], num_waveforms_per_prompt=2)
    hook.remove()
    assert len(calls) == 3  # a dog, rain and the empty text


def test_order_and_number_of_sounds(pipeline: WooshPipeline) -> None:
    generators = [seeded(seed) for seed in (0, 1, 2, 3)]
    batch = generate(pipeline, ["a dog", "rain"], generator=generators, num_waveforms_per_prompt=2)
    assert batch.shape == (4, 1, 9600)
    assert np.array_equal(batch[1], generate(pipeline, "a dog", generator=seeded(1))[0])
    assert np.array_equal(batch[2], generate(pipeline, "rain", generator=seeded(2))[0])


def test_one_negative_prompt_for_each_prompt(pipeline: WooshPipeline) -> None:
    generators = [seeded(0), seeded(1)]
    batch = generate(
        pipeline, ["a dog", "rain"], negative_prompt=["sea", "fire"], generator=generators
    )
    alone = generate(pipeline, "rain", negative_prompt="fire", generator=seeded(1))
    assert np.array_equal(batch[1], alone[0])


def test_loud_audio_is_scaled_to_one_and_quiet_audio_left_alone() -> None:
    loud = generate(make_pipeline(gain=6.0))
    assert 0.9999 < np.abs(loud).max() <= 1
    assert np.mean(np.abs(loud) > 0.99) < 0.01  # scaled, not clipped
    quiet = make_pipeline()
    latents = generate(quiet, output_type="latent")
    with torch.no_grad():
        assert np.array_equal(quiet.autoencoder.decode(latents).numpy(), generate(quiet))


def test_output_types_agree(pipeline: WooshPipeline) -> None:
    tensor = generate(pipeline, output_type="pt")
    assert isinstance(tensor, Tensor)
    assert np.array_equal(tensor.numpy(), generate(pipeline, output_type="np"))


def test_callback_sees_every_step_and_may_replace_the_latents(pipeline: WooshPipeline) -> None:
    seen = []

    def watch(owner: WooshPipeline, step: int, time: float, tensors: dict[str, Tensor]) -> None:
        seen.append((owner is pipeline, step, round(time, 6), tuple(tensors["latents"].shape)))

    watched = generate(pipeline, num_inference_steps=4, callback_on_step_end=watch)
    assert seen == [(True, i, 1 - (i + 1) / 4, (1, CHANNELS, 21)) for i in range(4)]
    assert np.array_equal(watched, generate(pipeline, num_inference_steps=4))

    zeros = generate(
        pipeline,
        callback_on_step_end=lambda _p, _i, _t, tensors: {"latents": 0 * tensors["latents"]},
        output_type="latent",
    )
    assert not zeros.any()


def test_few_step_model_embeds_guidance_and_takes_four_steps(few_step: WooshPipeline) -> None:
    batches = []
    hook = few_step.transformer.register_forward_hook(
        lambda _module, arguments, _output: batches.append(arguments[4].tolist())
    )
    sound = generate(few_step)
    hook.remove()
    assert batches == [[4.5]] * 4
    assert not np.array_equal(sound, generate(few_step, guidance_scale=2.0))
    assert not np.array_equal(sound, generate(few_step, guidance_scale=1.0))


def test_few_step_guidance_has_an_offset_and_a_range(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = make_pipeline(flow_map=True)
    plain = generate(pipeline, guidance_scale=3.0)
    pipeline.register_to_config(guidance_offset=-1.0, guidance_range=[1.0, 8.0])
    assert np.array_equal(plain, generate(pipeline, guidance_scale=4.0))
    assert caplog.messages == []
    beyond = generate(pipeline, guidance_scale=9.0)
    assert caplog.messages == [
        "guidance 9 is outside of 1 to 8, which this model was taught: it guesses"
    ]
    assert not np.array_equal(beyond, generate(pipeline, guidance_scale=8.0))  # it is not clipped


def test_steps_lead_through_the_times_asked_for(few_step: WooshPipeline) -> None:
    pipeline = make_pipeline()
    for model in (pipeline, few_step):
        equal = generate(model, num_inference_steps=4)
        assert np.array_equal(equal, generate(model, times=[1, 0.75, 0.5, 0.25, 0]))
        assert not np.array_equal(equal, generate(model, times=[1, 0.9, 0.5, 0.1, 0]))
    for steps in range(1, 17):
        assert np.isfinite(generate(few_step, num_inference_steps=steps)).all()


def test_renoise_is_the_released_unless_asked_for_otherwise() -> None:
    few_step = make_pipeline(flow_map=True)
    released = generate(few_step)
    assert np.array_equal(released, generate(few_step, renoise=[0, 0.5, 0.5, 0.3]))
    none = generate(few_step, renoise=[0, 0, 0, 0])
    assert not np.array_equal(released, none)
    few_step.register_to_config(renoise_scale=0.0)
    assert np.array_equal(none, generate(few_step))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"negative_prompt": "rain"},
            "take no negative prompt: leave it out, or take .* woosh-small",
        ),
        ({"solver": "dopri5"}, "own solver: leave it out"),
        ({"renoise": [0, 0.5]}, "renoise must be 4 weights"),
        ({"renoise": [0, -1, 0, 0]}, "renoise must be weights of 0 or more"),
    ],
)
def test_few_step_refusals(few_step: WooshPipeline, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(few_step, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": []}, "prompt must be a text or several"),
        ({"prompt": [1]}, "prompt must be a text or several"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt must be a text or 1"),
        ({"negative_prompt": [None]}, "negative_prompt must be a text or 1"),
        ({"seconds": 0}, "above 0"),
        ({"seconds": -1}, "above 0"),
        ({"seconds": float("nan")}, "above 0"),
        ({"seconds": float("inf")}, "above 0"),
        ({"seconds": 1e-6}, "shorter than one sample"),
        ({"num_inference_steps": 0}, "1 or more"),
        ({"num_inference_steps": 2.5}, "1 or more"),
        ({"guidance_scale": -1}, "from 0 to 1000"),
        ({"guidance_scale": float("nan")}, "from 0 to 1000"),
        ({"num_waveforms_per_prompt": 0}, "1 or more"),
        ({"solver": "heun"}, "multistep, euler, dopri5 or learned"),
        ({"solver": "dopri5", "num_inference_steps": 9}, "its own steps"),
        ({"solver": "dopri5", "callback_on_step_end": print}, "its own steps"),
        ({"output_type": "wav"}, "np, pt or latent"),
        ({"renoise": [0]}, "few-step models"),
        ({"times": [1, 0.5, 0], "num_inference_steps": 2}, "leave out the number of steps"),
        ({"times": [1, 0.5]}, "fall from 1 to 0"),
        ({"times": [0.9, 0]}, "fall from 1 to 0"),
        ({"times": [1, 0.2, 0.5, 0]}, "fall from 1 to 0"),
        ({"times": [1, float("nan"), 0]}, "fall from 1 to 0"),
        ({"times": [1, 0], "solver": "dopri5"}, "its own steps"),
        ({"generator": [seeded(0), seeded(1)]}, "2 generators for 1 sounds"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    pipeline: WooshPipeline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        generate(pipeline, **options)


def test_audio_that_is_not_finite_is_an_error() -> None:
    pipeline = make_pipeline()
    with torch.no_grad():
        pipeline.transformer.final.linear.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite.*use float32 or bfloat16"):
        generate(pipeline)


@pytest.mark.parametrize("flow_map", [False, True])
def test_saved_and_loaded_pipeline_gives_the_same_bits(tmp_path: Path, flow_map: bool) -> None:
    pipeline = make_pipeline(flow_map)
    pipeline.register_to_config(guidance_start=0.7)
    pipeline.save_pretrained(tmp_path)
    loaded = WooshPipeline.from_pretrained(tmp_path, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.config.default_steps == pipeline.config.default_steps
    assert loaded.config.guidance_start == load_sampler(tmp_path).settings.guidance_start == 0.7
    # Mapped weights begin anywhere in memory, where some processors' products round otherwise.
    assert np.array_equal(generate(loaded, "犬 barking"), generate(pipeline, "犬 barking"))


def test_a_built_in_model_gives_the_same_bits_from_its_own_file_and_from_a_saved_one(
    tmp_path: Path,
) -> None:
    """Built-in weights are unpacked into memory, saved ones were read where they lay: their sounds were 59 dB apart."""
    built_in = load_sampler(find_model("woosh-tiny-fast"))
    WooshPipeline.from_pretrained("woosh-tiny-fast").save_pretrained(tmp_path)
    request = Request("rain", seconds=0.5, seed=3)
    sound = built_in(request)
    assert torch.equal(sound, load_sampler(tmp_path)(request))
    saved = WooshPipeline.from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(sound, saved.sampler(request))


@pytest.mark.parametrize("name", ["woosh-small", "woosh-tiny-fast"])
def test_another_number_of_threads_changes_little(name: str) -> None:
    """What the guide says of threads: latents differ in their last digits, and the bands of the sound hardly at all."""
    model, hearing = load_sampler(find_model(name)), load_sampler(find_model("woosh-small"))
    request = Request("rain", seconds=0.5, seed=3, steps=4)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        latents = model.latents(request)
        sound = model.decode(latents)
        torch.set_num_threads(3)
        others = model.latents(request)
        other_sound = model.decode(others)
        assert torch.equal(model.decode(others), other_sound)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(others, latents, rtol=0, atol=1e-4)
    decibels = 10 * (hearing.autoencoder.levels(sound) - hearing.autoencoder.levels(other_sound))
    assert decibels.abs().mean() < 0.2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_disk_and_in_memory(tmp_path: Path, dtype: torch.dtype) -> None:
    pipeline = make_pipeline()
    expected = generate(pipeline)
    pipeline.to(dtype).save_pretrained(tmp_path)
    for wanted in (torch.float32, dtype):
        loaded = WooshPipeline.from_pretrained(
            tmp_path, dtype={"default": torch.float32, "transformer": wanted}
        )
        loaded.set_progress_bar_config(disable=True)
        assert loaded.transformer.dtype == wanted
        assert loaded.autoencoder.dtype == torch.float32
        audio = generate(loaded)
        assert audio.dtype == np.float32
        assert np.abs(audio - expected).max() < 0.3 * np.abs(expected).max()


@pytest.mark.gpu
def test_same_noise_on_an_accelerator() -> None:
    on_cpu = generate(make_pipeline(), ["a dog", "rain"])
    device = torch.accelerator.current_accelerator()
    on_device = generate(make_pipeline().to(device), ["a dog", "rain"])
    assert np.abs(on_cpu - on_device).max() < 1e-2 * np.abs(on_cpu).max()


def test_a_folder_saved_by_version_0_7_still_loads_and_sounds_the_same() -> None:
    """Its index names modules that have moved since (`woosh.text`, ...); its solver was Euler's."""
    folder = ROOT / "tests" / "fixtures" / "woosh-0.7"
    assert "woosh.transformer" in (folder / "model_index.json").read_text()
    pipeline = WooshPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(3)
    sound = pipeline("a dog barking", seconds=0.05, generator=generator, solver="euler")
    expected = load_file(folder / "sound.safetensors")["audio"]
    torch.testing.assert_close(torch.from_numpy(sound.audios), expected, rtol=0, atol=1e-4)


def test_a_saved_folder_names_no_module_that_may_move(tmp_path: Path) -> None:
    make_pipeline().save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    homes = {index[part][0] for part in ("autoencoder", "transformer", "text_encoder")}
    assert homes == {"woosh"}


def test_a_built_in_model_is_loaded_by_its_name() -> None:
    """The tests forbid the hub: a name that were looked up there would fail."""
    pipeline = WooshPipeline.from_pretrained("woosh-tiny-fast", dtype=torch.float32)
    assert pipeline.few_step and pipeline.sample_rate == 48_000


def test_a_plain_part_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    """It would play with random numbers in its place."""
    make_pipeline().save_pretrained(tmp_path)
    (path,) = (tmp_path / "transformer").glob("*.safetensors")
    tensors = load_file(path)
    del tensors["final.linear.bias"]
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"final\.linear\.bias is missing"):
        WooshPipeline.from_pretrained(tmp_path)
