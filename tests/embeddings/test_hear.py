"""The HEAR interface: sizes, time stamps, windows against a direct computation, and every length."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from woosh.embeddings import hear
from woosh.embeddings.ears import passt_ear
from woosh.embeddings.hear import (
    RECIPES,
    HearModel,
    get_scene_embeddings,
    get_timestamp_embeddings,
    load_model,
    reflect,
)
from woosh.taggers.passt import Passt
from woosh.taggers.passt_weights import RELEASES, VARIANTS, Variant

TOY = {"width": 16, "depth": 1, "heads": 2, "classes": 5}
SIZE = 16 + 5
PUBLISHED_SIZES = {
    "base": 1295,
    "two-levels": 2590,
    "two-levels-mel": 3358,
    "hop160": 1295,
    "hop160-two-levels": 2590,
    "hop160-two-levels-mel": 3358,
    "hop100": 1295,
    "hop100-two-levels": 2590,
    "hop100-two-levels-mel": 3358,
    "20sec": 1295,
    "30sec": 1295,
}


def make_model(recipe: str = "base", timestamp_hop: float = 50.0) -> HearModel:
    """A small network for a recipe, whose weights are large enough for every part to matter."""
    torch.manual_seed(0)
    network = Passt(**VARIANTS[RECIPES[recipe].variant].sizes | TOY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    return HearModel(passt_ear(network.eval()), recipe, timestamp_hop)


def noise(clips: int, seconds: float) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(clips, round(32_000 * seconds), generator=generator)


def direct(model: HearModel, audio: Tensor) -> Tensor:
    """Logits and features of audio (N, S) without batches."""
    with torch.no_grad():
        logits, features = model.network(model.network.log_mel(audio))
    return torch.cat([logits, features], dim=1)


def padded_windows(audio: Tensor, window: int, hop: int) -> Tensor:
    """Windows of (n, S), reflected by half a window at both ends: (n, t, window)."""
    return functional.pad(audio, (window // 2, window // 2), mode="reflect").unfold(1, window, hop)


@pytest.mark.parametrize("recipe", RECIPES)
def test_sizes_are_the_published_ones(recipe: str) -> None:
    network = Passt(**VARIANTS[RECIPES[recipe].variant].sizes | {"depth": 0}).eval()
    model = HearModel(passt_ear(network), recipe)
    assert model.sample_rate == 32_000
    assert model.scene_embedding_size == PUBLISHED_SIZES[recipe]
    assert model.timestamp_embedding_size == PUBLISHED_SIZES[recipe]
    audio = noise(2, 0.2)
    embeddings, _ = get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (2, 5, PUBLISHED_SIZES[recipe])
    assert get_scene_embeddings(audio, model).shape == (2, PUBLISHED_SIZES[recipe])


@pytest.mark.parametrize(
    "recipe", ["base", "two-levels", "two-levels-mel", "hop100-two-levels-mel"]
)
@pytest.mark.parametrize(("seconds", "count"), [(0.1, 3), (1.0, 21), (12.34, 247)])
def test_time_stamps_stand_every_50_ms(recipe: str, seconds: float, count: int) -> None:
    model = make_model(recipe)
    embeddings, timestamps = get_timestamp_embeddings(noise(2, seconds), model)
    assert embeddings.shape == (2, count, model.timestamp_embedding_size)
    assert embeddings.dtype == timestamps.dtype == torch.float32
    assert embeddings.isfinite().all()
    assert timestamps.equal(50.0 * torch.arange(count).expand(2, -1))


@pytest.mark.parametrize(("hop", "count"), [(25.0, 41), (1000 / 24, 25), (333.0, 4), (2000.0, 1)])
def test_time_stamps_stand_at_the_hop_that_was_asked_for(hop: float, count: int) -> None:
    model, audio = make_model(timestamp_hop=hop), noise(1, 1.0)
    embeddings, timestamps = get_timestamp_embeddings(audio, model)
    torch.testing.assert_close(timestamps, hop * torch.arange(count).float()[None])


def test_a_hop_of_no_whole_samples_does_not_drift() -> None:
    model, audio = make_model(timestamp_hop=1000 / 24), noise(1, 1.0)
    embeddings, _ = get_timestamp_embeddings(audio, model)
    for index, middle in ((2, 2667), (11, 14_667), (22, 29_333)):
        window = audio[:, middle - 2560 : middle + 2560]
        torch.testing.assert_close(
            embeddings[:, index], direct(model, window), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("recipe", "second_window", "mel_window"),
    [
        ("base", None, None),
        ("two-levels", 25_600, None),
        ("two-levels-mel", 20_480, 1920),
        ("hop160-two-levels", 25_600, None),
        ("hop160-two-levels-mel", 25_600, 960),
        ("hop100-two-levels-mel", 25_600, 600),
    ],
)
def test_time_stamp_embeddings_are_those_of_the_windows_around_them(
    recipe: str, second_window: int | None, mel_window: int | None
) -> None:
    model, audio = make_model(recipe), noise(2, 1.0)
    parts = []
    for window in (5120, second_window):
        if window is not None:
            windows = padded_windows(audio, window, 1600).flatten(0, 1)
            parts.append(direct(model, windows).unflatten(0, (2, -1)))
    if mel_window is not None:
        windows = padded_windows(audio, mel_window, 1600).flatten(0, 1)
        mel = model.network.log_mel(windows)
        assert mel.shape[1:] == (128, 6)
        parts.append(mel.reshape(2, -1, 768))
    embeddings, _ = get_timestamp_embeddings(audio, model)
    torch.testing.assert_close(embeddings, torch.cat(parts, dim=2), rtol=1e-4, atol=1e-4)


def test_a_scene_up_to_ten_seconds_is_one_pass() -> None:
    model = make_model()
    for seconds in (0.16, 1.0, 7.77, 10.0):
        audio = noise(2, seconds)
        scene = get_scene_embeddings(audio, model)
        assert scene.dtype == torch.float32
        torch.testing.assert_close(scene, direct(model, audio), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "seconds", "window", "hop", "count"),
    [
        ("base", 25.0, 10, 2.5, 11),
        ("base", 10.1, 10, 2.5, 5),
        ("20sec", 25.0, 20, 2.5, 11),
        ("30sec", 45.0, 30, 10, 5),
    ],
)
def test_a_longer_scene_is_the_mean_of_its_windows(
    recipe: str, seconds: float, window: float, hop: float, count: int
) -> None:
    model, audio = make_model(recipe), noise(1, seconds)
    windows = padded_windows(audio, round(32_000 * window), round(32_000 * hop))[0]
    assert len(windows) == count
    expected = direct(model, windows).mean(dim=0)
    torch.testing.assert_close(
        get_scene_embeddings(audio, model)[0], expected, rtol=1e-4, atol=1e-4
    )


def test_longer_networks_take_longer_scenes_in_one_pass() -> None:
    for recipe, seconds in (("20sec", 20.0), ("30sec", 30.0)):
        model, audio = make_model(recipe), noise(1, seconds)
        torch.testing.assert_close(
            get_scene_embeddings(audio, model), direct(model, audio), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("recipe", ["two-levels", "two-levels-mel"])
def test_further_parts_of_a_scene_are_means_over_its_time_stamps(recipe: str) -> None:
    model, audio = make_model(recipe), noise(2, 1.5)
    scene = get_scene_embeddings(audio, model)
    embeddings, _ = get_timestamp_embeddings(audio, model)
    base = HearModel(model.ear, "base")
    torch.testing.assert_close(scene[:, :SIZE], get_scene_embeddings(audio, base))
    mean = embeddings.mean(dim=1)[:, SIZE:]
    torch.testing.assert_close(scene[:, SIZE:], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["base", "two-levels-mel", "hop100-two-levels-mel", "30sec"])
@given(samples=st.integers(1, 20_000))
def test_every_length_has_embeddings(recipe: str, samples: int) -> None:
    model = make_model(recipe)
    audio = torch.sin(torch.arange(samples) * 0.1)[None]
    scene = get_scene_embeddings(audio, model)
    embeddings, timestamps = get_timestamp_embeddings(audio, model)
    assert scene.shape == (1, model.scene_embedding_size)
    assert embeddings.shape[:2] == timestamps.shape == (1, 1 + samples // 1600)
    assert scene.isfinite().all()
    assert embeddings.isfinite().all()


@given(samples=st.integers(1, 40), half=st.integers(0, 100))
def test_reflection_repeats_at_both_ends(samples: int, half: int) -> None:
    clip = torch.arange(samples)
    expected = clip
    left = right = half
    while left or right:  # torch reflects at most once
        step = len(expected) - 1
        if step == 0:
            expected = torch.zeros(2 * half + 1, dtype=torch.int64)
            break
        before, after = min(left, step), min(right, step)
        padded = functional.pad(expected[None].float(), (before, after), mode="reflect")
        expected, left, right = padded[0].long(), left - before, right - after
    assert reflect(torch.arange(-half, samples + half), samples).equal(expected)


@pytest.mark.parametrize("recipe", ["base", "two-levels-mel"])
def test_each_sound_of_a_batch_is_embedded_alone(recipe: str) -> None:
    model = make_model(recipe)
    for seconds in (0.5, 11.0):
        audio = noise(3, seconds)
        scenes, (embeddings, _) = (
            get_scene_embeddings(audio, model),
            get_timestamp_embeddings(audio, model),
        )
        for index in range(3):
            alone = audio[index : index + 1]
            torch.testing.assert_close(
                get_scene_embeddings(alone, model)[0], scenes[index], rtol=1e-4, atol=1e-4
            )
            torch.testing.assert_close(
                get_timestamp_embeddings(alone, model)[0][0],
                embeddings[index],
                rtol=1e-4,
                atol=1e-4,
            )


def test_windows_go_through_the_network_a_bounded_number_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, audio = make_model("two-levels"), noise(3, 12.0)
    whole = get_scene_embeddings(audio, model), get_timestamp_embeddings(audio, model)[0]
    monkeypatch.setattr(hear, "BATCH_SECONDS", 20)
    largest: list[int] = []
    model.network.log_mel.register_forward_hook(
        lambda _, inputs, __: largest.append(inputs[0].numel())
    )
    parts = get_scene_embeddings(audio, model), get_timestamp_embeddings(audio, model)[0]
    assert max(largest) <= 20 * 32_000
    assert len(largest) > 10
    for part, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-4)


def test_embeddings_notice_where_an_event_is() -> None:
    model = make_model()
    audio = torch.zeros(1, 64_000)
    audio[0, 32_000:33_600] = noise(1, 0.05)[0]
    embeddings, timestamps = get_timestamp_embeddings(audio, model)
    silence = embeddings[0, 0]
    changed = timestamps[0][(embeddings[0] - silence).abs().amax(dim=1) > 1e-3]
    assert 900 <= float(changed.min()) <= 1000
    assert 1050 <= float(changed.max()) <= 1150


def test_double_precision_audio_is_taken() -> None:
    model, audio = make_model(), noise(1, 1.0)
    assert get_scene_embeddings(audio.double(), model).dtype == torch.float32
    embeddings, timestamps = get_timestamp_embeddings(audio.double(), model)
    assert embeddings.dtype == timestamps.dtype == torch.float32


@pytest.mark.parametrize(
    "audio",
    [
        torch.zeros(1000),
        torch.zeros(1, 1, 1000),
        torch.zeros(2, 0),
        torch.zeros(0, 1000),
        torch.zeros(1, 1000, dtype=torch.int16),
    ],
)
def test_audio_of_another_form_is_refused(audio: Tensor) -> None:
    model = make_model()
    for embed in (get_scene_embeddings, get_timestamp_embeddings):
        with pytest.raises(ValueError, match=r"audio must be \(clips, samples\)"):
            embed(audio, model)


@pytest.fixture
def toy_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variants small enough for a file in a test."""
    for name, variant in VARIANTS.items():
        monkeypatch.setitem(VARIANTS, name, Variant(variant.sizes | TOY, variant.releases))


@pytest.mark.usefixtures("toy_variants")
@pytest.mark.parametrize("recipe", ["base", "two-levels-mel", "hop160", "30sec"])
@pytest.mark.parametrize("form", ["weights.pt", "folder"])
def test_a_model_is_loaded_for_its_recipe(recipe: str, form: str, tmp_path: Path) -> None:
    model, path = make_model(recipe), tmp_path / form
    if form == "folder":
        model.network.save_pretrained(path)
    else:
        torch.save(model.network.state_dict(), path)
    loaded = load_model(str(path), recipe=recipe)
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert loaded.state_dict()[name].equal(value), name
    audio = noise(1, 0.5)
    # Equal but for the last bit: weights mapped from a file lie otherwise in memory.
    torch.testing.assert_close(
        get_scene_embeddings(audio, loaded),
        get_scene_embeddings(audio, model),
        rtol=1e-5,
        atol=1e-6,
    )


def test_without_a_file_the_published_ones_are_named() -> None:
    with pytest.raises(FileNotFoundError, match=f"{RELEASES}/v0.0.1-audioset/passt-s-f128-p16-s10"):
        load_model()
    with pytest.raises(FileNotFoundError, match="stfthop100"):
        load_model("missing.pt", recipe="hop100")


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="base, two-levels, two-levels-mel"):
        load_model("weights.pt", recipe="three-levels")


@pytest.mark.parametrize("hop", [0.0, -1.0, float("nan"), float("inf")])
def test_a_hop_that_is_no_time_is_refused(hop: float) -> None:
    with pytest.raises(ValueError, match="timestamp_hop"):
        make_model(timestamp_hop=hop)


@pytest.mark.parametrize(
    ("sizes", "recipe", "message"),
    [
        ({}, "hop160", "frames of 160 samples"),
        ({}, "30sec", "windows of 3000 frames, the network has positions for 1005"),
        ({"frames": 500}, "base", "windows of 1000 frames"),
    ],
)
def test_a_network_that_does_not_fit_the_recipe_is_refused(
    sizes: dict[str, Any], recipe: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HearModel(passt_ear(Passt(**TOY | sizes)), recipe)


def test_every_network_of_ten_seconds_fits_the_base_recipe() -> None:
    for name in ("s10", "s12", "s14", "s16", "l"):
        model = HearModel(passt_ear(Passt(**VARIANTS[name].sizes | TOY)), "base")
        audio = torch.zeros(1, model.sample_rate)
        assert get_scene_embeddings(audio, model).shape == (1, model.scene_embedding_size)
