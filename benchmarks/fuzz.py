"""Damage what the commands read, in many ways, and count how each ended.

    python benchmarks/fuzz.py [--cases N] [--seed S] [--doors NAME ...] [--keep DIR] [--seconds S]

A door is a command and the files that it reads. Each case takes one door, damages one of its files (bytes, or values of
JSON, YAML and safetensors headers; lines of texts), and runs the command in a process of its own. Case i follows from the
seed and i alone. It must end with exit code 0, with 2 and one line that names the file, or with 1 and the line that a model makes silence; within a minute, 1.5 GB of
memory and 256 MB of written files. Anything else is a fault: its number is printed, and with --keep its folder stays.

Printed are the counts by door. The exit code is 1 if there was a fault. POSIX systems only.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import random
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
import yaml
from tqdm import tqdm

from woosh import cli
from woosh.catalogue import find_model, part_folders
from woosh.data.shards import Sample, write_shard
from woosh.generation.loading import load_part
from woosh.generation.lora import LoraFacts, add_lora, save_lora
from woosh.taggers import AudioTagger, save_tagger
from woosh.taggers.mobilenet import MobileNet

ROOT = Path(__file__).parent.parent
RATE = 48_000
MEMORY = 1_500_000_000  # bytes that a case may hold
WRITTEN = 256_000_000  # bytes of a file that a case may write
LONGEST_MESSAGE = 1_500  # characters
LARGE = 1_000_000  # bytes
CURSOR_UP = "\x1b[A"  # that bars below each other print
SILENCE = " gave silence with the seeds "  # what a model of damaged numbers may well make
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


# Damage


def damaged_bytes(data: bytes, source: random.Random) -> bytes:
    """Bytes of which some are changed, lost, doubled or moved."""
    damaged = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5, 20))):
        size = max(1, len(damaged))
        # Half of the places lie in the first kilobyte, where headers are.
        start = source.randrange(min(size, 1024) if source.random() < 0.5 else size)
        length = min(source.choice((1, 2, 4, 8, 64, 1000)), size - start)
        kind = source.randrange(7)
        if kind == 0:
            damaged[start : start + 1] = bytes([source.randrange(256)])
        elif kind == 1:
            extreme = source.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1))
            damaged[start : start + 8] = extreme.to_bytes(8, source.choice(("little", "big")))
        elif kind == 2:
            del damaged[start : start + length]
        elif kind == 3:
            damaged[start:start] = damaged[start : start + length]
        elif kind == 4:
            damaged[start:start] = source.randbytes(length)
        elif kind == 5:
            damaged[start : start + length] = bytes(length)
        else:
            del damaged[start:]
    return bytes(damaged)


EXTREMES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, float("nan"), float("inf"), 10**12, 10**400, "", "x" * 5000, "\x1b[31m\u2028\x85",
    "../../etc/passwd", "/etc/passwd", "~nosuch/x", [], {}, [[]], [None], {"a": {}}, "\ud800",
)  # fmt: skip


def damaged_value(value: Any, source: random.Random) -> Any:
    """A value of JSON in which one value, name or member is changed."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        members = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, member in members:
            places.append((node, key))
            collect(member)

    collect(value)
    if not places or source.random() < 0.05:
        return copy.deepcopy(source.choice(EXTREMES))
    node, key = source.choice(places)
    kind = source.randrange(4)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[source.choice(("", "unknown", "__class__", key + "s"))] = node.pop(key)
    else:
        nested: Any = []
        for _ in range(3000 if source.random() < 0.03 else 0):
            nested = [nested]
        node[key] = nested or copy.deepcopy(source.choice(EXTREMES))
    return value


def as_json(value: Any) -> bytes:
    """JSON of any depth and with numbers of any length."""
    sys.set_int_max_str_digits(0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(value).encode()
    finally:
        sys.setrecursionlimit(limit)


def damaged_text(text: str, source: random.Random) -> bytes:
    """Text of which lines are lost, doubled or joined, with marks that not every reader knows, or in another encoding."""
    lines = text.splitlines(keepends=True)
    place = source.randrange(max(1, len(lines)))
    kind = source.randrange(6)
    if kind == 0:
        lines.insert(
            place,
            source.choice(
                ("\n", "\x00\n", "\ufeff", "\u2028", "\x85", "T\xfcr\n", "a" * 10**6 + "\n")
            ),
        )
    elif kind == 1:
        del lines[place : place + 1]
    elif kind == 2:
        lines = lines[: place + 1] * source.choice((2, 1000))
    elif kind == 3:
        return ("T\xfcr" + text).encode("latin-1", "replace")
    elif kind == 4:
        return text.encode(source.choice(("utf-16", "utf-8-sig")))
    else:
        return b""
    return "".join(lines).encode()


def damaged_file(path: Path, source: random.Random) -> bytes:
    """What a file holds after damage that fits its kind, or to its bytes."""
    data = path.read_bytes()
    if source.random() < 0.4:
        return damaged_bytes(data, source)
    if path.suffix == ".json":
        return as_json(damaged_value(json.loads(data), source))
    if path.suffix == ".jsonl" and source.random() < 0.7:
        rows = [json.loads(line) for line in data.splitlines()]
        place = source.randrange(len(rows))
        rows[place] = damaged_value(rows[place], source)
        return b"\n".join(map(as_json, rows)) + b"\n"
    if path.suffix == ".yaml" and source.random() < 0.7:
        return as_json(damaged_value(yaml.safe_load(data), source))
    if path.suffix == ".safetensors":
        size = int.from_bytes(data[:8], "little")
        header = as_json(damaged_value(json.loads(data[8 : 8 + size]), source))
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    if path.suffix in (".txt", ".jsonl", ".yaml"):
        return damaged_text(data.decode(), source)
    return damaged_bytes(data, source)


# Cases


@dataclass(frozen=True)
class Ending:
    """How a case ended: "accepted", "refused", or the name of a fault."""

    verdict: str
    said: str = ""

    @property
    def is_fault(self) -> bool:
        return self.verdict not in ("accepted", "refused")


def run_command(command: Sequence[str]) -> int:
    """A command of `woosh`, or a recipe as it is started from a shell."""
    if not command[0].endswith(".py"):
        return cli.main(command)
    sys.argv = [str(ROOT / "training" / command[0]), *command[1:]]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


def in_process_of_its_own(
    folder: Path, command: Sequence[str], seconds: float
) -> tuple[int, int, str]:
    """Run a command in a folder: exit status (-1 for too long), most memory in bytes, and what it said."""
    said = folder.parent / "said.txt"
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = io.TextIOWrapper(
                os.fdopen(1, "wb", 0), write_through=True, errors="backslashreplace"
            )
            sys.stderr = io.TextIOWrapper(
                os.fdopen(2, "wb", 0), write_through=True, errors="backslashreplace"
            )
            resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN, WRITTEN))
            code = run_command(command)
        except BaseException:  # noqa: BLE001 - whatever ends a command is what is looked for
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
            status = -1
            break
        time.sleep(0.005)
    code = -1 if status == -1 else os.waitstatus_to_exitcode(status)
    return code, used.ru_maxrss * 1024, said.read_text(encoding="utf-8", errors="replace")


def judged(code: int, memory: int, said: str, names: Sequence[str], named: bool) -> Ending:
    """What an ending is, by the rules above."""
    errors = [line for line in said.splitlines() if ": error: " in line]
    if code == -1:
        return Ending("too long", said[-300:])
    if "Traceback" in said:
        return Ending("traceback", said[-1500:])
    if code == 1 and SILENCE in said and len(errors) == 1:
        return Ending("refused", errors[0])
    if code not in (0, 2):
        return Ending(f"exit code {code}", said[-300:])
    if memory > MEMORY:
        return Ending(f"{memory / 1e9:.1f} GB", said[-300:])
    if any(ord(sign) < 32 and sign not in "\n\r\t" for sign in said.replace(CURSOR_UP, "")):
        return Ending("control characters", repr(said[-300:]))
    if code == 0:
        return Ending("accepted")
    if len(errors) != 1 or len(errors[0]) > LONGEST_MESSAGE:
        return Ending("no single line", said[-600:])
    if named and not any(name in errors[0] for name in names):
        return Ending("unnamed", errors[0])
    return Ending("refused", errors[0])


def fresh_case(name: str, place: Path) -> Path:
    """A folder with a door's whole files, of which large ones are links."""
    whole, case = place / "whole" / name, place / "case"
    if not whole.exists():
        # Built where it is used: an index knows its place.
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir()
        DOORS[name].build(case)
        whole.parent.mkdir(exist_ok=True)
        case.rename(whole)

    def copy(source: str, target: str) -> None:
        # No command writes into a file as large as this.
        (os.link if os.path.getsize(source) > LARGE else shutil.copyfile)(source, target)  # noqa: PTH202

    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(whole, case, copy_function=copy)
    return case


def files_of(name: str, case: Path) -> list[Path]:
    """The files of a door that are damaged, one at a time."""
    patterns = DOORS[name].damaged
    return sorted({path for pattern in patterns for path in case.glob(pattern) if path.is_file()})


def run_with(name: str, case: Path, chosen: Path, seconds: float) -> Ending:
    """Run a door's command, of which the chosen file is what a pattern in it stands for."""
    command = [chosen.name if "*" in word else word for word in DOORS[name].command]
    code, memory, said = in_process_of_its_own(case, command, seconds)
    names = [*chosen.relative_to(case).parts, chosen.stem]
    return judged(code, memory, said, names, DOORS[name].named)


def check_whole(name: str, place: Path, seconds: float) -> None:
    """Check that a door's command does its work with whole files: or all its refusals would mean nothing.

    Raises:
        ValueError: it does not.
    """
    case = fresh_case(name, place)
    for path in files_of(name, case) if "*" in " ".join(DOORS[name].command) else [case / "none"]:
        ending = run_with(name, case, path, seconds)
        if ending.verdict != ("accepted" if DOORS[name].complete else "refused"):
            raise ValueError(f"{name} with whole files: {ending.verdict}: {ending.said}")


def run_case(
    number: int, seed: int, doors: Sequence[str], place: Path, seconds: float
) -> tuple[str, Ending]:
    """Damage one file of one door and run its command in place/case."""
    name = doors[number % len(doors)]
    case, source = fresh_case(name, place), random.Random(f"{seed} {number}")
    chosen = source.choice(files_of(name, case))
    data = damaged_file(chosen, source)
    chosen.unlink()
    chosen.write_bytes(data)
    ending = run_with(name, case, chosen, seconds)
    return f"{name}, {chosen.relative_to(case)}", ending


def main() -> int:
    """Run the cases and print how they ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", type=int, default=2000)
    add("--seed", type=int, default=0)
    add("--only", type=int, nargs="+", metavar="NUMBER", help="these cases alone")
    add("--doors", nargs="+", choices=tuple(DOORS), default=tuple(DOORS))
    add("--keep", type=Path, help="folder for the folders of faults")
    add("--seconds", type=float, default=60.0, help="that a case may take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.doors:
            check_whole(name, Path(scratch), options.seconds)
        numbers = options.only or range(options.cases)
        for number in tqdm(numbers, leave=False):
            what, ending = run_case(
                number, options.seed, options.doors, Path(scratch), options.seconds
            )
            door = what.split(",")[0]
            counts[door, "fault" if ending.is_fault else ending.verdict] += 1
            if ending.is_fault:
                tqdm.write(f"{number}: {what}: {ending.verdict}: {ending.said}")
                if options.keep is not None:
                    shutil.copytree(
                        Path(scratch) / "case", options.keep / str(number), dirs_exist_ok=True
                    )
    print("| door | accepted | refused | faults |\n|---|---|---|---|")
    for door in options.doors:
        cells = [str(counts[door, verdict]) for verdict in ("accepted", "refused", "fault")]
        print(f"| {door} | {' | '.join(cells)} |")
    faults = sum(count for (_, verdict), count in counts.items() if verdict == "fault")
    print(f"{sum(counts.values())} cases, seed {options.seed}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
