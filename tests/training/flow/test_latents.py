"""The latent cache, and batches that follow from their number alone."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_tensors

from woosh.training.flow.crops import (
    Crops,
    LatentBatches,
    fit_length,
    sounding,
    streamed_latents,
    trimmed,
)
from woosh.training.flow.latents import (
    Common,
    LatentClip,
    load_latents,
    read_clip,
    write_common,
    write_latents,
)

SILENCE = torch.full((4, 10), -9.0)
WEIGHT = torch.tensor([2.0, 1.0, 0.7, 0.3])


def clip(frames: int, label: str = "", value: float = 1.0, name: str = "a") -> LatentClip:
    latents = torch.full((4, frames), value)
    return LatentClip(latents, (f"{label} sound",), name, label, name, continuous=frames >= 400)


def ramp(frames: int, continuous: bool) -> LatentClip:
    """A clip whose latents are their own places."""
    places = torch.arange(frames, dtype=torch.float32).expand(4, -1)
    return dataclasses.replace(clip(frames), latents=places, continuous=continuous)


COMMON = Common(SILENCE, WEIGHT, None, None, torch.ones_like(WEIGHT))


def crops(**changes: object) -> Crops:
    settings = {
        "common": COMMON,
        "lengths": (100, 500),
        "chances": (1.0, 1.0),
        "frames_per_batch": 1000,
        "caption_dropout": 0.2,
        "latent_rate": 100.0,
        "seed": 0,
        **changes,
    }
    return Crops(**settings)  # type: ignore[arg-type]


def batches(clips: list[LatentClip], **changes: object) -> LatentBatches:
    settings = {"favoured": ("dog",), "favoured_share": 0.5, "short_share": 0.1, "balance": 0.0}
    settings |= {name: changes.pop(name) for name in tuple(changes) if name in settings}
    return LatentBatches(clips, crops(**changes), **settings)  # type: ignore[arg-type]


@pytest.fixture
def clips() -> list[LatentClip]:
    return [clip(500, "dog", 1.0, "dog"), clip(500, "", 2.0, "long"), clip(60, "", 3.0, "short")]


def save(folder: Path, clips: list[LatentClip], dtype: torch.dtype = torch.float16) -> None:
    """Two shards, and what belongs to all."""
    for number in range(2):
        write_latents(folder / f"latents-{number}.tar", clips[number::2], dtype)
    write_common(folder, COMMON)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_save_and_load(tmp_path: Path, clips: list[LatentClip], dtype: torch.dtype) -> None:
    states = (torch.randn(3, 5), torch.randn(4, 5))
    clips[1] = dataclasses.replace(clips[1], states=states, captions=("a", "b"))
    save(tmp_path, clips, dtype)
    loaded, common = load_latents(tmp_path)
    assert torch.equal(common.silence, SILENCE) and torch.equal(common.channel_weight, WEIGHT)
    for before, after in zip((clips[0], clips[2], clips[1]), loaded, strict=True):
        assert torch.equal(before.latents, after.latents) and after.latents.dtype == dtype
        assert dataclasses.replace(before, latents=SILENCE, states=()) == dataclasses.replace(
            after, latents=SILENCE, states=()
        )
        for first, second in zip(before.states, after.states, strict=True):
            assert torch.equal(first.to(dtype), second)


def test_a_missing_or_torn_cache_is_an_error(tmp_path: Path, clips: list[LatentClip]) -> None:
    with pytest.raises(FileNotFoundError, match="encode_latents"):
        load_latents(tmp_path)
    save(tmp_path, clips)
    whole = (tmp_path / "latents-0.tar").read_bytes()
    (tmp_path / "latents-0.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"latents-0.tar"):
        load_latents(tmp_path)


SAMPLES = {  # what is damaged in a sample of one clip: its tensors, its facts
    "no latents": ({"video": torch.ones(2, 3)}, {}),
    "latents of one dimension": ({"latents": torch.ones(4)}, {}),
    "whole numbers": ({"latents": torch.ones(4, 2, dtype=torch.int32)}, {}),
    "not a number": ({"latents": torch.full((4, 2), float("nan"))}, {}),
    "states of one dimension": ({"latents": torch.ones(4, 2), "states.0": torch.ones(3)}, {}),
    "captions that are a text": ({"latents": torch.ones(4, 2)}, {"captions": "a dog"}),
    "a label that is a number": ({"latents": torch.ones(4, 2)}, {"label": 3}),
    "no name": ({"latents": torch.ones(4, 2)}, {"name": None}),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_a_damaged_sample_is_named(case: str) -> None:
    """It would end a training far from its shard, or teach NaN to every weight."""
    tensors, changes = SAMPLES[case]
    facts = {"captions": ["a dog"], "name": "a", "label": "", "group": "", "continuous": True}
    good = {"__key__": "one", "safetensors": save_tensors({"latents": torch.ones(4, 2)})}
    assert read_clip(good | {"json": json.dumps(facts).encode()}, "a.tar").captions == ("a dog",)
    item = {
        "__key__": "one",
        "safetensors": save_tensors(tensors),
        "json": json.dumps(facts | changes),
    }
    with pytest.raises(ValueError, match=r"a\.tar: one holds no latents"):
        read_clip(item, "a.tar")


def test_captions_come_with_their_own_states_padded() -> None:
    states = (torch.ones(2, 5), torch.full((4, 5), 2.0))
    both = dataclasses.replace(clip(500), captions=("one", "two"), states=states)
    common = COMMON._replace(empty_states=torch.full((1, 5), 7.0), text_tokens=6)
    batch = batches([both], favoured=(), common=common, frames_per_batch=20_000).batch(0)
    assert batch.states is not None and batch.mask is not None
    assert batch.states.shape == (len(batch.captions), 6, 5)
    expected = {"one": (2, 1.0), "two": (4, 2.0), "": (1, 7.0)}
    assert set(batch.captions) == set(expected)
    for caption, state, mask in zip(batch.captions, batch.states, batch.mask, strict=True):
        tokens, value = expected[caption]
        assert mask.tolist() == [1.0] * tokens + [0.0] * (6 - tokens)
        assert (state[:tokens] == value).all() and (state[tokens:] == 0).all()
    assert batches([clip(500)], favoured=()).batch(0).states is None


def test_a_stream_gives_the_batches_of_its_clips_in_a_shuffled_order(tmp_path: Path) -> None:
    many = [clip(100 + i, value=float(i), name=str(i)) for i in range(12)]
    save(tmp_path, many)
    stream = streamed_latents(
        crops(frames_per_batch=300, lengths=(100,), chances=(1.0,)), [tmp_path]
    )
    found = [batch for batch, _ in zip(stream, range(4), strict=False)]
    assert [number for number, _ in found] == [0, 1, 2, 3]
    values = [int(row[0, 0]) for _, batch in found for row in batch.latents]
    assert sorted(values) == list(range(12)) and values != sorted(values)
    again = [batch for batch, _ in zip(stream, range(4), strict=False)]
    for (_, first), (_, second) in zip(found, again, strict=True):
        assert torch.equal(first.latents, second.latents) and first.captions == second.captions


@pytest.mark.parametrize("count", [10, 300, 599, 600, 800])
@pytest.mark.parametrize("continuous", [False, True])
def test_fit_length_cuts_repeats_or_ends_in_silence(count: int, continuous: bool) -> None:
    fitted = fit_length(ramp(count, continuous), SILENCE, 600, 100.0, np.random.default_rng(0))
    assert fitted.shape == (4, 600)
    quiet = (fitted == -9.0).all(dim=0)
    if count >= 600 or continuous:  # cut or repeated: no silence at all
        assert not quiet.any()
        steps = fitted[0].diff()
        assert set(steps.tolist()) <= {1.0, float(1 - count)}
    else:  # the whole sound, soon, then silence
        assert torch.equal(fitted[0][~quiet], torch.arange(count, dtype=torch.float32))
        assert int((~quiet).int().argmax()) <= 20


def padded(before: int, heard: int, after: int, label: str = "") -> LatentClip:
    """A short event in the middle of silence, as many recordings are."""
    latents = torch.full((4, before + heard + after), -9.0)
    latents[:, before : before + heard] = 1.0
    return dataclasses.replace(clip(heard, label), latents=latents)


def test_the_silence_around_a_sound_is_no_part_of_what_is_learned() -> None:
    """Crops of recordings that end in silence held nothing of what their captions say; generated sounds were silent."""
    event = padded(before=200, heard=50, after=300)
    assert sounding(event.latents, SILENCE).nonzero().flatten().tolist() == list(range(200, 250))
    short = trimmed(event, SILENCE, latent_rate=100.0)
    assert short.latents.shape[1] == 8 + 50 + 20
    seen = dataclasses.replace(event, video=torch.zeros(10, 3))
    assert trimmed(seen, SILENCE, 100.0) is seen
    steady = clip(500)
    assert torch.equal(trimmed(steady, SILENCE, 100.0).latents, steady.latents)
    silent = dataclasses.replace(event, latents=torch.full((4, 30), -9.0))
    assert trimmed(silent, SILENCE, 100.0).latents.shape == (4, 30)


def test_every_cut_is_heard() -> None:
    """Also of an event between long pauses, which no trimming takes away."""
    generator = np.random.default_rng(0)
    event = dataclasses.replace(padded(400, 20, 400), continuous=False)
    cuts = [fit_length(event, SILENCE, 100, 100.0, generator) for _ in range(50)]
    assert all((cut == 1.0).any() for cut in cuts)
    starts = {int((cut[0] == 1.0).int().argmax()) for cut in cuts}
    assert len(starts) > 10


def test_a_favoured_label_without_long_clips_is_drawn_for_long_batches_too() -> None:
    source = batches(
        [padded(0, 50, 500, "dog"), clip(500)],
        lengths=(500,),
        chances=(1.0,),
        favoured_share=1.0,
        caption_dropout=0.0,
    )
    assert set(source.batch(0).captions) == {"dog sound"}


def test_a_continuous_sound_as_long_as_asked_begins_anywhere_half_of_the_times() -> None:
    generator = np.random.default_rng(0)
    steady, event = ramp(500, continuous=True), ramp(500, continuous=False)
    fitted = [fit_length(steady, SILENCE, 500, 100.0, generator) for _ in range(200)]
    assert all(sorted(part[0].tolist()) == list(range(500)) for part in fitted)
    assert 70 < sum(part[0, 0].item() == 0.0 for part in fitted) < 130
    cut = fit_length(steady, SILENCE, 300, 100.0, generator)
    assert (cut[0].diff() == 1.0).all()
    for _ in range(20):
        assert torch.equal(fit_length(event, SILENCE, 500, 100.0, generator), event.latents)


def test_a_batch_follows_from_seed_and_number(clips: list[LatentClip]) -> None:
    source = batches(clips)
    first, again = source.batch(3), batches(clips).batch(3)
    assert torch.equal(first.latents, again.latents) and first.captions == again.captions
    others = [source.batch(number) for number in range(8)]
    assert {batch.latents.shape for batch in others} == {(10, 4, 100), (2, 4, 500)}


def test_shares(clips: list[LatentClip]) -> None:
    source = batches(clips, lengths=(100,), chances=(1.0,), short_share=0.0)
    captions = [caption for number in range(200) for caption in source.batch(number).captions]
    dropped = captions.count("") / len(captions)
    dogs = captions.count("dog sound") / len([text for text in captions if text])
    assert 0.15 < dropped < 0.25
    assert 0.6 < dogs < 0.74  # half the draws, and a third of the others


def test_short_sounds_do_not_fill_long_batches(clips: list[LatentClip]) -> None:
    source = batches(clips, lengths=(500,), chances=(1.0,), short_share=0.0)
    assert all((source.batch(number).latents > 0).all() for number in range(20))
    source = batches(clips, lengths=(500,), chances=(1.0,), short_share=1.0, favoured_share=0.0)
    assert any((source.batch(number).latents == -9.0).any() for number in range(20))


def test_impossible_settings_are_refused(clips: list[LatentClip]) -> None:
    with pytest.raises(ValueError, match="favoured labels .'cat'"):
        batches(clips, favoured=("cat",))
    with pytest.raises(ValueError, match="no clip fills half of .2000"):
        batches(clips, lengths=(2000,), chances=(1.0,))


def test_a_batch_tells_how_long_its_sounds_are() -> None:
    """An event lasts up to its last frame, a sound that goes on fills the crop, and some lengths are not told."""
    event, steady = clip(60, "", 1.0, "event"), clip(500, "", 2.0, "steady")
    batch = batches([event, steady], favoured=(), lengths=(100,), chances=(1.0,)).batch(0)
    told = batch.sound_seconds
    for latents, seconds in zip(batch.latents, told, strict=True):
        event_frames = torch.nonzero(latents[0] == 1.0)
        full = (int(event_frames[-1, 0]) + 1) / 100 if len(event_frames) else 1.0
        assert seconds.item() in (0.0, pytest.approx(full))
    many = batches([event], favoured=(), frames_per_batch=50_000, lengths=(100,), chances=(1.0,))
    shares = (many.batch(1).sound_seconds == 0).float().mean().item()
    assert shares == pytest.approx(0.3, abs=0.1)


def test_rare_kinds_are_drawn_more_often_where_draws_are_balanced() -> None:
    common = [dataclasses.replace(clip(500), category="RAIN") for _ in range(9)]
    rare = dataclasses.replace(clip(500, "", 2.0), category="ZAP")

    def share(balance: float) -> float:
        settings = {"favoured": (), "short_share": 0.0, "frames_per_batch": 500_000}
        source = batches([*common, rare], balance=balance, **settings)
        return float((source.batch(0).latents == 2.0).all(dim=2).all(dim=1).float().mean())

    assert share(0.0) == pytest.approx(0.1, abs=0.04)
    assert share(1.0) == pytest.approx(0.5, abs=0.07)


def test_folders_of_the_last_version_are_read(tmp_path: Path, clips: list[LatentClip]) -> None:
    """They hold neither categories nor deviations."""
    from safetensors.torch import load_file, save_file

    save(tmp_path, clips)
    tensors = load_file(tmp_path / "common.safetensors")
    del tensors["deviation"]
    save_file(tensors, tmp_path / "common.safetensors")
    assert load_latents(tmp_path).common.deviation.tolist() == [1.0] * 4
