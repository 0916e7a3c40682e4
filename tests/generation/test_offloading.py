"""Parts that wait in the processor's memory: which one is on the device when, and the sound is the same."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toys import make_pipeline, save_pipeline
from woosh import cli
from woosh.generation.offloading import offloaded
from woosh.generation.request import Request
from woosh.parts import ModelMixin

REQUEST = Request(["a dog", "rain"], seconds=0.3, seed=3, steps=3)
STAND_IN = torch.device(
    "cpu", 0
)  # an accelerator's: a device of another name than where parts wait


def test_one_part_at_a_time_is_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes once for a request of any number of steps, after the former has left."""
    moves: list[tuple[str, str]] = []
    move = ModelMixin.to

    def recorded(part: ModelMixin, *arguments: Any) -> Any:
        moves.append((type(part).__name__, str(arguments[0])))
        return move(part, *arguments)

    expected = make_pipeline().sampler(REQUEST)
    sampler = offloaded(make_pipeline().sampler, STAND_IN)
    monkeypatch.setattr(ModelMixin, "to", recorded)
    assert torch.equal(sampler(REQUEST), expected)
    here, away = "cpu:0", "cpu"
    first = [
        *[("WooshTextEncoder", here), ("WooshTextEncoder", away)],
        *[("WooshTransformer", here), ("WooshTransformer", away), ("WooshAutoencoder", here)],
    ]
    assert moves == first
    sampler(REQUEST)
    assert moves == [*first, ("WooshAutoencoder", away), *first]


def test_there_is_nothing_to_wait_for_on_a_processor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_pipeline(tmp_path / "toy", flow_map=True)
    wanted = ("generate", "rain", "--device", "cpu", "--offload", "--model", str(model))
    assert cli.main([*wanted, "-o", str(tmp_path / "rain.wav")]) == 2
    assert "--offload" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_card_holds_the_largest_part_alone() -> None:
    """And makes the sound that it makes of a model that stays on it."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    waiting, device = make_pipeline().sampler, torch.device("cuda")
    largest = max(
        sum(tensor.nbytes for tensor in part.state_dict().values())
        for part in (waiting.text_encoder, waiting.transformer, waiting.autoencoder)
    )
    before = torch.cuda.memory_allocated()
    made = offloaded(waiting, device)(REQUEST)
    assert torch.cuda.memory_allocated() - before <= 2 * largest + made.nbytes
    assert torch.equal(made, make_pipeline().to("cuda").sampler(REQUEST))
