"""Generators as ONNX graphs: the same sounds as from the networks, for any length; what is refused; strangers' own programs."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.official import assert_parity
from tests.paths import ROOT
from tests.toys import save_pipeline
from woosh import audio, cli
from woosh.autoencoder.phases import retrieve_phases
from woosh.catalogue import DEFAULT_MODEL, describe_model, find_model, model_checksum
from woosh.conversion.calibration import exact_layers_of
from woosh.conversion.phase_graph import InverseTransform, PhaseSearch, factors
from woosh.conversion.quantisation import products, quantise
from woosh.generation.graphs import Graph
from woosh.generation.loading import load_model, load_sampler
from woosh.generation.request import Request

TOLERANCE = 1e-4  # of the largest value


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few-step model that makes up to .39 s in one piece."""
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", flow_map=True, max_frames=20)


@pytest.fixture(scope="module")
def graphs(toy: Path) -> Path:
    """The same as graphs: made once, since tracing takes seconds."""
    assert cli.main(["export", str(toy), str(toy.parent / "graphs")]) == 0
    return toy.parent / "graphs"


def test_graphs_make_the_sounds_of_their_model(toy: Path, graphs: Path) -> None:
    """Whatever the prompts and the length, odd numbers of frames among them."""
    ours, theirs = load_sampler(graphs), load_sampler(toy)
    for request in (
        Request(["sea waves", "a dog"], seconds=0.1, seed=3),
        Request("a dog", seconds=0.37, seed=4, steps=2, guidance_scale=2.0),
        Request("", seconds=0.03, seed=5, renoise=(0.0, 0.4, 0.3, 0.2)),
    ):
        assert_parity(ours.latents(request), theirs.latents(request), TOLERANCE)
        assert_parity(ours(request), theirs(request), TOLERANCE)


def test_a_command_makes_the_same_file_of_graphs(
    toy: Path, graphs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finishing, seed and record are those of the model."""
    made = []
    for folder in (toy, graphs):
        path = tmp_path / f"{folder.name}.wav"
        wanted = ("generate", "a dog", "--seconds", "0.3", "--seed", "7", "--quiet", "--raw")
        assert cli.main([*wanted, "--model", str(folder), "-o", str(path)]) == 0
        made.append((audio.read_audio(path, 48_000), audio.read_metadata(path)))
    assert "seed 7" in capsys.readouterr().out
    (expected, record), (sound, own) = made
    assert_parity(torch.from_numpy(sound), torch.from_numpy(expected), 1e-3)  # 16 bits
    assert own == record


def test_a_folder_of_graphs_says_what_it_is(toy: Path, graphs: Path) -> None:
    info, model = describe_model(find_model(str(graphs))), describe_model(toy)
    assert info.graphs and not model.graphs
    for name in ("name", "sample_rate", "longest", "few_step", "parameters", "licence"):
        assert getattr(info, name) == getattr(model, name)
    assert model_checksum(graphs) != model_checksum(toy)
    facts = json.loads((graphs / "graphs.json").read_text(encoding="utf-8"))
    assert set(facts["graphs"]) == {"text_encoder", "prompt", "step", "decoder"}
    step = facts["graphs"]["step"]
    assert step["inputs"]["latents"][0] == "float32" and step["inputs"]["time"][1] == ["batch"]
    assert facts["times"] == [1.0, 0.75, 0.5, 0.25, 0.0] and len(facts["renoise"]) == 4


def test_what_graphs_cannot_do_is_refused(
    graphs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, sound, again = (str(path) for path in (graphs, tmp_path / "rain.wav", tmp_path / "again"))
    audio.write_audio(sound, np.random.default_rng(0).normal(0, 0.1, (1, 9600)), 48_000)
    for arguments, message in (
        (("export", name, again), "holds graphs already"),
        (("export", "woosh-tiny-fast", name), "exists: name a new folder"),
        (("vary", sound, "--model", name, "-o", again), "start from no sound"),
        (("loop", "rain", "--seconds", "0.5", "--model", name, "-o", again), "no loops"),
        (("generate", "rain", "--model", name, "--dtype", "bfloat16"), "leave out --device"),
        (("reconstruct", sound, again + ".wav", "--model", name), "and no networks"),
    ):
        assert cli.main([*arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "woosh-graphs 2"}, "export the model again"),
        ({"hop_length": 0}, "hop_length is 0"),
        ({"latent_rate": 0}, "latent_rate is 0"),
        ({"text_tokens": "many"}, "must be a whole number"),
    ],
)
def test_a_damaged_description_is_refused(
    graphs: Path, tmp_path: Path, change: dict, message: str
) -> None:
    facts = json.loads((graphs / "graphs.json").read_text(encoding="utf-8"))
    (tmp_path / "graphs.json").write_text(json.dumps(facts | change), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        describe_model(tmp_path)


def test_a_damaged_graph_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"step\.onnx is missing"):
        Graph(tmp_path / "step.onnx")
    (tmp_path / "step.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"step\.onnx is damaged"):
        Graph(tmp_path / "step.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"woosh-sfx\[onnx\]"):
        Graph(tmp_path / "step.onnx")


def test_eight_bits_stay_near(graphs: Path, tmp_path: Path) -> None:
    """Products of tokens are of whole numbers; those of times, and the layers that are named, are not."""
    model = onnx.load(graphs / "step.onnx")
    exact = ("audio_in", "joint.0.audio.feed_forward.expand", "fused.0.expand", "final.linear")
    quick = quantise(model, exact)
    kinds = [node.op_type for node in quick.graph.node]
    assert kinds.count("MatMulInteger") == len(products(model, exact))
    assert len(products(model, exact)) == len(products(model)) - len(exact) == 8
    onnx.save(quick, tmp_path / "step.onnx")
    whole, quantised = Graph(graphs / "step.onnx"), Graph(tmp_path / "step.onnx")
    given = {
        name: torch.rand(
            [2 if isinstance(size, str) else size for size in shape][:1]
            + [24 if isinstance(size, str) else size for size in shape[1:]]
        )
        for name, shape in whole.inputs.items()
    }
    expected, found = (graph(**given)["velocity"] for graph in (whole, quantised))
    assert 0 < (found - expected).norm() < 0.05 * expected.norm()


def test_optimised_graphs_choose_layers_and_say_what_they_are(
    toy: Path, graphs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a whole model: layers that would err most are left out, and seeds of another name are told apart."""
    quick = tmp_path / "quick"
    assert cli.main(["optimise", str(toy), str(quick), "--int8"]) == 0
    assert capsys.readouterr().out == f"{quick}\n"
    facts = json.loads((quick / "graphs.json").read_text(encoding="utf-8"))
    assert facts["name"] == "toy-int8"
    exact = exact_layers_of(load_sampler(toy))
    kinds = [node.op_type for node in onnx.load(quick / "step.onnx").graph.node]
    assert kinds.count("MatMulInteger") == len(products(onnx.load(graphs / "step.onnx"), exact))
    request = Request("a dog", seconds=0.1, seed=3)
    found, expected = (load_sampler(folder).latents(request) for folder in (quick, graphs))
    assert 0 < (found - expected).norm() < 0.1 * expected.norm()


def test_two_products_find_the_phases() -> None:
    """The search in a graph's operations is the search: rounding apart, which it enlarges."""
    magnitude = torch.rand(481, 9).square()
    noise = torch.randn(480 * 9, generator=torch.Generator().manual_seed(0))
    found = PhaseSearch(960, 480)(magnitude, noise)
    [expected] = retrieve_phases(magnitude[None], 480)
    assert (found - expected).norm() < 0.01 * expected.norm()


def test_the_inverse_transform_is_torchs() -> None:
    audio_in = torch.randn(2400)
    window = torch.hann_window(960)
    spectrum = torch.stft(audio_in, 960, 480, window=window, return_complex=True)
    expected = torch.istft(spectrum, 960, 480, window=window)
    found = InverseTransform(960, 480)(spectrum.real, spectrum.imag)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("count", "pair"), [(960, (32, 30)), (512, (32, 16)), (14, (7, 2))])
def test_factors_are_near_each_other(count: int, pair: tuple[int, int]) -> None:
    assert factors(count) == pair


def plain_program(monkeypatch: pytest.MonkeyPatch, folder: Path, script: Path) -> dict:
    """Run the program that docs/onnx.md gives to its readers on a model, without torch and without woosh."""
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    script.write_text(code, encoding="utf-8")
    for module in ("torch", "woosh"):
        assert f"import {module}" not in code
    monkeypatch.setattr(sys, "argv", [str(script), str(folder), "a dog", "0.3", "7"])
    return runpy.run_path(str(script), run_name="__main__")


def test_a_program_of_numpy_alone_makes_the_same(
    toy: Path, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page tells users of other languages is complete."""
    found = plain_program(monkeypatch, graphs, tmp_path / "plain.py")
    expected = load_sampler(toy)(Request("a dog", seconds=0.3, seed=7))
    assert_parity(torch.from_numpy(found["audio"]), expected[0, 0], TOLERANCE)


@pytest.mark.slow
def test_the_default_model_as_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents within 1e-4 of the largest; sounds, whose phases are searched, within .1 of the norm."""
    assert cli.main(["export", DEFAULT_MODEL, str(tmp_path / "graphs")]) == 0
    ours = load_model(describe_model(tmp_path / "graphs"), "cpu", "auto")
    theirs = load_model(describe_model(find_model(DEFAULT_MODEL)), "cpu", "auto")
    request = Request("a dog", seconds=0.3, seed=7, steps=None)
    latents = theirs.latents(request)
    assert_parity(ours.latents(request), latents, TOLERANCE)
    expected = theirs.decode(latents)[0, 0, : request.samples(48_000)]
    found = ours.decode(latents)[0, 0, : request.samples(48_000)]
    assert (found - expected).norm() < 0.1 * expected.norm()
    plain = torch.from_numpy(
        plain_program(monkeypatch, tmp_path / "graphs", tmp_path / "p.py")["audio"]
    )
    assert (plain - expected).norm() < 0.1 * expected.norm()
