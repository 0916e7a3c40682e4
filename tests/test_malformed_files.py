"""Every reader of outside files against every malformation: read, or one error with the file's folder in one line."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.official import load_released
from tests.sounds import write_sounds
from tests.toys import (
    make_clap,
    make_mel_autoencoder,
    make_transformer,
    save_pipeline,
    save_seeing_pipeline,
)
from woosh import cli
from woosh.autoencoder import load_autoencoder
from woosh.catalogue import describe_aligner, describe_model
from woosh.conversion.convert import convert
from woosh.data.manifests import read_manifest
from woosh.data.phrases import audioset_phrases, label_phrases, ucs_phrases
from woosh.data.prepare import Settings, prepare
from woosh.embeddings.clap import load_clap, save_clap
from woosh.generation.loading import load_sampler
from woosh.generation.lora import LoraFacts, add_lora, merge_lora, save_lora
from woosh.taggers import load_tagger
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.fields import Axis, Fields
from woosh.taggers.labels import read_labels
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt
from woosh.taggers.passt_weights import load_passt
from woosh.taggers.published import load_published
from woosh.taggers.tagger import AudioTagger, save_tagger
from woosh.training.flow.latents import Common, read_common, write_common
from woosh.training.taggers.teaching import read_summary
from woosh.video.watching import load_watcher
from woosh.whole_files import LOCK

DEEP: Any = "deep"  # stands for lists within lists, more than can be read
VALUES = (None, True, -1, 0, 10**30, 1e300, float("nan"), "text", "\ud800", [], {}, [None], DEEP)


class Reader(NamedTuple):
    """A file inside the prepared folder, and who reads it."""

    file: str
    read: Callable[[Path], object]  # the prepared folder


READERS = {
    "described model": Reader("model/model_index.json", lambda p: describe_model(p / "model")),
    "described transformer": Reader(
        "model/transformer/config.json", lambda p: describe_model(p / "model")
    ),
    "described autoencoder": Reader(
        "model/autoencoder/config.json", lambda p: describe_model(p / "model")
    ),
    "model": Reader("model/model_index.json", lambda p: load_sampler(p / "model")),
    "transformer": Reader("model/transformer/config.json", lambda p: load_sampler(p / "model")),
    "autoencoder": Reader("model/autoencoder/config.json", lambda p: load_sampler(p / "model")),
    "mel autoencoder": Reader("mel/config.json", lambda p: load_autoencoder(p / "mel")),
    "text encoder": Reader("model/text_encoder/config.json", lambda p: load_sampler(p / "model")),
    "tokenizer": Reader(
        "model/tokenizer/tokenizer_config.json", lambda p: load_sampler(p / "model")
    ),
    "described aligner": Reader("clap/model_index.json", lambda p: describe_aligner(p / "clap")),
    "aligner": Reader("clap/model_index.json", lambda p: load_clap(p / "clap")),
    "head": Reader("clap/head/config.json", lambda p: load_clap(p / "clap")),
    "audio encoder": Reader("clap/audio_encoder/config.json", lambda p: load_clap(p / "clap")),
    "tagger": Reader("ear/model_index.json", lambda p: load_tagger(p / "ear")),
    "tagger's network": Reader("ear/network/config.json", lambda p: load_tagger(p / "ear")),
    "restricted network": Reader("narrow/network/config.json", lambda p: load_tagger(p / "narrow")),
    "mobile network": Reader("mobile/network/config.json", lambda p: load_tagger(p / "mobile")),
    "gated network": Reader("gated/network/config.json", lambda p: load_tagger(p / "gated")),
    "passt": Reader("passt/config.json", lambda p: load_passt(p / "passt")),
    "watcher": Reader("seeing/visual/config.json", lambda p: load_watcher(p / "seeing" / "visual")),
    "labels": Reader("labels/labels.json", lambda p: read_labels(p / "labels" / "labels.json")),
    "manifest": Reader(
        "sounds/manifest.jsonl", lambda p: read_manifest(p / "sounds/manifest.jsonl")
    ),
    "plan": Reader("shards/plan.json", lambda p: prepare(p / "sounds", p / "shards", Settings())),
    "notes": Reader(
        "shards/shard-000000.json", lambda p: prepare(p / "sounds", p / "shards", Settings())
    ),
    "common": Reader("latents/common.json", lambda p: read_common(p / "latents")),
    "teaching": Reader("taught/teaching.json", lambda p: read_summary(p / "taught")),
    "kinds of sounds": Reader("text/ucs.json", lambda p: list(ucs_phrases(p / "text/ucs.json"))),
    "ontology": Reader(
        "text/ontology.json", lambda p: list(audioset_phrases(p / "text/ontology.json"))
    ),
    "labels of data sets": Reader(
        "text/labels/a.json", lambda p: list(label_phrases(p / "text/labels"))
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for every reader, as it should be."""
    place = tmp_path_factory.mktemp("whole")
    save_pipeline(place / "model")
    save_seeing_pipeline(place / "seeing")
    make_mel_autoencoder().save_pretrained(place / "mel")
    save_clap(make_clap(), place / "clap")
    save_tagger(AudioTagger(MobileNet(0.1, classes=3), ("a", "b", "c")), place / "ear")
    narrow = Fields((1, 0, 0), Axis((3, 1)), Axis((3, 1)))
    networks = {
        "narrow": CpResNet(4, 1, 3, narrow),
        "mobile": CpMobile(8, blocks=(1,), classes=3),
        "gated": ConGater(Passt(8, 1, 2, 16, 20, classes=3), ("device",), "T", "last"),
    }
    for name, network in networks.items():
        save_tagger(AudioTagger(network, ("a", "b", "c")), place / name)
    Passt(width=16, depth=1, heads=2, frames=40, classes=3).save_pretrained(place / "passt")
    (place / "labels").mkdir()
    (place / "labels" / "labels.json").write_text('{"bell": 0, "door": 1}')
    (place / "labels" / "labels.csv").write_text(
        "index,mid,display_name\n0,/m/0,bell\n1,/m/1,door\n"
    )
    write_sounds(place / "sounds", range(2))
    (place / "sounds" / "clip-0.txt").write_text("a door\n")
    row = {"file": "clip-0.wav", "captions": ["a"], "seconds": 1, "split": "train", "label": "a"}
    row["segments"] = [{"start": 0, "stop": 1, "captions": ["b"]}]
    (place / "sounds" / "manifest.jsonl").write_text(json.dumps(row))
    prepare(place / "sounds", place / "shards", Settings())
    (place / "shards" / LOCK).unlink()  # as a link, which the copies would have, it is refused
    for name in ("latents", "taught", "text/labels"):
        (place / name).mkdir(parents=True)
    common = Common(torch.zeros(4, 3), torch.ones(4), torch.ones(2, 6), 5, torch.ones(4))
    write_common(place / "latents", common)
    taught = {"teachers": [{"name": "ear", "weights": "abc"}], "labels": ["bell"]}
    (place / "taught" / "teaching.json").write_text(json.dumps(taught))
    kind = {"Category": "AIR", "SubCategory": "BURST", "Explanations": "Air.", "Synonyms": ["gas"]}
    (place / "text" / "ucs.json").write_text(json.dumps([kind]))
    named = [{"name": "Bark, woof", "description": "Of a dog."}]
    (place / "text" / "ontology.json").write_text(json.dumps(named))
    (place / "text" / "labels" / "a.json").write_text('{"bell": 0}')
    return place


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage, whose files that stay as they are are links."""
    shutil.copytree(whole, tmp_path / "copy", copy_function=lambda a, b: Path(b).symlink_to(a))
    return tmp_path / "copy"


def assert_read_or_refused(reader: Reader, folder: Path, case: object) -> None:
    try:
        reader.read(folder)
    except (ValueError, OSError) as error:
        text = str(error)
        assert str(folder) in text, f"{case}: no name in {text[:500]!r}"
        assert len(text) < 2000, f"{case}: {len(text)} characters"
    except BaseException as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error


def write(path: Path, content: bytes) -> None:
    """Replace a file of the copy, not what its link leads to."""
    path.unlink()
    path.write_bytes(content)


def changed(values: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[object, Any]]:
    """Copies of JSON values, in each of which one value at any depth is another, or missing."""
    inner = values.items() if isinstance(values, dict) else enumerate(values[:2])
    for key, value in list(inner):
        for other in VALUES:
            copied = copy.copy(values)
            copied[key] = other
            yield (*keys, key, other), copied
        without = copy.copy(values)
        del without[key]
        yield (*keys, key, "missing"), without
        if isinstance(value, dict | list):
            for case, copied_value in changed(value, (*keys, key)):
                copied = copy.copy(values)
                copied[key] = copied_value
                yield case, copied


def as_json(values: Any) -> bytes:
    return json.dumps(values).replace('"deep"', "[" * 100_000 + "]" * 100_000).encode()


CONTENTS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "latin": '{"größe": 1}'.encode("latin-1"),
    "cut": b'{"a": [1, ',
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "list": b"[1, 2]",
    "number": b"1",
    "null": b"null",
    "text": b'"text"',
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
    "not a number": b'{"a": NaN}',
}


@pytest.mark.parametrize("name", READERS)
def test_other_contents(name: str, folder: Path) -> None:
    """A file that holds something else altogether was a traceback in most readers."""
    reader = READERS[name]
    for case, content in CONTENTS.items():
        write(folder / reader.file, content)
        assert_read_or_refused(reader, folder, case)


# Readers that load whole models take a third of the cases, each value beside other keys; benchmarks/fuzz has no end.
COSTLY = {"model", "transformer", "text encoder", "tokenizer", "head", "audio encoder"}


@pytest.mark.parametrize("name", READERS)
def test_other_values(name: str, folder: Path) -> None:
    """A value of another type or size, or none, was a traceback wherever it was used first."""
    reader = READERS[name]
    original = json.loads((folder / reader.file).read_text())
    reader.read(folder)
    for case, values in islice(changed(original), 0, None, 3 if name in COSTLY else 1):
        write(folder / reader.file, as_json(values))
        assert_read_or_refused(reader, folder, case)


def tensors_of(path: Path) -> tuple[dict[str, Any], dict[str, str] | None]:
    with safe_open(path, "pt") as file:
        return load_file(path), file.metadata()


WEIGHTS = {
    "transformer": ("model/transformer", lambda p: load_sampler(p / "model")),
    "autoencoder": ("model/autoencoder", lambda p: load_sampler(p / "model")),
    "text encoder": ("model/text_encoder", lambda p: load_sampler(p / "model")),
    "head": ("clap/head", lambda p: load_clap(p / "clap")),
    "tagger": ("ear/network", lambda p: load_tagger(p / "ear")),
    "published tagger": (
        "ear/network",
        lambda p: load_published(next((p / "ear/network").glob("*.s*"))),
    ),
    "passt": ("passt", lambda p: load_passt(p / "passt")),
    "watcher": ("seeing/visual", lambda p: load_watcher(p / "seeing/visual")),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_other_tensors(name: str, folder: Path) -> None:
    """A network must not start with tensors that its file lacks, nor leave out what the file has."""
    place, read = WEIGHTS[name]
    (path,) = (folder / place).glob("*.safetensors")
    tensors, metadata = tensors_of(path)
    names = [key for key in tensors if not key.endswith("num_batches_tracked")]
    for key in names[:: max(1, len(names) // 6)]:
        for case, changed_tensors in {
            "missing": {n: t for n, t in tensors.items() if n != key},
            "another shape": tensors | {key: tensors[key].flatten()[:1].repeat(3)},
            "another name": {n + "x" * (n == key): t for n, t in tensors.items()},
            "left over": tensors | {"further": tensors[key].clone()},
        }.items():
            path.unlink()
            save_file(changed_tensors, path, metadata)
            with pytest.raises(ValueError, match=str(folder)) as refused:
                read(folder)
            assert len(str(refused.value)) < 3000, (key, case)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b'{"a": 1}',
        b'{"a": {"shape": "x", "data_offsets": [0, 4]}}',
        b'{"a": {"shape": [1e400], "data_offsets": [0, 4]}}',
        b'{"a": {"shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"shape": [1], "data_offsets": [4]}}',
        b'{"a": {"shape": [1], "data_offsets": [0, 99999999999]}}',
        b'{"__metadata__": [1]}',
    ],
)
def test_headers_of_weights(header: bytes, folder: Path) -> None:
    """A model is described from the header of its weights, before anything of the file is trusted."""
    (path,) = (folder / "model/transformer").glob("*.safetensors")
    for length in (len(header), 2**63, 0):
        write(path, length.to_bytes(8, "little") + header + bytes(4))
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            describe_model(folder / "model")


@pytest.mark.parametrize("rank", ["-1", "0", "x", "9" * 5000, ""])
def test_facts_of_adapters(rank: str, tmp_path: Path) -> None:
    """The record of a LoRA decides the scale of what is added to every weight."""
    transformer = make_transformer()
    add_lora(transformer, 2, 2.0, 0.0)
    path = tmp_path / "a.safetensors"
    save_lora(transformer, path, LoraFacts(2, 2.0, "woosh-tiny"))
    tensors, metadata = tensors_of(path)
    for changes in ({"rank": rank}, {"alpha": "nan"}, {"alpha": "inf"}, {"alpha": "x"}):
        save_file(tensors, path, {**(metadata or {}), **changes})
        with pytest.raises(ValueError, match="a.safetensors is no LoRA file"):
            merge_lora(make_transformer(), path)


def test_labels_of_every_form(folder: Path) -> None:
    """Labels stand for outputs by their number: a list of another length or order names the wrong ones."""
    for name, content in (
        ("labels.csv", b"index,display_name\n0\n"),
        ("labels.csv", b"index,name\n0,bell\n"),
        ("labels.csv", b"index,display_name\n0,bell\n2,door\n"),
        ("labels.csv", b"index,display_name\nx,bell\n"),
        ("labels.csv", b"index,display_name\n" + b"9" * 5000 + b",bell\n"),
        ("labels.csv", b'index,display_name\n0,"' + b"a" * 200_000 + b'"\n'),
        ("labels.csv", b"index,display_name\n0,T\xfcr\n"),
        ("labels.json", b'{"a": 0, "b": 0}'),
        ("labels.json", b'{"a": 0, "b": true}'),
        ("labels.json", b'{"a": -1}'),
        ("labels.txt", b"a\n\nb\n"),
        ("labels.txt", b"a\xff\n"),
        ("labels.txt", b"\n"),
        ("labels.txt", b""),
    ):
        path = folder / "labels" / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        with pytest.raises(ValueError, match=str(path)) as refused:
            read_labels(path)
        assert len(str(refused.value)) < 2000
    write(folder / "ear" / "labels.txt", b"a\nb\n")
    with pytest.raises(
        ValueError, match="ear makes no tagger: 2 labels for a network of 3 classes"
    ):
        load_tagger(folder / "ear")


RELEASED = ("Woosh-AE", "TextConditionerA", "Woosh-Flow")


@pytest.mark.parametrize("name", RELEASED)
def test_configurations_of_released_checkpoints(name: str, whole: Path, tmp_path: Path) -> None:
    """A released configuration is YAML of another project, nested and with many options."""
    config, tensors, _ = load_released(name)
    place = tmp_path / name
    place.mkdir()
    save_file(tensors, place / "weights.safetensors")
    reader = Reader(
        "config.yaml", lambda _: convert(place, tmp_path / "out", whole / "model/tokenizer")
    )
    contents = {case: content for case, content in CONTENTS.items() if case != "digits"}
    contents |= {
        f"{case}": json.dumps(values).encode()
        for case, values in islice(changed(config), 0, None, 3)
        if "deep" not in case
    }
    for case, content in contents.items():
        (place / "config.yaml").write_bytes(content)
        assert_read_or_refused(reader, tmp_path, case)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_text_of_the_commands_is_one_line_and_names_of_unknown_users_are_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`~nosuch` was a failure of the program (exit 1), in every argument that names a path."""
    for arguments in (
        ("index", "~nosuch"),
        ("search", "rain", "--index", "~nosuch"),
        ("data", "prepare", "~nosuch", "out"),
        ("tag", __file__, "--model", "~nosuch"),
        ("tag", __file__, "--model", "passt:s10:~nosuch/a.pt"),
        ("generate", "rain", "--model", "~nosuch"),
        ("generate", "rain", "-o", "~nosuch/rain.wav"),
        ("evaluate", "generation", "--reference", "~nosuch", "--generated", "~nosuch"),
    ):
        assert cli.main(list(arguments)) == 2, arguments
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "~nosuch" in err
