"""An ear that holds and one that does not; what `woosh evaluate robustness` writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.sounds import write_sounds
from woosh import cli
from woosh.embeddings.embedders import Embedder, Heard, load_embedder
from woosh.evaluation.generation import evaluate_generation
from woosh.evaluation.robustness import (
    FOOLED_SHARE,
    evaluate_robustness,
    fooled_share,
    gathered,
    loud_sounds,
)

SAMPLES = 8000


def ear(sensitivity: float) -> Embedder:
    """Levels of the sound's halves, and beside them many small things as loud as the sensitivity says."""
    weights = torch.randn(SAMPLES, 6, generator=torch.Generator().manual_seed(0))

    def hear(audio: Tensor) -> Tensor:
        part = audio[:, :SAMPLES]
        halves = part.unflatten(1, (40, -1)).pow(2).mean(dim=2)  # (B, 40)
        small = torch.sin(sensitivity * part @ weights)  # (B, 6)
        return torch.cat([halves / halves.sum(dim=1, keepdim=True), small], dim=1)

    return Embedder(
        "toy", 16_000, 46, "none", "", lambda audio: Heard(hear(audio[None])[0], None),
        differentiable=hear,
    )  # fmt: skip


@pytest.mark.parametrize(("sensitivity", "fooled"), [(0.0, False), (50.0, True)])
def test_an_ear_is_fooled_that_listens_to_small_things(
    sensitivity: float, fooled: bool, tmp_path: Path
) -> None:
    """Both sides of the warning, which `evaluate generation` gives."""
    folder = write_sounds(tmp_path, range(6))
    sounds = list(loud_sounds(ear(0.0), sorted(folder.glob("*.wav"))).values())
    assert (fooled_share(ear(sensitivity), sounds) > FOOLED_SHARE) is fooled
    result = evaluate_generation(folder, folder, [ear(sensitivity)], torch.Generator())
    named = [warning["name"] for warning in result["embeddings"][0]["warnings"]]
    assert ("easily_fooled" in named) is fooled


def test_stronger_attacks_mistake_more_and_gradients_more_than_noise(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path, range(6))
    generator = torch.Generator().manual_seed(0)
    (found,) = evaluate_robustness(folder, [ear(10.0)], 5, generator)["ears"]
    assert found["clips"] == 5 and found["influence"] == []
    for row in found["levels"]:
        assert row["mistaken"]["pgd"] >= row["mistaken"]["fgsm"] >= 0
    again = evaluate_robustness(folder, [ear(10.0)], 5, torch.Generator().manual_seed(0))
    assert again["ears"] == [found]


def test_what_is_no_use_is_refused() -> None:
    deaf = replace(ear(0.0), differentiable=None)
    with pytest.raises(ValueError, match="toy has no gradients"):
        gathered(deaf, [torch.ones(SAMPLES)] * 2)
    with pytest.raises(ValueError, match="1 sounds are not silent"):
        gathered(ear(0.0), [torch.ones(SAMPLES)])


@pytest.mark.parametrize("name", ["woosh-tiny-tagger", "woosh-tiny-clap"])
def test_gradients_are_of_what_the_ear_hears(name: str) -> None:
    listener = load_embedder(name)
    audio = torch.randn(32_000, generator=torch.Generator().manual_seed(0)) / 10
    assert listener.differentiable is not None
    heard = listener.differentiable(audio[None].requires_grad_())
    assert heard.requires_grad
    torch.testing.assert_close(heard[0].detach(), listener.embed(audio), rtol=1e-4, atol=1e-5)


def test_the_command_tells_it_of_a_folder_with_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("low", "high"):
        write_sounds(tmp_path / "sounds" / kind, range(2) if kind == "low" else range(2, 4))
    command = f"evaluate robustness --audio {tmp_path / 'sounds'} --ear woosh-tiny-tagger --clips 3"
    files = f" --json {tmp_path / 'r.json'} --plot {tmp_path / 'r.png'}"
    assert cli.main([*command.split(), *files.split()]) == 0
    out = capsys.readouterr().out
    assert "pgd, 60 dB below" in out and "influence" in out
    (told,) = json.loads((tmp_path / "r.json").read_text())["ears"]
    assert len(told["influence"]) == 3
    assert (tmp_path / "r.png").stat().st_size > 1000
    assert cli.main(["evaluate", "robustness", "--audio", str(tmp_path / "none")]) == 2
