"""The LoRA recipe at toy size: from a folder of sounds to a file that `woosh generate` takes."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    killed_after_saving,
    lora_config,
    same,
    weights,
)
from training import finetune_lora
from woosh import cli
from woosh.generation.lora import read_lora
from woosh.training.config import replace_fields
from woosh.training.flow.latents import LatentClip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> finetune_lora.Config:
    return lora_config(tmp_path_factory.mktemp("lora"))


@pytest.fixture(scope="module")
def trained(config: finetune_lora.Config) -> Path:
    finetune_lora.main(config)
    return Path(config.run.output)


def test_the_file_is_small_and_says_what_it_is(trained: Path, config: finetune_lora.Config) -> None:
    tensors, facts = read_lora(trained / "lora.safetensors")
    assert (facts.rank, facts.alpha, facts.trigger) == (2, 4.0, "camelot")
    assert facts.base == config.model
    assert any(value.any() for name, value in tensors.items() if "lora_B" in name)
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]


def test_a_resumed_run_equals_an_uninterrupted_one(
    trained: Path,
    config: finetune_lora.Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = replace_fields(config, output=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            finetune_lora.main(again)
    finetune_lora.main(replace_fields(again, resume=True))
    assert same(weights(trained), weights(tmp_path / "run"))
    check_end(finetune_lora.main, again, "lora.safetensors")


def test_the_command_takes_it_in_any_amount(
    trained: Path,
    config: finetune_lora.Config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = trained / "lora.safetensors"

    def sound(name: str, *options: str) -> np.ndarray:
        path = tmp_path / f"{name}.wav"
        command = ["generate", "a door", "--seconds", "0.2", "--seed", "1"]
        assert cli.main([*command, "-o", str(path), *options]) == 0
        return soundfile.read(path)[0]

    plain = sound("plain", "--model", config.model)
    assert np.array_equal(plain, sound("none", "--lora", f"{file}:0"))
    whole = sound("whole", "--lora", str(file))
    assert "listens to 'camelot'" in capsys.readouterr().err
    halves = sound("halves", "--lora", f"{file}:0.5", "--lora", f"{file}:0.5")
    assert not np.array_equal(plain, whole)
    assert np.abs(halves - whole).max() < 1e-3 * max(1e-3, np.abs(whole).max()) + 1e-5
    command = ["generate", "a door", "--model", config.model, "-o", str(tmp_path / "x.wav")]
    for wrong, message in (
        (str(tmp_path / "none.safetensors"), "no LoRA file"),
        (f"{file}:nan", "must be a number"),
    ):
        assert cli.main([*command, "--lora", wrong]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "x.wav").exists()


def test_every_sound_is_learned_at_the_length_that_fits_it() -> None:
    clips = [
        LatentClip(torch.zeros(4, frames), ("a",), "", "", "", continuous=False)
        for frames in (10, 30, 60, 70, 900)
    ]
    assert finetune_lora.fitting_lengths(clips, [25, 50, 500]) == {25: 2, 50: 2, 500: 1}


def test_training_brings_the_error_down(config: finetune_lora.Config, tmp_path: Path) -> None:
    torch.manual_seed(0)
    longer = replace_fields(
        config,
        output=str(tmp_path / "run"),
        steps=60,
        learning_rate=0.02,
        rank=8,
        log_every=10,
        save_every=60,
        caption_dropout=0.0,
    )
    finetune_lora.main(longer)
    rows = [json.loads(r) for r in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
