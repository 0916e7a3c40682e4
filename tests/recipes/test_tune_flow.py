"""Tuning by rewards at toy size: it runs, learns what is rewarded, resumes at a round's end, refuses what cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    CONFIGS,
    Killed,
    check_end,
    killed_after_saving,
    same,
    weights,
)
from training import tune_flow
from woosh.generation.transformer import WooshTransformer
from woosh.training.config import load_config, replace_fields


@pytest.fixture(scope="module")
def config(
    mel_run: Path,
    mel_flow_run: Path,
    text_run: Path,
    clap_run: Path,
    nine_labels: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tune_flow.Config:
    """Of a mel autoencoder's latents and a flow of them."""
    folder = tmp_path_factory.mktemp("tune")
    return replace_fields(
        load_config(tune_flow.Config, CONFIGS / "tune_mel.yaml"),
        output=str(folder / "run"),
        latents=str(mel_flow_run.parent / "mel_latents"),
        text_encoder=str(text_run / "text_encoder"),
        tokenizer=str(text_run / "tokenizer"),
        lengths=(13, 26),
        frames_per_batch=104,
        favoured=("dog bark",),
        initial=str(mel_flow_run / "transformer"),
        autoencoder=str(mel_run / "autoencoder"),
        tagger=str(nine_labels),
        aligner=str(clap_run / "clap"),
        prompts_per_round=2,
        candidates=2,
        sounds_per_prompt=4,
        steps_per_round=2,
        sampling_steps=2,
        steps=6,
        warmup_steps=1,
        ema_decay=0.5,
        precision="no",
        compile=False,
        log_every=2,
        save_every=4,
    )


@pytest.fixture(scope="module")
def tuned(config: tune_flow.Config) -> Path:
    tune_flow.main(config)
    return Path(config.run.output)


def test_it_writes_the_average_and_what_was_heard(tuned: Path, config: tune_flow.Config) -> None:
    model = WooshTransformer.from_pretrained(tuned / "transformer")
    before = WooshTransformer.from_pretrained(config.initial)
    assert not torch.equal(model.final.linear.weight, before.final.linear.weight)
    rows = [json.loads(line) for line in (tuned / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(row["tuning_loss"]) and row["likeness"] < 0 for row in rows)
    assert all(row["likeness"] <= row["best_likeness"] and abs(row["words"]) <= 1 for row in rows)


def test_resumed_at_the_end_of_a_round_it_equals_an_uninterrupted_run(
    tuned: Path, config: tune_flow.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace_fields(config, output=str(tuned.parent / "again"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            tune_flow.main(again)
    tune_flow.main(replace_fields(again, resume=True))
    assert same(weights(tuned / "transformer"), weights(tuned.parent / "again" / "transformer"))
    check_end(tune_flow.main, again, "transformer")


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_sounds_of_a_round_follow_from_seed_and_number(
    config: tune_flow.Config, guidance: float
) -> None:
    """And those of a prompt differ, or there would be nothing to choose from."""
    config = replace_fields(config, guidance=guidance)
    source, rounds = tune_flow.prepare_rounds(config, torch.device("cpu"))
    flow = WooshTransformer.from_pretrained(config.initial).eval()
    batch = source.batch(4)
    first, second = (rounds.sounds(flow, batch, 4) for _ in range(2))
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.optimal, second.optimal)
    assert not torch.equal(first.latents[0], first.latents[1])
    assert ((first.optimal >= 0) & (first.optimal <= 1)).all() and first.optimal.std() > 0
    assert not torch.equal(first.latents, rounds.sounds(flow, batch, 6).latents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"save_every": 3}, "save_every a multiple of steps_per_round"),
        ({"accumulation": 2}, "accumulation must be 1"),
        ({"streamed": True}, "streamed must be false"),
        ({"text_encoder": None, "tokenizer": None}, "name text_encoder and tokenizer"),
    ],
    ids=["save", "accumulation", "stream", "text"],
)
def test_refusals(
    config: tune_flow.Config, changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        tune_flow.main(replace_fields(config, output=str(tmp_path / "run"), **changes))


def test_an_autoencoder_without_a_spectrogram_is_refused(
    config: tune_flow.Config, magnitude_run: Path, tmp_path: Path
) -> None:
    other = replace_fields(
        config, output=str(tmp_path / "run"), autoencoder=str(magnitude_run / "autoencoder")
    )
    with pytest.raises(ValueError, match="is no mel autoencoder"):
        tune_flow.main(other)
