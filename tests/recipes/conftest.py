"""Toy runs from recordings to transformer, each made once and handed to the next."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import (
    CONFIGS,
    autoencoder_config,
    clap_config,
    flow_config,
    mel_autoencoder_config,
    tagger_config,
    teach_config,
    toy_tagger,
)
from tests.toys import (
    make_text_encoder,
    make_tokenizer,
)
from tests.videos import steady_times, write_video
from training import (
    encode_latents,
    encode_video,
    teach,
    train_autoencoder,
    train_clap,
    train_flow,
    train_mel_autoencoder,
    train_tagger,
    train_video_flow,
    train_visual,
)
from woosh.taggers import save_tagger
from woosh.training.config import load_config, replace_fields
from woosh.training.flow.steps import OptimizerConfig, TimeDistribution
from woosh.training.flow.video import VideoData
from woosh.video.visual import VisualEncoder


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    generator = np.random.default_rng(0)
    rows = []
    for index in range(6):
        seconds = np.arange(48_000) / 48_000
        tone = np.sin(2 * np.pi * 300 * (index + 1) * seconds) * np.exp(-3 * seconds)
        audio = 0.4 * tone + 0.02 * generator.standard_normal(48_000)
        soundfile.write(folder / f"{index}.wav", audio, 48_000)
        label = "dog bark" if index % 2 else ""
        row = {"file": f"{index}.wav", "captions": ["a tone", "beep"], "seconds": 1.0}
        extra = {
            "split": "train" if index < 4 else "validation",
            "label": label,
            "group": str(index),
        }
        notes = {
            "author": f"author | {index}",
            "licence": "CC0-1.0",
            "url": "",
            "source": "made/up",
        }
        rows.append({**row, **extra, **notes})
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="session")
def autoencoder_run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "autoencoder"
    train_autoencoder.main(autoencoder_config(manifest, output))
    return output


@pytest.fixture(scope="session")
def mel_run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "mel_autoencoder"
    train_mel_autoencoder.main(mel_autoencoder_config(manifest, output))
    return output


@pytest.fixture(scope="session")
def mel_flow_run(mel_run: Path, text_run: Path, manifest: Path) -> Path:
    """A flow that is told lengths, with its latents beside it in mel_latents."""
    latents, output = mel_run.parent / "mel_latents", mel_run.parent / "mel_flow"
    encode_latents.main(
        replace_fields(
            load_config(encode_latents.Config, CONFIGS / "latents_mel.yaml"),
            output=str(latents),
            data=str(manifest),
            autoencoder=str(mel_run / "autoencoder"),
            twins=(),
            twin_clips=0,
            speeds=(1.0,),
            weighed_clips=2,
        )
    )
    train_flow.main(
        replace_fields(
            flow_config(latents, text_run, output),
            latent_rate=25.0,
            lengths=(13, 26),
            steps=2,
            save_every=2,
            summary=True,
        )
    )
    return output


@pytest.fixture(scope="session")
def nine_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger of nine labels."""
    folder = tmp_path_factory.mktemp("taggers") / "nine"
    save_tagger(toy_tagger(3, tuple(f"label {number}" for number in range(9))), folder)
    return folder


@pytest.fixture(scope="session")
def magnitude_run(autoencoder_run: Path, manifest: Path) -> Path:
    output = autoencoder_run.parent / "magnitude"
    config = replace_fields(
        autoencoder_config(manifest, output),
        initial=str(autoencoder_run / "autoencoder"),
        freeze_encoder=True,
        new_magnitude_channels=4,
        nested_share=0.5,
        nested_channels=(4, 4),
        steps=4,
    )
    train_autoencoder.main(config)
    return output


@pytest.fixture(scope="session")
def latents_run(magnitude_run: Path, manifest: Path) -> Path:
    output = magnitude_run.parent / "latents"
    encode_latents.main(
        replace_fields(
            load_config(encode_latents.Config, CONFIGS / "latents_tiny.yaml"),
            output=str(output),
            data=str(manifest),
            autoencoder=str(magnitude_run / "autoencoder"),
            procedural_clips=2,
            twins=("dog bark=dog", "engine=engine"),
            twin_clips=3,
            speeds=(1.0, 1.25),
            mixed_share=0.5,
            longest_seconds=0.5,
            weighed_clips=2,
            clips_per_shard=3,
            seed=1,
        )
    )
    return output


@pytest.fixture(scope="session")
def text_run(autoencoder_run: Path) -> Path:
    output = autoencoder_run.parent / "text"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(output / "tokenizer")
    torch.manual_seed(0)
    make_text_encoder(len(tokenizer)).save_pretrained(output / "text_encoder")
    return output


@pytest.fixture(scope="session")
def flow_run(latents_run: Path, text_run: Path) -> Path:
    output = latents_run.parent / "flow"
    train_flow.main(flow_config(latents_run, text_run, output))
    return output


@pytest.fixture(scope="session")
def clap_run(manifest: Path, text_run: Path) -> Path:
    output = manifest.parent / "clap_run"
    train_clap.main(clap_config(manifest, text_run, output))
    return output


@pytest.fixture(scope="session")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watcher")
    torch.manual_seed(0)
    VisualEncoder(size=32, channels=8, width=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def videos_config(
    magnitude_run: Path, latents_run: Path, watcher: Path, tmp_path_factory: pytest.TempPathFactory
) -> encode_video.Config:
    folder = tmp_path_factory.mktemp("videos")
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 96_000)).astype(np.float32)
    write_video(folder / "a.mp4", steady_times(Fraction(30), 2), sound=sound)
    rows = [{"file": "a.mp4", "captions": ["numbers"]}, {"file": "b.mp4", "split": "validation"}]
    (folder / "videos.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = (
        *(f"output={folder / 'latents'}", "scenes=5", "seconds=2.0", "clips_per_shard=2"),
        *(f"data={folder / 'videos.jsonl'}", f"visual={watcher}", f"common={latents_run}"),
        f"autoencoder={magnitude_run / 'autoencoder'}",
    )
    return load_config(encode_video.Config, CONFIGS / "scenes_small.yaml", overrides)


@pytest.fixture(scope="session")
def videos_run(videos_config: encode_video.Config) -> Path:
    encode_video.main(videos_config)
    return Path(videos_config.output)


@pytest.fixture(scope="session")
def video_flow_config(
    videos_run: Path,
    flow_run: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> train_video_flow.Config:
    toy = flow_config(latents_run, text_run, tmp_path_factory.mktemp("flow") / "run")
    return train_video_flow.Config(
        toy.run,
        toy.data,
        VideoData(str(videos_run), sound_share=0.5, frame_dropout=0.1, video_dropout=0.1),
        initial=str(flow_run / "transformer"),
        rank=0,
        times=TimeDistribution(1.0, 1.2),
        log_variance=True,
        channel_weights=True,
        optimising=OptimizerConfig("muon", 1e-3, warmup_steps=1, weight_decay=0.01),
        activation_checkpointing=False,
        compile=False,
    )


@pytest.fixture(scope="session")
def visual_config(tmp_path_factory: pytest.TempPathFactory) -> train_visual.Config:
    overrides = (
        *("steps=4", "log_every=1", "save_every=2", "size=32", "channels=8", "width=16"),
        *("batch_size=3", "seconds=2.0", "workers=0", "warmup_steps=1", "held_out_clips=18"),
        *('precision="no"', f"output={tmp_path_factory.mktemp('visual') / 'run'}"),
    )
    return load_config(train_visual.Config, CONFIGS / "visual_tiny.yaml", overrides)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger of three labels whose answers differ from sound to sound."""
    folder = tmp_path_factory.mktemp("teachers") / "ear"
    save_tagger(toy_tagger(1, ("bell", "dog bark", "rain")), folder)
    return folder


@pytest.fixture(scope="session")
def taught_run(manifest: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "taught"
    teach.main(teach_config(manifest, teacher, output))
    return output


@pytest.fixture(scope="session")
def tagger_run(taught_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "tagger"
    train_tagger.main(tagger_config(taught_run, output))
    return output
