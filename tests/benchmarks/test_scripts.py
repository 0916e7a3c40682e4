"""The measuring scripts run, at the size of the fixtures and of a toy model."""

import importlib
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks import study_teachers, study_width
from benchmarks.study_low_complexity import PLANS
from tests.paths import ROOT
from tests.sounds import first_part, sound
from tests.toys import (
    make_autoencoder,
    make_clap,
    make_mel_autoencoder,
    make_transformer,
    randomise,
    save_pipeline,
    save_seeing_pipeline,
)
from woosh.audio import write_audio
from woosh.embeddings.clap import save_clap
from woosh.embeddings.tagging import load_tagger
from woosh.evaluation.recognition_prompts import PROMPTS
from woosh.evaluation.ten_classes import LABELS
from woosh.taggers import AudioTagger, save_tagger
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.ucs import read_mapping
from woosh.training.taggers.networks import build_network
from woosh.training.taggers.pruning import prune, stored_sizes
from woosh.training.taggers.studies import FRONT_END


def run(script: str, *arguments: object) -> str:
    """What a script prints. It runs in this process: a new one imports for longer than most scripts work."""
    path = str(ROOT / "benchmarks" / f"{script}.py")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", [path, *map(str, arguments)])
        runpy.run_path(path, run_name="__main__")
    return printed.getvalue()


def run_alone(script: str, *arguments: object) -> str:
    """What a script prints in a process of its own, where it measures the process or starts others."""
    command = [sys.executable, f"benchmarks/{script}.py", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.slow
def test_memory_of_conversions_and_time_of_a_generation(tmp_path: Path) -> None:
    manifests = ROOT / "tests" / "fixtures" / "official"
    # A part by itself and a whole model: what the script does with each kind.
    names = ("Woosh-AE", "Woosh-DFlow")
    out = run_alone(
        "memory", "--manifests", manifests, "--work", tmp_path, "--seconds", 0.5, *names
    )
    for name in names:
        assert re.search(rf"converting {name}: \d+ MB above the imports", out), out
    assert re.search(r"loading Woosh-DFlow: \d+ MB", out)
    assert "second call: 24000 samples" in out
    assert list(tmp_path.iterdir()) == []


def test_faults_of_finished_sounds(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy", max_frames=100)
    out = run("finishing", "--model", model, "--prompts", 3, "--seconds", 0.5)
    for fault in ("silent", "dead_tail", "peak", "loudness"):
        assert re.search(rf"{fault} +raw +\d  finished +0\n", out), out
    assert "redrawn 0, loudness said to be missed 0, no sound at all 0" in out


@pytest.mark.slow
def test_times_of_the_command_line(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy")
    out = run_alone("cli_times", "--model", model, "--seconds", 0.1, "--runs", 1)
    assert re.search(r"woosh --help: first \d", out)
    assert re.search(r"woosh generate, 0.1 s: first \d", out)


def test_time_and_recall_of_searching() -> None:
    out = run("search_speed", "--vectors", 5000, "--width", 16, "--queries", 20, "--threads", 1)
    assert re.search(r"built in \d+ s with 1 threads, -?\d+ MB more memory", out)
    graph, exact = (
        float(re.search(rf"{name}: .* ([\d.]+) in all", out).group(1))  # type: ignore[union-attr]
        for name in ("graph", "one by one")
    )
    assert graph >= 0.95 and exact >= 0.97  # both compare in half precision


def test_silent_sounds_of_a_toy_model(tmp_path: Path) -> None:
    """The toy makes noise, which is neither; and what is either is found."""
    from benchmarks.silent_sounds import measure

    model = save_pipeline(tmp_path / "toy")
    rows = [{"file": f"{number}.wav", "captions": [f"sound {number}"]} for number in range(5)]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    options = ("--manifest", manifest, "--prompts", 2, "--seconds", 0.2)
    out = run("silent_sounds", "--model", model, *options)
    assert "0 of 2 sounds are silent\n0 of 2 sounds are constant\n" in out
    assert measure(torch.zeros(9600), 48_000).level < -60
    tone = 0.1 * torch.sin(torch.arange(48_000) * 2 * torch.pi * 1000 / 48_000)
    assert (
        measure(tone, 48_000).change
        < 0.5
        < measure(tone * torch.linspace(0.1, 1, 48_000), 48_000).change
    )


def test_steady_sounds_of_a_toy_model(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy")
    out = run("steady_sounds", "--model", model, "--seconds", 0.2, "--seeds", 1)
    assert len(re.findall(r"0.2 s  .*  quietest +-?[\d.]+ dB  last", out)) == 10
    assert re.search(
        r"\d+ of 10 clips have a tenth of their length that is more than 30 dB quieter than", out
    )


def test_a_toy_model_against_references(tmp_path: Path) -> None:
    model, aligner = save_pipeline(tmp_path / "toy"), tmp_path / "toy-clap"
    save_clap(make_clap(), aligner)
    out = run(
        "evaluate_against_references",
        *("--procedural", 6, "--model", model, "--embedding", aligner, "--embedding", "log-mel"),
    )
    assert "6 generated, 6 reference clips" in out
    assert re.search(r"clap score +-?[\d.]+", out)
    assert "halves of the references" in out and "shuffled captions" in out


@pytest.mark.slow
def test_tags_of_held_out_recordings(shared: Path, tmp_path: Path) -> None:
    out = run("evaluate_tags", "--manifest", first_part(shared, tmp_path))
    first, among = map(float, re.findall(r"([\d.]+)%", out))
    assert re.match(r"\d+ clips, \d+ labels", out)
    assert 25 < first < among <= 100


def test_categories_proposed_by_a_toy_tagger(tmp_path: Path) -> None:
    network = randomise(MobileNet(0.1, classes=527), 3, gain=2.5)
    save_file(network.state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(read_mapping()), encoding="utf-8")
    name = f"tagger:{tmp_path / 'ear.safetensors'}"
    write_audio(tmp_path / "a.wav", sound(0), 48_000)
    tagger = load_tagger(name, None)
    proposal = tagger.propose(tagger.hear(tmp_path / "a.wav"))
    assert proposal is not None
    catid = proposal.category.catid
    same_category = re.sub("[a-z]+$", "misc", catid)
    rows = [
        {"file": "a.wav", "catid": one, "split": "validation"}
        for one in (catid, catid, same_category, "XYZ")
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    out = run("evaluate_tags", "--manifest", manifest, "--model", name)
    assert "4 clips, 4 with a proposal: 100.0%" in out
    assert "right CatID: 2, 50.0% of the proposals, 50.0% of the clips" in out
    assert "right category: 3, 75.0%" in out


def test_the_cost_of_full_size_training_is_that_of_the_released_networks() -> None:
    out = run("training_cost")
    found = dict(re.findall(r"\| (\w+) \| (\d+) M", out))
    assert found["flow"] == "337" and set(found) == {"autoencoder", "aligner", "flow"}


def test_figures_of_an_accelerator_at_toy_size(tmp_path: Path) -> None:
    """Every part that starts no other process and no compiler runs on the processor; its function gives plain's audio."""
    parts = ("plain", "graph", "throughput", "float8", "memory", "training")
    toy = ("--device", "cpu", "--toy", "--json", tmp_path / "rows.json", "--parts", *parts)
    out = run("accelerator", *toy)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["part"] for row in rows} == set(parts) and "failed" not in out
    found = {row["what"]: row["value"] for row in rows}
    assert found["difference from plain"] == 0 < found["relative error of the latents"] < 0.1
    assert min(value for what, value in found.items() if "share" in what) > 0


def test_a_part_that_fails_leaves_the_others() -> None:
    """Toy networks have no such device: the error is a row, and the part after it is measured."""
    toy = ("--device", "meta", "--toy", "--parts", "plain", "memory")
    out = run("accelerator", *toy)
    assert re.search(r"\| plain \| failed: \w+: .* \| failed \|", out)
    assert "| memory | is told by CUDA devices alone | left out |" in out


@pytest.mark.slow
def test_launched_and_compiled_parts_of_an_accelerator_at_toy_size() -> None:
    out = run_alone("accelerator", "--device", "cpu", "--toy", "--parts", "launch", "compiled")
    for kind in ("alone", "ddp", "fsdp"):
        assert f"| launch | flow, {kind}: clips_per_second |" in out
    assert "failed" not in out and "| compiled | one sound |" in out


def test_memory_of_decoding_at_toy_size() -> None:
    """Long enough that the result alone, in which pieces are put together, is more than memory lying free."""
    out = run_alone("decoding_memory", "--alone", "pieces", "--seconds", 20, "--width", 16)
    assert 20 * 48_000 * 4 < int(out) < 2**30


def test_sounds_together_at_toy_size(tmp_path: Path) -> None:
    """Also with a guided model and with more threads than one: each way has a time, and says whether its bits are others."""
    for name, flow_map in (("taught", True), ("guided", False)):
        save_pipeline(tmp_path / name, flow_map=flow_map)
    models = (tmp_path / "taught", tmp_path / "guided")
    out = run("sounds_together", "--models", *models, "--seconds", 0.1, "--runs", 2)
    rows = [line.split("|")[3:-1] for line in out.splitlines()[2:]]
    assert len(rows) == 2 * (2 + 3)
    cell = re.compile(r"[\d.]+(, other bits)?")
    for threads, what, *cells in rows:
        count = 2 if "whole" in what else 4
        assert int(threads) in (1, 2)
        assert sum(bool(cell.fullmatch(text.strip())) for text in cells) == count, cells
        assert "other" not in cells[0]


def test_commands_are_compared_with_another_checkout() -> None:
    """With itself: as quick, give or take what a fresh process differs by."""
    out = run_alone("against_version", ROOT, "--only", "models", "--runs", 1)
    assert re.search(r"\| `models` \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \|", out)


def test_synchrony_of_a_toy_model(tmp_path: Path) -> None:
    model = save_seeing_pipeline(tmp_path / "toy")
    results = tmp_path / "results.json"
    out = run(
        "evaluate_synchrony",
        *("--model", model, "--text-model", model, "--events", 6, "--courses", 3),
        *("--seconds", 2, "--steps", 1, "--json", results),
    )
    rows = json.loads(results.read_text())
    assert len(rows) == 7 and out.count("\n| ") == 7
    assert rows["the scene's own"]["f1"][1] > 0.9 > 0.5 > rows["the scene's own"]["chance"]
    assert rows["the scene's own"]["correlation"] > 0.9


def test_the_best_of_dubbed_takes_is_judged_by_the_record(tmp_path: Path) -> None:
    """Its row stands beside that of all takes; no choice gains more than the one that the record itself makes."""
    model, results = save_seeing_pipeline(tmp_path / "toy"), tmp_path / "results.json"
    out = run(
        "evaluate_synchrony",
        *("--model", model, "--only", "--best-of", 2, "--events", 2, "--courses", 2),
        *("--seconds", 1, "--steps", 1, "--json", results),
    )
    rows = json.loads(results.read_text())
    for name in ("of the picture alone", "of picture and words"):
        every, best = rows[name], rows[f"{name}, best of 2"]
        for key in ("f1_of_takes", "correlation_of_takes"):
            pairs = list(zip(every[key], best[key], strict=True))
            assert len(pairs) == 2
            assert all(len(takes) == 2 and one in takes for takes, [one] in pairs)
        found = re.search(rf"gain {name}: F1 .* correlation (\S+), .* at most (\S+)$", out, re.M)
        assert found is not None and float(found[1]) <= float(found[2])


def test_the_best_of_variations_is_judged_by_a_listener(tmp_path: Path) -> None:
    """Of the recordings of a split; gains follow from the measures of every variation and the places of those kept."""
    save_file(randomise(MobileNet(0.1, classes=12), 3).state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(f"label {number}" for number in range(12)))
    rows = []
    for number, split in enumerate(("validation", "validation", "train")):
        write_audio(tmp_path / f"{number}.wav", sound(number, 0.3))
        rows.append({"file": f"{number}.wav", "split": split})
    (tmp_path / "2.wav").write_text("no sound: whoever reads it fails")
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model, results = str(save_pipeline(tmp_path / "toy")), tmp_path / "results.json"
    ear = ("--listener", f"tagger:{tmp_path / 'ear.safetensors'}", "--best-of", 2)
    chosen = ("--audio", tmp_path, "--split", "validation", "--sounds", 2, "--part", 0)
    out = run("variations", *chosen, *ear, "--models", model, "--json", results)
    found = json.loads(results.read_text())[model]
    gains = []
    for takes, [kept] in zip(found["log-mel distance"], found["kept"], strict=True):
        assert len(takes) == 2
        gains.append(takes[kept] - sum(takes) / 2)
    assert out.count("\n| ") == 5
    assert re.search(
        rf"\| log-mel distance \| .* \| {re.escape(f'{sum(gains) / 2:+.3f}')} \| ", out
    )


def test_sets_of_variations_are_held_against_sets_of_takes(tmp_path: Path) -> None:
    """As drawn and as kept, with what was drawn; takes are told by their names."""
    for number in range(4):
        write_audio(tmp_path / f"door-{number}.wav", sound(number, 0.3))
    model, results = str(save_pipeline(tmp_path / "toy")), tmp_path / "results.json"
    sets = ("--no-dial", "--sounds", 2, "--part", 0, "--set", 3, "--takes", 1)
    out = run("variations", "--audio", tmp_path, *sets, "--models", model, "--json", results)
    found = json.loads(results.read_text())[model]
    assert set(found) == {f"sets: {name}" for name in ("first", "kept", "drawn", "least")}
    assert all(1 < drawn <= 2 for [drawn] in found["sets: drawn"])
    kept = min(value for [value] in found["sets: kept"])
    assert f"as `woosh vary` keeps them: 2, least {kept:.3f}" in out
    assert "dial" not in out
    pairs, together = re.findall(
        r"^(?:takes of one recording|two nearest of 3 takes): 1, least (\S+),", out, re.M
    )
    assert float(together) <= float(pairs)


def test_speed_of_rendering() -> None:
    out = run("scene_speed", "--scenes", 1, "--seconds", 1, "--size", 32)
    assert re.search(r"mean +\d+ x real time, slowest \d+", out)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A manifest of eight recordings of four classes."""
    rows = []
    for number, label in enumerate(("dog bark", "rain", "sea waves", "rooster") * 2):
        write_audio(tmp_path / f"{number}.wav", sound(number), 48_000)
        rows.append({"file": f"{number}.wav", "captions": [label], "seconds": 1, "label": label})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "manifest.jsonl"


def test_objectives_are_compared_over_steps(labelled: Path, tmp_path: Path) -> None:
    for name, objective in (("ours", "velocity"), ("peer", "v_prediction")):
        save_run(tmp_path / name, objective)
    save_pipeline(tmp_path / "toy")
    options = ("--model", tmp_path / "toy", "--manifest", labelled)
    small = ("--steps", 1, 2, "--clips", 1, "--seconds", 0.3, "--plot", tmp_path / "plot.png")
    out = run("compare_objectives", tmp_path / "ours", tmp_path / "peer", *options, *small)
    assert len(re.findall(r"\| (?:ours|peer) \| [12] \| \d", out)) == 4
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_students_are_compared_with_their_teacher(labelled: Path, tmp_path: Path) -> None:
    save_pipeline(tmp_path / "toy")
    ear = save_ear(tmp_path / "ear")
    randomise(make_transformer(flow_map=True), 2).save_pretrained(tmp_path / "student")
    out = run(
        *("evaluate_few_steps", tmp_path / "student", "--teacher", tmp_path / "toy"),
        *("--listener", f"tagger:{ear}"),
        *("--manifest", labelled, "--steps", 1, 2, "--teacher-steps", 3, "--renoise", 0, 1),
        *("--clips", 1, "--seconds", 0.3, "--json", tmp_path / "rows.json"),
    )
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["steps"], row.get("renoise")) for row in rows] == [
        (3, None),
        (1, 0.0),
        (2, 0.0),
        (2, 1.0),
    ]
    assert all(row["frechet_distance"] > 0 and 0 <= row["recognised"] <= 1 for row in rows)
    assert len(re.findall(r"\| \d \| (?:[01].0)? \| \d.*\| \d+\.0 % \|", out)) == 4


def save_ear(folder: Path) -> Path:
    """A tagger of AudioSet's labels with random weights."""
    network = randomise(MobileNet(0.1, classes=527), 3, gain=2.5)
    save_tagger(AudioTagger(network, tuple(read_mapping())), folder)
    return folder


def save_run(folder: Path, objective: str) -> None:
    randomise(make_transformer(), 2).save_pretrained(folder / "transformer")
    (folder / "config.yaml").write_text(f"objective: {objective}\n")


@pytest.mark.slow
def test_the_pictures_of_the_readme(tmp_path: Path) -> None:
    """Of a toy: the size of the plot, and a page that is wider than nothing and has colours."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    pytest.importorskip("gradio", reason="the demo extra is not installed")
    model, out = save_pipeline(tmp_path / "toy"), tmp_path / "pictures"
    wanted = ("--prompt", "a dog", "--seconds", 0.3)
    run_alone("readme_pictures", "--model", model, *wanted, "--out", out)
    with Image.open(out / "sound.png") as sound, Image.open(out / "page.png") as page:
        assert sound.size == (1200, 528)
        assert page.width == 1280 and page.height > 600
        assert len(page.getcolors(page.width * page.height)) > 50


def test_speed_of_taggers_by_size_and_from_a_file(tmp_path: Path) -> None:
    save_file(MobileNet(0.1, classes=3).state_dict(), tmp_path / "ear.safetensors")
    names = ("mn01", "dymn01", tmp_path / "ear.safetensors")
    out = run("tagger_speed", *names, "--seconds", 0.5, "--runs", 1)
    rows = re.findall(r"\| (\S+) \| ([\d,]+) \| 0\.\d+ \| 0\.\d+ \| \d+ \|\n", out)
    assert [name for name, _ in rows] == ["mn01", "dymn01", "ear.safetensors"]
    assert rows[0][1] == "123,783"


@pytest.mark.slow
def test_speed_of_a_tagger_in_onnx_runtime() -> None:
    out = run("tagger_speed", "mn01", "--seconds", 0.5, "--runs", 1, "--onnx")
    assert re.search(r"\| mn01 \| 123,783 \|( [\d.]+ \|){5}\n", out)


def test_embeddings_are_judged_by_what_they_tell_of_kinds(tmp_path: Path) -> None:
    """Of two kinds that differ plainly every way tells all; a kind of too few clips is left out."""
    rows = []
    for number in range(9):
        kind = "rare" if number == 8 else ("low", "high")[number % 2]
        seconds = torch.arange(24_000) / 48_000
        tone = 0.3 * torch.sin(2 * torch.pi * (200 + number if kind == "low" else 4000) * seconds)
        write_audio(tmp_path / f"{number}.wav", tone[None].numpy(), 48_000)
        split = "validation" if number in (6, 7) else "train"
        rows.append({"file": f"{number}.wav", "label": kind, "split": split})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    save_file(MobileNet(0.1, classes=3).state_dict(), tmp_path / "ear.safetensors")
    names = ("--embedding", "log-mel", "--embedding", f"tagger-mid:{tmp_path / 'ear.safetensors'}")
    chosen = ("--manifest", tmp_path / "manifest.jsonl", "--least", 3, "--penalty", 0.01)
    out = run("evaluate_embeddings", *chosen, *names)
    assert "6 training clips, 2 to classify, 2 kinds" in out
    assert "| log-mel | 192 | 100.0% | 100.0% |" in out
    assert "| tagger-mid-ear | 184 | 100.0% | 100.0% |" in out


def test_representations_are_probed_in_folds_of_sources(tmp_path: Path) -> None:
    """Two kinds that differ plainly are told in every fold, of ESC-10 and of categories; a rare one is left out."""
    rows = []
    for number in range(21):
        kind = number % 2
        seconds = torch.arange(6_400) / 32_000
        tone = 0.3 * torch.sin(2 * torch.pi * (4000 if kind else 200 + number) * seconds)
        name = f"{number // 2 % 5 + 1}-{number}-A-0.wav"
        write_audio(tmp_path / name, tone[None].numpy(), 32_000)
        row = {"file": name, "split": "validation", "source": "karoldvl/ESC-10"}
        row |= {"label": ("rain", "rooster")[kind], "group": f"{number // 2}"}
        rows.append(row | {"catid": "RARE" if number == 20 else ("RAIN", "BIRDFowl")[kind]})
    # A sound that ears may have learned from: its fold is not held out, the others are.
    rows.append(rows[20] | {"split": "train"})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    save_file(MobileNet(0.1, classes=3).state_dict(), tmp_path / "ear.safetensors")
    ear = f"tagger-mid:{tmp_path / 'ear.safetensors'}"
    manifest = ("--manifest", tmp_path / "manifest.jsonl")
    ears = ("--ear", "log-mel", "--ear", ear, "--plot", tmp_path / "plot.png")
    kept = ("--results", tmp_path / "rows.jsonl")
    out = run("evaluate_representations", *manifest, *kept, *ears)
    assert run("evaluate_representations", *manifest, *kept, *ears) == out  # nothing is heard twice
    assert "ESC-10: 22 clips, 2 kinds, chance 54.5%" in out
    assert "validation categories: 20 clips, 2 kinds, chance 50.0%" in out
    assert "| ear | numbers | ESC-10 | ESC-10, held out | validation categories |" in out
    for name in ("log-mel | 192", "tagger-mid:ear.safetensors | 184"):
        assert f"| {name} | 100.0 +- 0.0 | 100.0 +- 0.0 | 100.0 +- 0.0 |" in out
    assert (tmp_path / "plot.png").is_file()


def test_families_are_heard_by_a_listener(tmp_path: Path) -> None:
    """As they are, and through the autoencoder of a model, which may lose them."""
    ear = save_ear(tmp_path / "ear")
    options = ("--listener", f"tagger:{ear}", "--seeds", 2, "--seconds", 0.5, "--least", 0)
    alone = run("evaluate_families", *options, "--families", "coin")
    assert re.search(r"^\| coin \| \d+% \| \d+% \| - \| .*\(\d+%\)", alone, re.M)
    model = save_pipeline(tmp_path / "toy")
    shutil.rmtree(model / "autoencoder")
    make_mel_autoencoder().save_pretrained(model / "autoencoder")
    out = run(
        *("evaluate_families", *options, "--families", "coin", "siren", "--model", model),
        *("--json", tmp_path / "families.json"),
    )
    row = r"^\| (?:coin|siren) \| \d+% \| \d+% \| \d+% \| .*\(\d+%\)"
    assert len(re.findall(row, out, re.M)) == 2
    assert "2 of 2 reach 0%" in out
    figures = json.loads((tmp_path / "families.json").read_text())
    assert all(sum(share for _, share in f["names"]) == 1 for f in figures.values())


def test_an_aligner_is_measured_by_parts(labelled: Path, tmp_path: Path) -> None:
    save_clap(make_clap(), tmp_path / "clap")
    rows = [json.loads(line) for line in labelled.read_text().splitlines()]
    parts = [row | {"split": "validation", "part": 1 + place % 2} for place, row in enumerate(rows)]
    labelled.write_text("\n".join(map(json.dumps, parts)))
    options = ("--manifest", labelled, "--model", tmp_path / "clap")
    assert "8 clips of validation" in run("evaluate_aligner", *options)
    out = run("evaluate_aligner", *options, "--part", 2)
    assert "4 clips of validation" in out
    assert re.search(r"zero-shot: \d+\.0% of 4 labelled clips", out)
    assert re.search(r"\| text to audio \| \d+\.\d% \| .*\| \d", out)


def test_a_tagger_is_compared_with_its_teacher(labelled: Path, tmp_path: Path) -> None:
    """A tagger agrees with itself in everything."""
    ear = save_ear(tmp_path / "ear")
    manifest = labelled.read_text().replace('"seconds"', '"split": "validation", "seconds"')
    labelled.write_text(manifest)
    out = run("evaluate_tagger", "--manifest", labelled, "--teacher", ear, "--model", ear)
    assert "8 recordings of validation, 527 labels" in out
    assert "same first label 100.0%; the teacher's first among five 100.0%" in out
    assert len(re.findall(r"ESC-10 by the (?:model|teacher): (\d) of 8 right", out)) == 2


@pytest.fixture
def ten_classes(tmp_path: Path) -> Path:
    """A folder with a manifest of five folds of two classes, as ESC-10 names them, and six devices."""
    rows = []
    for fold in range(1, 6):
        for number, label in enumerate(("dog bark", "rain")):
            name = f"{number}-{label.replace(' ', '-')}__{fold}-{number}-a.wav"
            write_audio(tmp_path / name, sound(10 * fold + number), 48_000)
            known = {"file": name, "captions": [label], "seconds": 0.5, "label": label}
            rows.append(known | {"source": "karoldvl/ESC-10"})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "devices").mkdir()
    for number in range(6):
        write_audio(tmp_path / "devices" / f"{number}.wav", sound(number, 0.05), 48_000)
    return tmp_path


@pytest.mark.slow
def test_teachers_are_compared_by_their_students(ten_classes: Path, tmp_path: Path) -> None:
    data = ("--manifest", ten_classes / "manifest.jsonl", "--responses", ten_classes / "devices")
    small = ("--trials", 1, "--steps", 2, "--sounds", 20, "--devices", 1, "--rows", 6)
    out = run("compare_teachers", *data, *small, "--work", tmp_path / "work")
    cell = r"\d+\.\d \+- 0\.0"
    assert re.search(rf"\| one of width 0.2 that hears devices \| {cell} \| {cell} \|\n", out)
    again = run("compare_teachers", *data, *small, "--work", tmp_path / "work")
    assert again == out  # nothing is trained twice


@pytest.mark.parametrize(
    ("name", "kinds", "row"),
    [
        (
            "receptive_field",
            ("VGG, rho 0", "DenseNet, rho 0"),
            r"\| DenseNet, rho 0 \| 23 x 23 \| 10,\d+ \| S \|",
        ),
        ("low_complexity", ("decomposed, 48",), r"\| 17,\d+ \| 34,\d+ \| 19,\d+ \| .*\| S \| S \|"),
        ("width", ("4",), r"\| 4 \| 4,\d+ \| S \| S \| S \|"),
        ("devices", ("both",), r"\| both \| S \| S \| S \|"),
        ("parallel", ("squared, hidden, 1",), r"\| squared, hidden, 1 \| S \| S \| S \|"),
    ],
)
def test_studies_run(
    name: str, kinds: tuple[str, ...], row: str, ten_classes: Path, capsys: pytest.CaptureFixture
) -> None:
    """Every study trains, measures, prints a row for each kind and draws; a second call trains nothing."""
    main = importlib.import_module(f"benchmarks.study_{name}").main
    data = ("--manifest", ten_classes / "manifest.jsonl", "--responses", ten_classes / "devices")
    results, plot = ten_classes / "rows.jsonl", ten_classes / "plot.png"
    command = (*data, "--results", results, "--plot", plot, "--trials", 1, "--steps", 1)
    arguments = [*map(str, command), "--kinds", *kinds]
    main(arguments)
    said = capsys.readouterr().out
    assert re.search(row.replace("S", r"\d+\.\d \+- 0\.0"), said), said
    before = results.read_text()
    main(arguments)
    assert capsys.readouterr().out == said and results.read_text() == before
    with Image.open(plot) as picture:
        assert picture.width > 500 and len(picture.convert("RGB").getcolors(10**6)) > 20


@pytest.mark.slow
def test_codecs_and_retrieval_are_studied_with_the_built_in_ears(
    ten_classes: Path, tmp_path: Path
) -> None:
    """Both at toy size: every row and figure is there, and what was measured or heard stays."""
    path = ten_classes / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    splits = ("train", "validation")
    marked = [row | {"split": splits[place // 2 % 2]} for place, row in enumerate(rows)]
    path.write_text("\n".join(map(json.dumps, marked)))
    kept = ("--results", tmp_path / "rows.jsonl", "--plot", tmp_path / "plot.png")
    small = ("--manifest", path, "--trials", 1, "--steps", 1, "--clips", 3)
    out = run("study_codecs", *small, *kept, "--training-clips", 2)
    cell = r"\d+\.\d \+- 0\.0"
    for name in ("woosh-tiny-tagger, before", "woosh-tiny-clap, after"):
        assert re.search(rf"\| {name} (\| {cell} ){{7}}\|", out), out
    assert run("study_codecs", *small, *kept, "--training-clips", 2) == out
    work = ("--work", tmp_path / "work")
    out = run("study_retrieval", *small, *work)
    assert "3 clips to learn from, 3 to find" in out
    assert re.search(rf"\| second stage, correspondences (\| {cell} ){{5}}\|", out), out
    assert run("study_retrieval", *small, *work) == out
    assert len(list((tmp_path / "work").iterdir())) == 2


@pytest.mark.slow
def test_teachers_of_scenes_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a toy data set of TAU's layout; teachers and results stay."""
    monkeypatch.setattr(study_teachers, "CLIPS", {"train": 40, "evaluate": 90})
    kept = ["--work", str(tmp_path), "--trials", "1", "--steps", "1"]
    with redirect_stdout(io.StringIO()) as printed:
        study_teachers.main(kept)
    cell = r"\d+\.\d \+- 0\.0"
    for name in ("teacher: CNN", "labels alone", "one of each"):
        assert re.search(rf"\| {name} \| {cell} \| {cell} \|", printed.getvalue())
    assert (tmp_path / "trial-1" / "transformer-1-1" / "model_index.json").is_file()
    before = (tmp_path / "results.jsonl").read_text()
    with redirect_stdout(io.StringIO()) as again:
        study_teachers.main(kept)
    assert again.getvalue() == printed.getvalue()
    assert (tmp_path / "results.jsonl").read_text() == before


def test_networks_of_few_bytes_keep_their_bounds() -> None:
    """One is under 128,000 bytes in int8, one under 500,000 in float16 before and 250,000 after pruning."""
    sizes = {}
    for kind, plan in PLANS.items():
        prunes = plan.pruning.pruned_share > 0
        log_mel = FRONT_END.log_mel()
        network = build_network(plan.architecture, LABELS, torch.zeros(10), log_mel, prunes)
        if prunes:
            prune(network, plan.pruning.pruned_share, plan.pruning.prune_scope)
        sizes[kind] = stored_sizes(network)
    assert sizes["decomposed, 48"].float16 < sizes["CP-Mobile, 28"].int8 < 128_000
    assert sizes["damped"] == sizes["CP-ResNet, 48"] and sizes["damped"].float16 < 500_000
    assert sizes["damped, pruned"].sparse_float16 < 250_000


@pytest.mark.parametrize(("narrow", "wide"), [("16", "24, half as deep"), ("17", "24, two groups")])
def test_pairs_of_depth_and_groups_are_of_equal_size(narrow: str, wide: str) -> None:
    """What the study of width compares differs in depth or groups, and by less than 2 % in weights."""
    counts = [
        sum(
            value.numel()
            for value in build_network(
                study_width.PLANS[kind].architecture, LABELS, torch.zeros(10), FRONT_END.log_mel()
            ).parameters()
        )
        for kind in (narrow, wide)
    ]
    assert abs(counts[1] - counts[0]) < 0.02 * counts[0] and counts[0] != counts[1]


def test_recognition_of_every_stage(tmp_path: Path) -> None:
    """By a toy listener: what it hears means nothing, the table has every stage and counts every sound."""
    labels = sorted({label for prompt in PROMPTS for label in prompt.labels})
    save_file(MobileNet(0.1, classes=len(labels)).state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    write_audio(tmp_path / "a.wav", sound(0, 0.5))
    row = {"file": "a.wav", "captions": ["a dog"], "catid": "ANMLDog", "split": "validation"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    (tmp_path / "takes").mkdir()
    write_audio(tmp_path / "takes" / "b.wav", sound(1, 0.5), metadata={"prompt": "a cat purring"})
    model, out = save_pipeline(tmp_path / "toy"), tmp_path / "counts.json"
    chosen = (
        "--listener",
        f"tagger:{tmp_path / 'ear.safetensors'}",
        "--model",
        model,
        "--json",
        out,
    )
    of_recordings = ("--manifest", tmp_path / "manifest.jsonl", "--folders", tmp_path / "takes")
    said = run("evaluate_recognition", *chosen, *of_recordings, "--seeds", 1, "--seconds", 0.1)
    counts = json.loads(out.read_text())
    assert list(counts)[:4] == ["recordings", "autoencoder", "its generated channels", "generated"]
    sounds = {
        stage: sum(c["sounds"] for c in prompts.values()) for stage, prompts in counts.items()
    }
    assert list(sounds.values()) == [1, 1, 1, len(PROMPTS), 1]
    assert all(
        0 <= c["first"] <= c["among_five"] <= c["sounds"] for c in counts["generated"].values()
    )
    assert re.search(rf"\| generated \| {len(PROMPTS)} \| {len(PROMPTS)} \| [01]\.\d+ \| ", said)


def test_a_model_gains_nothing_on_itself(tmp_path: Path) -> None:
    """Prompts and seeds are the same for both, so what differs is the models alone."""
    labels = sorted({label for prompt in PROMPTS for label in prompt.labels})
    save_file(MobileNet(0.1, classes=len(labels)).state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    model = save_pipeline(tmp_path / "toy", flow_map=True)
    ear = ("--listener", f"tagger:{tmp_path / 'ear.safetensors'}", "--seconds", 0.1)
    said = run("compare_models", model, model, *ear, "--prompts", 3)
    assert "| gain | +0.000 +- 0.000 | +0.000 +- 0.000 | +0.000 +- 0.000 |" in said
    assert re.search(rf"\| {model} \| [01]\.\d+ \| [01]\.\d+ \| -?0\.\d+ \|", said)


def test_hearing_of_what_went_through_autoencoders(tmp_path: Path) -> None:
    """A recording agrees with itself; the two kinds of autoencoder stand in one table."""
    labels = sorted({label for prompt in PROMPTS for label in prompt.labels})
    save_file(MobileNet(0.1, classes=len(labels)).state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    rows = []
    for number in range(2):
        write_audio(tmp_path / f"{number}.wav", sound(number, 0.3))
        row = {"file": f"{number}.wav", "captions": ["a dog"], "seconds": 0.3, "label": "dog bark"}
        rows.append(json.dumps(row | {"split": "validation"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows))
    make_autoencoder().save_pretrained(tmp_path / "plain")
    make_mel_autoencoder().save_pretrained(tmp_path / "mel")
    models, out = (str(tmp_path / "plain"), str(tmp_path / "mel")), tmp_path / "heard.json"
    options = ("--listener", f"tagger:{tmp_path / 'ear.safetensors'}", "--json", out)
    said = run(
        "evaluate_hearing", *options, "--manifest", tmp_path / "manifest.jsonl", "--model", *models
    )
    summary = json.loads(out.read_text())["summary"]
    assert len(summary) == 4 and all(one["clips"] == 2 for one in summary.values())
    itself = summary["recordings"]
    assert itself["agrees first"] == itself["onsets"] == 1 and itself["MelDist"] == 0
    assert all(one["ten classes"] == 2 and one["MelDist"] > 0 for one in list(summary.values())[1:])
    assert "| recordings | 2 | 1.000 |" in said


def test_a_picture_of_recordings_and_what_is_kept_of_them(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", sound(0, 0.3))
    make_mel_autoencoder().save_pretrained(tmp_path / "mel")
    make_autoencoder().save_pretrained(tmp_path / "plain")
    models = (f"former={tmp_path / 'plain'}", f"now={tmp_path / 'mel'}")
    out = tmp_path / "listening.png"
    run("listening_picture", f"a tone={tmp_path / 'a.wav'}", "--model", *models, "--out", out)
    with Image.open(out) as picture:
        assert picture.width > picture.height > 100 and len(picture.convert("RGB").getcolors()) > 50


def test_seams_of_loops_and_joins_of_extensions(tmp_path: Path) -> None:
    """A row for either of each prompt, and how many are within their limits."""
    model = save_pipeline(tmp_path / "toy")
    out = run("editing", "--model", model, "--prompts", 2, "--seconds", 0.8)
    assert len(re.findall(r"^\| .* \| (?:loop|extension) \| .* \| (?:yes|no) \|$", out, re.M)) == 4
    assert re.search(r"[012] of 2: loop within all three limits", out)


def test_steps_of_edits(tmp_path: Path) -> None:
    """A row for each edit, of the quietest steady recording and of the loudest; one of the training split is not taken."""
    model = save_pipeline(tmp_path / "toy")
    rows = []
    for name, level, split in (
        ("a", 0.01, "validation"),
        ("b", 1.0, "validation"),
        ("c", 0.1, "train"),
    ):
        hiss = level * 0.3 * np.random.default_rng(0).standard_normal((1, 4 * 48_000))
        write_audio(tmp_path / f"{name}.wav", hiss.clip(-1, 1).astype(np.float32), 48_000)
        rows.append({"file": f"{name}.wav", "captions": [name], "split": split, "seconds": 4.0})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = run("editing", "--model", model, "--prompts", 2, "--manifest", manifest)
    assert re.findall(r"^\| ([abc]) \| (-\d+) \|", out, re.M) == [("a", "-50"), ("b", "-10")]
    assert re.search(r"^steps: [\d.]+ dB on average, [\d.]+ dB at most$", out, re.M)


@pytest.mark.slow
def test_cost_of_a_second_over_the_length(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy", max_frames=100)
    out = run("long_sounds", "--models", model, "--seconds", 0.5, 2)
    assert len(re.findall(r"\| (?:0\.5|2) s \|", out)) == 2, out


@pytest.mark.slow
def test_what_a_lora_teaches_and_takes(tmp_path: Path) -> None:
    short = ("steps=2", "save_every=2", "warmup_steps=1", "speeds=[1.0]", "rank=2", "lengths=[0.5]")
    command = (*short, "--work", tmp_path, "--model", "woosh-tiny", "--takes", 2, "--scales", 1)
    said = run("evaluate_lora", *command)
    assert re.search(r"^\| 0 \| -?0\.\d\d \| 0\.\d\d \|\n\| 1 \|", said, re.MULTILINE)
    assert re.search(r"The collection's sounds among each other: 0\.[89]", said)


def test_errors_of_solvers_fall_with_their_calls(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy", max_frames=100)
    plot = tmp_path / "errors.png"
    options = ("--models", model, "--steps", 4, 32, "--seconds", 0.5, "--fine", 64, "--out", plot)
    out = run("solver_error", *options)
    for solver in ("euler", "multistep"):
        few, many = re.search(rf"{solver} \| ([\d.]+) \| ([\d.]+)", out).groups()  # type: ignore[union-attr]
        assert float(many) < float(few) or float(few) < 1e-3, out
    assert Image.open(plot).size[0] > 100
