"""The aligner's recipe at toy size: it runs, learns from teachers too, and resumes exactly."""

import json
from pathlib import Path

import pytest
import torch

from tests.clotho import write_clotho
from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    clap_config,
    killed_after_saving,
    same,
    weights,
)
from training import train_clap
from woosh.embeddings.clap import load_clap
from woosh.taggers import AudioTagger, load_tagger, save_tagger
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.tagger import FrontEnd
from woosh.training.aligner.caption_pairs import PairBatch
from woosh.training.aligner.steps import MaskSizes, Towers, aligner_batch, embedding_step
from woosh.training.config import replace_fields


def test_recipe_writes_an_aligner_its_log_and_its_evaluation(clap_run: Path) -> None:
    aligner = load_clap(clap_run / "clap")
    with torch.inference_mode():
        assert aligner.embed_audio(torch.zeros(1, 100) + 0.1).shape == (1, 8)
    rows = [json.loads(line) for line in (clap_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    result = json.loads((clap_run / "evaluation.json").read_text())
    assert result["clips"] == 2 and 0 <= result["text_to_audio"]["recall_at_10"] <= 1


def test_a_resumed_run_equals_an_uninterrupted_one(
    clap_run: Path,
    manifest: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_clap.main(config)
    train_clap.main(replace_fields(config, resume=True))
    for part in ("audio_encoder", "head"):
        first, second = (weights(run / "clap" / part) for run in (clap_run, tmp_path / "run"))
        assert same(first, second)
    check_end(train_clap.main, config, "clap")


def test_teachers_take_the_place_of_pairs(
    clap_run: Path, manifest: Path, text_run: Path, tmp_path: Path
) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    train_clap.main(replace_fields(config, teachers=(str(clap_run / "clap"),)))
    first, second = (weights(run / "clap" / "head") for run in (clap_run, tmp_path / "run"))
    assert not same(first, second)


def test_clotho_is_learned_from_as_it_is_published(text_run: Path, tmp_path: Path) -> None:
    """The recipe trains on development and judges retrieval on evaluation, from the tables alone."""
    write_clotho(tmp_path / "clotho")
    config = clap_config(tmp_path / "clotho", text_run, tmp_path / "run")
    train_clap.main(replace_fields(config, validation_split="evaluation"))
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (result["clips"], result["labelled"]) == (1, 0)
    assert result["text_to_audio"]["map_at_10"] == 1.0  # five captions of the only sound


def test_passt_needs_published_weights(manifest: Path, text_run: Path, tmp_path: Path) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    with pytest.raises(ValueError, match="name their file in audio_weights"):
        train_clap.main(replace_fields(config, audio_encoder="s16"))


def test_a_tagger_is_a_start(teacher: Path, manifest: Path, text_run: Path, tmp_path: Path) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    train_clap.main(replace_fields(config, audio_weights=str(teacher), learning_rate=1e-9))
    tower = load_clap(tmp_path / "run" / "clap").audio_encoder
    known = load_tagger(teacher).network
    for name, value in tower.named_parameters():
        torch.testing.assert_close(value, known.get_parameter(name), atol=1e-6, rtol=0)
    narrow = AudioTagger(MobileNet(0.1, classes=1), ("bell",), FrontEnd(hop_length=160))
    save_tagger(narrow, tmp_path / "narrow")
    with pytest.raises(ValueError, match="hop_length=160.*: name a MobileNet with the usual"):
        train_clap.build_clap(replace_fields(config, audio_weights=str(tmp_path / "narrow")))


def test_an_aligner_learns_a_batch_by_heart(text_run: Path, manifest: Path, tmp_path: Path) -> None:
    config = replace_fields(
        clap_config(manifest, text_run, tmp_path), temperature=0.1, learned_temperature=False
    )
    torch.manual_seed(0)
    clap = train_clap.build_clap(config)
    towers = Towers(clap, config.temperature, learned_temperature=False, train_text=True).train()
    optimizer = torch.optim.AdamW(towers.parameters(), lr=3e-3)
    seconds = torch.arange(160_000) / 32_000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * seconds) for hertz in (200, 900, 4000)])
    batch = PairBatch(
        tones, torch.full((3,), 160_000), ("sea waves", "rain", "a clock"), torch.arange(3)
    )
    inputs = aligner_batch(batch, clap, MaskSizes(0, 0), torch.Generator(), torch.device("cpu"))
    losses = []
    for _ in range(60):
        embedded = embedding_step(towers, inputs)
        loss, scalars = train_clap.training_loss(embedded, batch.groups, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0] and scalars["accuracy"] == 1


def test_accumulated_pairs_meet_all_others_of_a_step(
    manifest: Path, text_run: Path, tmp_path: Path
) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    train_clap.main(replace_fields(config, batch_size=2, accumulation=2, steps=2, save_every=2))
    rows = [json.loads(r) for r in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] > 0.5 and rows[-1]["pairs_per_second"] > 0
