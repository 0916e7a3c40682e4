"""A video flow and the network that watches for it become a model folder that shares a built-in model's parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.kept_forms import change_by_rank, make_student
from tests.paths import ROOT
from tests.toys import make_visual, randomise, save_pipeline
from training import package_student, package_video
from woosh import catalogue
from woosh.catalogue import BUILT_IN, CHANGES_FILE, describe_model
from woosh.generation.changes import load_transformer
from woosh.generation.loading import load_sampler
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.training.config import load_config, replace_fields
from woosh.training.flow.video import with_video
from woosh.video.visual import VisualEncoder
from woosh.video.watching import load_watcher

CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained transformer of woosh-tiny's size that sees, packaged with an untrained watcher."""
    folder = tmp_path_factory.mktemp("video")
    transformer = load_transformer(BUILT_IN / "woosh-tiny" / "transformer", torch.float32)
    watcher = randomise(VisualEncoder(size=32, channels=8, width=16), 1)
    randomise(with_video(transformer, 16), 0).save_pretrained(folder / "flow" / "transformer")
    watcher.save_pretrained(folder / "eyes" / "visual")
    for run in ("flow", "eyes", "scenes"):
        (folder / run).mkdir(exist_ok=True)
        (folder / run / "config.yaml").write_text(f"output: {run}\n")
        (folder / run / "log.jsonl").write_text("{}\n")
    config = replace_fields(
        load_config(package_video.Config, CONFIGS / "package_small_video.yaml"),
        output=str(folder / "model"),
        records=str(folder / "records"),
        transformer=str(folder / "flow"),
        visual=str(folder / "eyes"),
        videos=str(folder / "scenes"),
        parts_of="woosh-tiny",
        rank=0,
        changes_of=(),
    )
    package_video.main(config)
    for run in ("transformer", "visual", "videos"):
        assert (folder / "records" / f"{run}_log.jsonl").is_file()
    with pytest.raises(ValueError, match="more than 10"):
        package_video.main(replace_fields(config, output=str(folder / "big"), size_limit=10))
    return folder / "model"


def test_it_holds_what_sees_alone_and_hears_a_video(packaged: Path) -> None:
    assert sorted(p.name for p in packaged.iterdir()) == [
        "README.md",
        "model_index.json",
        "transformer",
        "visual",
    ]
    info = describe_model(packaged)
    assert info.parts_of == "woosh-tiny" and info.licence == "cc-by-4.0" and not info.few_step
    assert info.visual == packaged / "visual"
    features = load_watcher(info.visual).watch([torch.zeros(12, 3, 32, 32, dtype=torch.uint8)])
    sampler = load_sampler(packaged)
    pipeline = WooshPipeline.from_pretrained(packaged, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    first = sampler(Request("rain", seconds=0.5, steps=2, video=features, seed=0))
    second = pipeline(
        "rain",
        seconds=0.5,
        num_inference_steps=2,
        video=features,
        generator=torch.Generator().manual_seed(0),
    )
    assert np.array_equal(first[0].numpy(), second.audios[0])
    assert np.abs(second.audios[0]).max() > 0


def test_changes_make_a_model_that_sees_and_its_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A toy, one with eyes made from it, and the few-step student of that: each holds what it adds alone."""
    models = tmp_path / "models"
    monkeypatch.setattr(catalogue, "BUILT_IN", models)
    toy = save_pipeline(models / "toy", max_frames=100)
    (toy / "ATTRIBUTION.md").touch()
    blind = load_transformer(toy / "transformer", torch.float32)
    seeing: Any = randomise(with_video(blind, 8), 4)
    seeing.load_state_dict(blind.state_dict(), strict=False)
    change_by_rank(seeing, 2, 5)
    seeing.save_pretrained(tmp_path / "flow" / "transformer")
    randomise(make_visual(), 4).save_pretrained(tmp_path / "eyes" / "visual")
    config = replace_fields(
        load_config(package_video.Config, CONFIGS / "package_small_video.yaml"),
        output=str(models / "toy-video"),
        records=str(tmp_path / "records"),
        transformer=str(tmp_path / "flow"),
        visual=str(tmp_path / "eyes"),
        videos=str(tmp_path / "scenes"),
        parts_of="toy",
        rank=2,
        changes_of=(),
    )
    package_video.main(config)
    kept = load_transformer(models / "toy-video" / "transformer", torch.float32)
    student = make_student(kept, 2, 6)
    student.save_pretrained(tmp_path / "student" / "transformer")
    package_student.main(
        replace_fields(
            load_config(package_student.Config, CONFIGS / "package_tiny_fast.yaml"),
            output=str(models / "toy-video-fast"),
            records=str(tmp_path / "records"),
            transformer=str(tmp_path / "student"),
            parts_of="toy-video",
            rank=2,
            changes_of=(),
        )
    )
    features = torch.randn(12, 8)
    for name, network in (("toy-video", seeing), ("toy-video-fast", student)):
        info = describe_model(models / name)
        assert info.visual == models / "toy-video" / "visual" and info.video_channels == 8
        eyes = load_watcher(info.visual).watch([torch.zeros(12, 3, 32, 32, dtype=torch.uint8)])
        assert eyes.shape == (12, 8)
        assert (models / name / "transformer" / CHANGES_FILE).is_file()
        sampler = load_sampler(models / name)
        request = Request("rain", seconds=0.5, steps=2, video=features, seed=0)
        made = sampler.latents(request)
        sampler.transformer.load_state_dict(network.state_dict())
        assert (made - sampler.latents(request)).norm() < 5e-3 * made.norm()
    assert not (models / "toy-video-fast" / "visual").exists()
    # A student of a seeing model learned from scenes too: its card must not name the recordings alone.
    assert "scenes rendered by" in (models / "toy-video-fast" / "README.md").read_text()
