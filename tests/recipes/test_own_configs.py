"""The recipes on users' own folders: every `configs/own_*.yaml` runs on nothing but files in a folder."""

import importlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from tests.paths import ROOT
from tests.sounds import RATE, sound
from tests.videos import steady_times, write_video
from woosh.autoencoder import WooshAutoencoder, load_autoencoder
from woosh.embeddings.clap import load_clap
from woosh.generation.changes import load_transformer
from woosh.generation.lora import read_lora
from woosh.generation.transformer import WooshTransformer
from woosh.taggers import load_tagger
from woosh.training.command import run_recipe
from woosh.training.flow.latents import load_latents

CONFIGS = ROOT / "configs"
RECIPES = {
    "own_autoencoder": "train_autoencoder",
    "own_latents": "encode_latents",
    "own_flow": "train_flow",
    "own_lora": "finetune_lora",
    "tagger_own": "train_tagger",
    "own_clap": "train_clap",
    "own_videos": "encode_video",
    "own_video_flow": "train_video_flow",
}
SHORT = ("steps=2", "log_every=1", "save_every=2", "warmup_steps=1")


@pytest.fixture(autouse=True)
def _beside_the_built_in_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(name: str, *overrides: str) -> None:
    """A shipped configuration through the recipe's command line, with some fields changed."""
    recipe = importlib.import_module(f"training.{RECIPES[name]}")
    arguments = [str(CONFIGS / f"{name}.yaml"), *overrides]
    assert run_recipe(recipe.main, recipe.Config, recipe.__doc__, arguments) == 0


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sounds in sub-folders, named as people name them; one has captions beside it."""
    folder = tmp_path_factory.mktemp("own") / "sounds"
    for label in ("door", "sword"):
        (folder / label).mkdir(parents=True)
        for take in range(2):
            audio = sound(len(label) + take, seconds=1.5)
            soundfile.write(folder / label / f"Heavy-{label}_{take}.wav", audio.T, RATE)
    (folder / "door" / "Heavy-door_0.txt").write_text("a door\n\nsomebody shuts a heavy door\n")
    return folder


@pytest.fixture(scope="module")
def latents(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "latents"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        run("own_latents", f"data={sounds}", f"output={output}", "weighed_clips=1")
    return output


def steps_of(output: Path) -> list[int]:
    """The steps in a run's log, whose losses are finite."""
    rows = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(row["loss"]) for row in rows)
    return [row["step"] for row in rows]


def test_every_configuration_is_run_here_and_needs_no_data_of_ours() -> None:
    paths = sorted({*CONFIGS.glob("own_*.yaml"), *CONFIGS.glob("*_own.yaml")})
    assert {path.stem for path in paths} == set(RECIPES)
    for path in paths:
        values = yaml.safe_load(path.read_text())
        assert not {"favoured", "favoured_share", "twins"} & values.keys()
        assert "shared" not in path.read_text()
        assert values.get("precision", "no") == "no"  # quick on every processor


def test_latents_have_the_captions_of_files_and_their_names(latents: Path) -> None:
    clips = load_latents(latents).clips
    assert len(clips) == 4 * 3  # at three speeds
    captions = {clip.name: clip.captions for clip in clips}
    assert captions["door/Heavy-door_0.wav"] == ("a door", "somebody shuts a heavy door")
    assert captions["sword/Heavy-sword_1.wav"] == ("heavy sword 1",)


def test_the_autoencoder(sounds: Path, tmp_path: Path) -> None:
    sizes = ("width=16", "inner_width=24", "encoder_layers=1", "decoder_layers=1")
    small = (*SHORT, *sizes, "batch_size=2", "crop_seconds=0.2", "statistics_batches=1")
    run("own_autoencoder", f"data={sounds}", f"output={tmp_path / 'run'}", *small)
    assert steps_of(tmp_path / "run") == [1, 2]
    model = WooshAutoencoder.from_pretrained(tmp_path / "run" / "autoencoder")
    assert model.latent_std.min() > 0


def test_the_autoencoder_from_the_built_in_one_keeps_its_latents(
    sounds: Path, tmp_path: Path
) -> None:
    """As the comment at the file's top says."""
    start = "woosh/models/woosh-tiny/autoencoder"
    small = (*SHORT, "batch_size=2", "crop_seconds=0.2")
    options = (f"initial={start}", "freeze_encoder=true", *small)
    run("own_autoencoder", f"data={sounds}", f"output={tmp_path / 'run'}", *options)
    before = load_autoencoder(start, torch.float32)
    after = WooshAutoencoder.from_pretrained(tmp_path / "run" / "autoencoder")
    audio = torch.from_numpy(sound(1))[None]
    assert torch.equal(before.encode(audio), after.encode(audio))
    assert not torch.equal(before(audio), after(audio))


def test_the_flow_goes_on_from_the_built_in_one(latents: Path, tmp_path: Path) -> None:
    options = (*SHORT, f"latents={latents}", "lengths=[13, 26]", "length_chances=[1, 1]")
    run("own_flow", f"output={tmp_path / 'run'}", *options, "frames_per_batch=52")
    assert steps_of(tmp_path / "run") == [1, 2]
    start = "woosh/models/woosh-small/transformer"
    before = load_transformer(start, torch.float32)
    after = WooshTransformer.from_pretrained(tmp_path / "run" / "transformer")
    assert before.config["width"] == after.config["width"]
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    moved = [not torch.equal(*pair) for pair in pairs]
    assert any(moved)


def test_the_flow_begins_anew(latents: Path, tmp_path: Path) -> None:
    sizes = ("width=32", "inner_width=48", "fused_blocks=1", "heads=2", "rotary_channels=16")
    options = (*SHORT, *sizes, f"latents={latents}", "lengths=[26]", "length_chances=[1]")
    output = tmp_path / "run"
    run("own_flow", f"output={output}", *options, "frames_per_batch=52", "initial=null")
    assert WooshTransformer.from_pretrained(output / "transformer").config["width"] == 32


def test_the_lora(sounds: Path, tmp_path: Path) -> None:
    options = (*SHORT, "trigger=castle", "rank=2", "lengths=[0.5]", "batch_size=1")
    run("own_lora", f"data={sounds}", f"output={tmp_path / 'run'}", *options)
    assert steps_of(tmp_path / "run") == [1, 2]
    assert read_lora(tmp_path / "run" / "lora.safetensors")[1].trigger == "castle"


def test_the_tagger_takes_its_labels_from_the_folders(sounds: Path, tmp_path: Path) -> None:
    small = (*SHORT, "initial=null", "width=0.1", "batch_size=2", "statistics_batches=1")
    options = (*small, "held_out_share=0.5", "crop_seconds=0.5")
    run("tagger_own", f"data={sounds}", f"output={tmp_path / 'run'}", *options)
    assert steps_of(tmp_path / "run") == [1, 2]
    assert load_tagger(tmp_path / "run" / "tagger").labels == ("door", "sword")
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["sounds"] == 2 and 0 <= result["right_first"] <= 1


SMALL_CLAP = (*SHORT, "mobilenet_width=0.1", "batch_size=2", "statistics_batches=1")


def test_the_aligner_without_an_evaluation(sounds: Path, tmp_path: Path) -> None:
    run("own_clap", f"data={sounds}", f"output={tmp_path / 'run'}", *SMALL_CLAP)
    assert steps_of(tmp_path / "run") == [1, 2]
    assert load_clap(tmp_path / "run" / "clap").embed_text(["a door"]).shape == (1, 128)
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_the_aligner_is_measured_without_labels(sounds: Path, tmp_path: Path) -> None:
    options = (*SMALL_CLAP, "validation_split=train", "evaluate_every=2")
    run("own_clap", f"data={sounds}", f"output={tmp_path / 'run'}", *options)
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["clips"] == 4 and result["zero_shot_accuracy"] is None
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("text_to_audio_recall_at_10" in row for row in rows)


def test_videos_and_the_flow_that_sees_them(latents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    audio = sound(0, seconds=1.5)
    write_video(folder / "heavy-door.mp4", steady_times(Fraction(30), 1), sound=audio)
    videos = tmp_path / "latents"
    run("own_videos", f"data={folder}", f"output={videos}", f"common={latents}")
    (clip,) = load_latents(videos).clips
    assert clip.captions == ("heavy door",) and clip.video is not None
    places = (f"latents={latents}", f"videos={videos}", f"output={tmp_path / 'run'}")
    small = (*SHORT, "lengths=[26]", "frames_per_batch=52")
    run("own_video_flow", *places, *small)
    assert steps_of(tmp_path / "run") == [1, 2]
    model = WooshTransformer.from_pretrained(tmp_path / "run" / "transformer")
    assert model.config["video_channels"] == clip.video.shape[1]
