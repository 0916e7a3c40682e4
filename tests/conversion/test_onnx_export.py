"""Taggers as ONNX files: the same numbers in another program, for any number of clips of any length; refusals."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.official import assert_parity
from tests.paths import SHARED
from tests.toys import randomise
from woosh import cli
from woosh.conversion.onnx_export import (
    ConvolutionalLogMel,
    export_onnx,
    without_mixed_kernels,
)
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet

MN04 = SHARED / "official" / "mn04"
TOLERANCE = 1e-4


def noise(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(graph: onnxruntime.InferenceSession, x: Tensor) -> list[Tensor]:
    [given] = graph.get_inputs()
    found = graph.run(["logits", "features"], {given.name: x.numpy()})
    return [torch.from_numpy(np.asarray(value)) for value in found]


@pytest.mark.parametrize("replace_squeeze", [False, True])
def test_fixed_kernels_mixed_afterwards_are_mixed_kernels(replace_squeeze: bool) -> None:
    network = randomise(DynamicMobileNet(0.2, classes=5, replace_squeeze=replace_squeeze), 1)
    network.set_temperature(3.0)
    before, log_mel = network.state_dict(), noise(3, 1, 64, 41)
    with torch.no_grad():
        ours = without_mixed_kernels(network)(log_mel)  # type: ignore[arg-type]
        reference = network(log_mel)
    for value, expected in zip(ours, reference, strict=True):
        assert_parity(value, expected, TOLERANCE)
    assert list(network.state_dict()) == list(before)  # it was not changed itself


@pytest.mark.parametrize(
    "front_end",
    [LogMel(), LogMel(hop_length=800), LogMel(bands=40), LogMel(n_fft=512, window_length=512)],
    ids=["usual", "25 ms", "40 bands", "full window"],
)
@pytest.mark.parametrize("samples", [514, 4001, 32_000])
def test_the_transform_as_a_convolution_gives_the_same_log_mel(
    front_end: LogMel, samples: int
) -> None:
    audio = noise(2, samples, scale=0.1)
    found = ConvolutionalLogMel(front_end)(audio)
    torch.testing.assert_close(found, front_end(audio), rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "front_end"),
    [
        (
            MobileNet(0.1, classes=7, head="attention", attention_heads=2),
            LogMel(hop_length=640, bands=64),
        ),
        (DynamicMobileNet(0.1, classes=7), None),
    ],
    ids=["attention from audio", "dynamic from log-mel"],
)
def test_another_program_finds_the_same(
    network: MobileNet | DynamicMobileNet, front_end: LogMel | None, tmp_path: Path
) -> None:
    network = randomise(network, 1)  # type: ignore[assignment]
    export_onnx(network, tmp_path / "ear.onnx", front_end, tuple("abcdefg"))
    assert [path.name for path in tmp_path.iterdir()] == ["ear.onnx"]  # weights included
    graph = session(tmp_path / "ear.onnx")
    [given] = graph.get_inputs()
    known = graph.get_modelmeta().custom_metadata_map
    assert json.loads(known["labels"]) == list("abcdefg")
    if front_end is None:
        assert (given.name, given.shape) == ("log_mel", ["batch", 1, 128, "frames"])
        inputs = [noise(1, 1, 128, 16), noise(3, 1, 128, 77), noise(2, 1, 128, 300)]
    else:
        assert (given.name, given.shape) == ("audio", ["batch", "samples"])
        assert known["hop_length"] == str(front_end.hop_length)
        assert (known["sample_rate"], known["bands"]) == ("32000", str(front_end.bands))
        inputs = [noise(1, 514, scale=0.1), noise(3, 33_333, scale=0.1), noise(2, 96_000)]
    for x in inputs:
        with torch.no_grad():
            expected = network(x if front_end is None else front_end(x)[:, None])
        for value, reference in zip(run(graph, x), expected, strict=True):
            assert value.shape == reference.shape
            assert_parity(value, reference, TOLERANCE)


@pytest.mark.slow
@pytest.mark.skipif(not MN04.is_dir(), reason="no shared checkpoint mn04")
def test_the_published_mn04_is_exported_by_the_command(tmp_path: Path) -> None:
    target, labels = tmp_path / "mn04.onnx", MN04 / "class_labels_indices.csv"
    wanted = ("export-tagger", str(MN04 / "mn04_as_mAP_432.pt"), str(target))
    assert cli.main([*wanted, "--labels", str(labels)]) == 0
    io, graph = load_file(MN04 / "io.safetensors"), session(target)
    logits, features = run(graph, io["audio"].float())
    assert_parity(logits, io["logits"], TOLERANCE)
    assert_parity(features, io["features"], TOLERANCE)
    assert_parity(run(graph, io["audio"][:, :96_000].float())[0], io["logits_3s"], TOLERANCE)
    assert len(json.loads(graph.get_modelmeta().custom_metadata_map["labels"])) == 527
    assert cli.main([*wanted]) == 2  # it is there


def test_what_cannot_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ear.onnx"
    with pytest.raises(ValueError, match="has no head"):
        export_onnx(MobileNet(0.1), path)
    with pytest.raises(ValueError, match="fixes the length"):
        export_onnx(MobileNet(0.1, classes=3, squeeze_axes="ct"), path)
    with pytest.raises(ValueError, match="2 labels, but the network has 3 classes"):
        export_onnx(MobileNet(0.1, classes=3), path, labels=("a", "b"))
    save_file(MobileNet(0.1, classes=3).state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "words.txt").write_text("a\nb")
    source = str(tmp_path / "ear.safetensors")
    for arguments, message in (
        ((str(tmp_path / "none.pt"), str(path)), "unknown tagger"),
        ((source, str(tmp_path / "none" / "ear.onnx")), "make it first"),
        ((source, source), "exists: name a new file"),
        ((source, str(path), "--labels", str(tmp_path / "words.txt")), "2 labels"),
    ):
        assert cli.main(["export-tagger", *arguments]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"woosh-sfx\[onnx\]"):
        export_onnx(MobileNet(0.1, classes=3), path)
    assert not path.exists()
