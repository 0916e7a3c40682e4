"""The ways into the program: commands, and the whole files that they read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile
import torch

from woosh import audio, cli
from woosh.catalogue import find_model, part_folders
from woosh.data.shards import Sample, write_shard
from woosh.generation.loading import load_part
from woosh.generation.lora import LoraFacts, add_lora, save_lora
from woosh.studio import provenance
from woosh.taggers import AudioTagger, save_tagger
from woosh.taggers.mobilenet import MobileNet

ROOT = Path(__file__).parents[2]
RATE = 48_000
QUICK = ("--seconds", "0.2", "--steps", "1", "--seed", "0", "--quiet")
FEW_STEPS = ("--model", "woosh-tiny-fast")


@dataclass(frozen=True)
class Door:
    """A way into the program.

    Attributes:
        build: writes whole files into a folder.
        damaged: patterns of the files of which one is damaged.
        command: arguments of `woosh`; or a recipe and its arguments, if the first ends in `.py`.
        named: the one line must name the file or its folder.
        complete: the command succeeds with whole files; a recipe ends for want of others.
    """

    build: Callable[[Path], None]
    damaged: tuple[str, ...]
    command: tuple[str, ...]
    named: bool = True
    complete: bool = True


def tone(seconds: float, seed: int = 0) -> np.ndarray:
    """(S,) of noise and a tone."""
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(size=len(times))
    return (0.2 * np.sin(2 * np.pi * 440 * (1 + seed) * times) + 0.02 * noise).astype(np.float32)


def sound(name: str, folder: Path) -> None:
    """A sound file."""
    soundfile.write(folder / name, tone(0.5), RATE)


def sounds(folder: Path) -> None:
    """Three sounds below sounds/."""
    (folder / "sounds").mkdir()
    for number in range(3):
        soundfile.write(folder / "sounds" / f"{number}.wav", tone(0.5, number), RATE)


def manifest(folder: Path) -> None:
    """A manifest of three sounds, and captions of these."""
    sounds(folder)
    rows = [
        {
            "file": f"sounds/{number}.wav",
            "captions": [f"tone {number}"],
            "seconds": 0.5,
            "split": "train",
        }
        for number in range(3)
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    captions = [{"file": f"{number}.wav", "caption": f"tone {number}"} for number in range(3)]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in captions))


def vectors(folder: Path) -> None:
    """Embeddings of three sounds."""
    sounds(folder)
    members = {f"{number}.wav": np.ones(8) for number in range(3)}
    np.savez(folder / "vectors.npz", allow_pickle=False, **members)


def prepared(folder: Path) -> None:
    """Shards that `woosh data prepare` made, one of them lost."""
    sounds(folder)
    made = ("data", "prepare", str(folder / "sounds"), str(folder / "shards"))
    assert cli.main([*made, "--files-per-shard", "2"]) == 0
    min((folder / "shards").glob("*.tar")).unlink()


def index(folder: Path) -> None:
    """An index of three sounds."""
    sounds(folder)
    assert cli.main(["index", str(folder / "sounds"), "-o", str(folder / "index")]) == 0


def assets(folder: Path) -> None:
    """Sheets of two sounds, made, with the manifest of a run and the journal of another."""
    rows = "name,prompt,seconds,count,loudness\ndoors/a,a door,0.3,1,-30\nrain,heavy rain,0.3,,\n"
    (folder / "sheet.csv").write_text(rows)
    listed = "- {name: doors/a, prompt: a door, seconds: 0.3}\n- {name: rain, prompt: heavy rain}\n"
    (folder / "sheet.yaml").write_text(f"assets:\n{listed}")
    made = ("batch", str(folder / "sheet.csv"), "-o", str(folder / "assets"), *FEW_STEPS)
    assert cli.main(made) == 0
    entries = json.loads((folder / "assets" / "manifest.json").read_text())["assets"]
    journal = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "assets" / "manifest-1of2.jsonl").write_text(journal)


def layers(folder: Path) -> None:
    """Sheets of layers that are files."""
    sound("sound.wav", folder)
    (folder / "layers.csv").write_text("file,start,level\nsound.wav,0.5,-6\nsound.wav,,3\n")
    (folder / "layers.yaml").write_text(
        "layers:\n- {file: sound.wav, pan: -0.5, start: 1}\n- {file: sound.wav}\n"
    )


def model(name: str, folder: Path) -> None:
    """A built-in model with all of its parts in one folder."""
    source = find_model(name)
    (folder / "model").mkdir()
    whole = json.loads((source / "model_index.json").read_text())
    whole.pop("_parts_of", None)
    (folder / "model" / "model_index.json").write_text(json.dumps(whole))
    for part, place in part_folders(source).items():
        shutil.copytree(place, folder / "model" / part)


def lora(folder: Path) -> None:
    """A LoRA of woosh-tiny."""
    transformer = load_part("transformer", part_folders(find_model("woosh-tiny"))["transformer"])
    add_lora(transformer, 2, 2.0, 0.0)
    save_lora(transformer, folder / "lora.safetensors", LoraFacts(2, 2.0, "woosh-tiny"))


def tagger(folder: Path) -> None:
    """A small tagger: its folder, and its weights in torch's own format with a list of labels."""
    sound("sound.wav", folder)
    labels = tuple(f"label {number}" for number in range(20))
    small = AudioTagger(MobileNet(0.1, classes=len(labels)), labels)
    save_tagger(small, folder / "tagger")
    torch.save(small.network.state_dict(), folder / "weights.pt")
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")


def words(folder: Path) -> None:
    """A sound, and labels to choose from."""
    sound("sound.wav", folder)
    (folder / "words.txt").write_text("a dog\nrain\nglass\n")


def film(folder: Path) -> None:
    """Videos of a quarter of a second with a sound."""
    for name in ("film.mp4", "film.mkv"):
        with av.open(str(folder / name), "w") as target:
            picture = target.add_stream("libx264", rate=24)
            track = target.add_stream("aac", rate=RATE)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"  # type: ignore[union-attr]
            for number in range(6):
                shown = np.full((48, 64, 3), 40 * number, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
                target.mux(picture.encode(frame))  # type: ignore[union-attr]
            heard = av.AudioFrame.from_ndarray(tone(0.25)[None], format="fltp", layout="mono")
            heard.sample_rate = RATE
            target.mux(track.encode(heard))  # type: ignore[union-attr]
            for stream in (picture, track):
                target.mux(stream.encode(None))  # type: ignore[union-attr]


def assured(folder: Path) -> None:
    """Sounds that say what made them, signed where their format can be."""
    credentials = provenance.make_credentials()
    record = {"prompt": "a door", "seed": 3, "model": "woosh-tiny"}
    for kind in ("wav", "flac", "ogg", "mp3"):
        path = folder / f"made.{kind}"
        audio.write_audio(path, tone(0.5)[None], RATE, record, marks=audio.Marks((10, 20_000)))
        if kind != "ogg":
            provenance.sign(path, record, credentials)


def recipe(config: str, folder: Path) -> None:
    """A recipe's configuration, whose data are not there."""
    shutil.copy(ROOT / "configs" / config, folder / config)


def shards(folder: Path) -> None:
    """A shard, and the configuration of a training on it that ends for want of other files."""
    write_shard(
        folder / "a.tar",
        [Sample(f"s{n}", tone(0.5, n)[None], RATE, {"captions": ["x"]}) for n in (0, 1)],
    )
    recipe("latents_mel.yaml", folder)


RECIPES = {
    "train_flow": "flow_tiny.yaml",
    "train_autoencoder": "autoencoder_tiny.yaml",
    "encode_latents": "latents_mel.yaml",
    "finetune_lora": "lora_tiny.yaml",
}
DOORS = {
    **{
        f"sound.{kind}": Door(
            partial(sound, f"sound.{kind}"), (f"sound.{kind}",), ("tag", f"sound.{kind}")
        )
        for kind in ("wav", "flac", "ogg", "mp3")
    },
    "manifest": Door(manifest, ("manifest.jsonl",), ("data", "prepare", "manifest.jsonl", "out")),
    "prepared": Door(
        prepared,
        ("shards/*.json*", "shards/*.tar"),
        ("data", "prepare", "sounds", "shards", "--files-per-shard", "2"),
    ),
    "captions": Door(
        manifest,
        ("captions.jsonl",),
        ("evaluate", "generation", "--generated", "sounds", "--reference", "sounds")
        + ("--captions", "captions.jsonl", "--embedding", "log-mel", "--cache", "cache"),
    ),
    "vectors": Door(
        vectors,
        ("vectors.npz",),
        ("evaluate", "generation", "--generated", "sounds", "--reference", "sounds")
        + ("--embedding", "vectors.npz"),
    ),
    "index": Door(index, ("index/*",), ("search", "tone", "--index", "index", "--export", "found")),
    "index again": Door(index, ("index/*",), ("index", "sounds", "-o", "index")),
    "model": Door(
        partial(model, "woosh-tiny-fast"),
        ("model/*.json", "model/*/*"),
        ("generate", "a dog", "--model", "model", *QUICK),
    ),
    "larger model": Door(
        partial(model, "woosh-small"),
        ("model/*.json", "model/*/*.json", "model/autoencoder/*", "model/transformer/*"),
        ("generate", "a dog", "--model", "model", *QUICK),
    ),
    "lora": Door(
        lora, ("lora.safetensors",), ("generate", "a dog", "--lora", "lora.safetensors", *QUICK)
    ),
    "tagger": Door(tagger, ("tagger/*", "tagger/*/*"), ("tag", "sound.wav", "--model", "tagger")),
    "published tagger": Door(
        tagger, ("weights.pt", "labels.txt"), ("tag", "sound.wav", "--model", "tagger:weights.pt")
    ),
    "words": Door(words, ("words.txt",), ("tag", "sound.wav", "--labels", "words.txt")),
    "assets": Door(
        assets,
        ("sheet.csv", "assets/manifest*.json*"),
        ("batch", "sheet.csv", "-o", "assets", "--dry-run", *FEW_STEPS),
    ),
    "assets in YAML": Door(
        assets, ("sheet.yaml",), ("batch", "sheet.yaml", "-o", "assets", "--dry-run", *FEW_STEPS)
    ),
    "verify": Door(assured, ("made.*",), ("verify", "made.*")),
    "layers": Door(layers, ("layers.*",), ("layer", "layers.*", "-o", "mix.wav")),
    "film": Door(
        film, ("film.*",), ("dub", "film.*", "--steps", "1", "--seed", "0", "-o", "out.mp4")
    ),
    **{
        name: Door(
            partial(recipe, config), (config,), (f"{name}.py", config), named=False, complete=False
        )
        for name, config in RECIPES.items()
    },
    "shards": Door(
        shards,
        ("a.tar",),
        (
            "encode_latents.py",
            "latents_mel.yaml",
            "data=a.tar",
            f"autoencoder={find_model('woosh-small')}/autoencoder",
        )
        + ("output=out", "twins=[]"),
    ),
}
