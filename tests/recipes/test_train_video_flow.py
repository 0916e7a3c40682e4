"""From scenes and videos to a flow that sees, at toy size: encoding, batches, training, resuming."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.paths import ROOT
from tests.recipes.toy_recipes import Killed, check_end, killed_after_saving, same, weights
from tests.toys import make_transformer, randomise
from training import encode_video, train_flow, train_video_flow
from woosh.data.streaming import StreamedBatches
from woosh.generation.guidance import video_tokens
from woosh.generation.lora import LAYERS
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import replace_fields
from woosh.training.flow.crops import Crops
from woosh.training.flow.latents import load_latents
from woosh.training.flow.video import (
    SeenBatches,
    VideoData,
    seen_batches,
    seen_crop,
    with_video,
    without_some,
)

CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def trained(video_flow_config: train_video_flow.Config) -> Path:
    train_video_flow.main(video_flow_config)
    return Path(video_flow_config.run.output)


def test_clips_are_heard_and_seen(videos_run: Path, videos_config: encode_video.Config) -> None:
    clips = load_latents(videos_run).clips
    assert [clip.name for clip in clips] == [f"scene-{10_000_000 + n}" for n in range(5)] + [
        "a.mp4"
    ]
    for clip in clips:
        assert clip.video is not None
        assert clip.video.shape == (48, 16)
        assert clip.latents.shape[1] == 201
        assert clip.captions
    before = {path: path.stat().st_mtime_ns for path in videos_run.glob("*.tar")}
    encode_video.main(videos_config)  # goes on where it was: nothing is left to do
    assert before == {path: path.stat().st_mtime_ns for path in videos_run.glob("*.tar")}


def test_crops_meet_their_features(videos_run: Path) -> None:
    cache = load_latents(videos_run)
    clip = cache.clips[0]
    assert clip.video is not None
    crops = Crops(cache.common, (51,), (1.0,), 51, 0.0, 100.0, 0)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        latents, video = seen_crop(clip, crops, 51, generator)
        assert latents.shape[1] == 51
        assert video.shape == (video_tokens(51, 100.0), 16)
        start = next(
            s for s in range(0, 176, 25) if torch.equal(clip.latents[:, s : s + 51], latents)
        )
        assert torch.equal(video, clip.video[start * 24 // 100 :][: len(video)])
    latents, video = seen_crop(clip, crops, 301, np.random.default_rng(0))
    assert latents.shape[1] == 301
    assert not video[48:].any()


def test_batches_mix_clips_and_sounds(video_flow_config: train_video_flow.Config) -> None:
    config = video_flow_config
    source = seen_batches(config.data, config.video, config.run.seed)
    assert isinstance(source, SeenBatches)
    batches = [source.batch(number) for number in range(30)]
    seen = [bool(batch.video.any()) for batch in batches if batch.video is not None]
    assert len(seen) == 30
    assert 5 < sum(seen) < 25
    for batch in batches:
        assert batch.video is not None
        assert batch.video.shape == (
            len(batch.latents),
            video_tokens(batch.latents.shape[2], 100.0),
            source.channels,
        )
    again = source.batch(3)
    assert torch.equal(again.latents, batches[3].latents)


def test_streamed_clips_and_sounds_come_once_in_a_pass(
    video_flow_config: train_video_flow.Config,
) -> None:
    streamed = replace_fields(video_flow_config, streamed=True, sound_share=None)
    source = seen_batches(streamed.data, streamed.video, streamed.run.seed)
    assert isinstance(source, StreamedBatches)
    folders = (str(streamed.video.videos), streamed.data.latents)
    clips = [len(load_latents(Path(folder)).clips) for folder in folders]
    numbered = iter(source)
    seen, captions = 0, 0
    while captions < sum(clips):
        _, batch = next(numbered)
        assert batch.video is not None and batch.video.shape[2] == 16
        seen += int(batch.video.flatten(1).any(dim=1).sum())
        captions += len(batch.captions)
    assert clips[0] - 1 <= seen <= clips[0] + captions - sum(clips)
    for wrong in ({"streamed": True}, {"sound_share": None}):
        config = replace_fields(video_flow_config, **wrong)
        with pytest.raises(ValueError, match="sound_share is"):
            seen_batches(config.data, config.video, 0)


def test_frames_and_whole_clips_are_hidden_at_random() -> None:
    video = torch.ones(400, 50, 2)
    frames, clips, none = (
        without_some(video, VideoData("", 0.0, *shares), 0, 0)
        for shares in ((0.1, 0.0), (0.0, 0.2), (0.0, 0.0))
    )
    assert frames.mean() == pytest.approx(0.9, abs=0.02)
    assert torch.equal(frames[..., 0], frames[..., 1])
    assert frames.any(dim=1).all()
    assert clips.mean() == pytest.approx(0.8, abs=0.06)
    assert torch.equal(clips.amax(dim=1), clips.amin(dim=1))
    assert torch.equal(none, video)


def test_a_video_stream_is_added_and_all_else_stays() -> None:
    blind = randomise(make_transformer(), 1)
    seeing = with_video(blind, 5)  # type: ignore[arg-type]
    state = seeing.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in blind.state_dict().items())
    assert seeing.config.video_channels == 5
    with pytest.raises(ValueError, match="has a video stream already"):
        with_video(seeing, 5)


def test_the_released_flow_with_eyes_is_the_released_video_flow() -> None:
    sizes = yaml.safe_load((CONFIGS / "flow_public.yaml").read_text())
    names = [field.name for field in dataclasses.fields(train_flow.Sizes) if field.name in sizes]
    with torch.device("meta"):
        seeing = with_video(WooshTransformer(**{name: sizes[name] for name in names}), 768)
    assert sum(p.numel() for p in seeing.parameters()) == 413_578_881


def test_it_trains_and_resumes_exactly(
    trained: Path,
    video_flow_config: train_video_flow.Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = WooshTransformer.from_pretrained(trained / "transformer")
    assert model.config.video_channels == 16
    again = replace_fields(video_flow_config, output=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_video_flow.main(again)
    train_video_flow.main(replace_fields(again, resume=True))
    assert same(weights(trained / "transformer"), weights(tmp_path / "run" / "transformer"))
    check_end(train_video_flow.main, again, "transformer")


def test_a_flow_that_sees_by_low_rank_changes(
    video_flow_config: train_video_flow.Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps all that it knew but for matrices of the rank, and learns its eyes whole; it resumes exactly."""
    config = replace_fields(video_flow_config, output=str(tmp_path / "run"), rank=2)
    train_video_flow.main(config)
    model = WooshTransformer.from_pretrained(tmp_path / "run" / "transformer")
    blind = WooshTransformer.from_pretrained(config.initial)
    before, after = blind.state_dict(), model.state_dict()
    assert list(after) == list(with_video(blind, 16).state_dict())  # and no adapters
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    blocks = {name for name in moved if name.startswith(("joint.", "fused."))}
    assert {name.split(".")[-2] for name in blocks} == set(LAYERS)
    for name in blocks:
        values = torch.linalg.svdvals(after[name] - before[name])
        assert values[0] > 0 and values[2] < 1e-3 * values[0], name
    whole = {name.split(".")[0] for name in moved - blocks}
    assert whole == {"final", "log_variance_head"}
    again = replace_fields(config, output=str(tmp_path / "again"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_video_flow.main(again)
    train_video_flow.main(replace_fields(again, resume=True))
    assert same(after, weights(tmp_path / "again" / "transformer"))


def test_other_features_are_refused(
    trained: Path, video_flow_config: train_video_flow.Config
) -> None:
    other = replace_fields(video_flow_config, initial=str(trained / "transformer"))
    assert train_video_flow.build_model(other, 16).config.video_channels == 16
    with pytest.raises(ValueError, match="takes 16 video features, the clips have 8"):
        train_video_flow.build_model(other, 8)
