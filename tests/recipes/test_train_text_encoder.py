"""The text encoder's recipe at toy size: it runs, learns, resumes exactly, and what it saves loads."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from tests.recipes.toy_recipes import Killed, check_end, killed_after_saving, text_encoder_config
from training import train_text_encoder as recipe
from woosh.generation.text_encoder import WooshTextEncoder, load_tokenizer, tokenize
from woosh.training.config import replace_fields
from woosh.training.text_encoder import distillation as text_distillation
from woosh.training.text_encoder.sentence_embedder import Embedded
from woosh.training.text_encoder.tokenizer import SPECIAL_TOKENS, save_tokenizer, train_tokenizer

PHRASES = ("", "a dog barking", "rain on a tin roof", "waves", "a clock ticking slowly", "a sneeze")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> recipe.Config:
    return text_encoder_config(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(config: recipe.Config) -> Path:
    """The output folder of a run of four steps."""
    recipe.main(config)
    return Path(config.run.output)


def toy_student(vocabulary_size: int) -> text_distillation.Student:
    encoder = WooshTextEncoder(
        vocabulary_size=vocabulary_size,
        width=16,
        layers=2,
        heads=2,
        inner_width=32,
        max_tokens=32,
        hidden_layer=-1,
    )
    return text_distillation.Student(encoder, 16, 16).eval()


def toy_batch(embeddings: Tensor) -> text_distillation.PhraseBatch:
    tokenizer = train_tokenizer(PHRASES, 300, 32)
    inputs = tokenizer(list(PHRASES), return_tensors="pt", padding=True)
    return text_distillation.PhraseBatch(((inputs.input_ids, inputs.attention_mask),), embeddings)


def loss_of(
    student: text_distillation.Student, batch: text_distillation.PhraseBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    return recipe.training_step(student, batch, similarity_weight=10.0)


def test_a_batch_can_be_learnt_by_heart() -> None:
    student = toy_student(300)
    targets = torch.nn.functional.normalize(torch.randn(len(PHRASES), 16), dim=-1)
    batch = toy_batch(targets)
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    first, _ = loss_of(student, batch)
    for _ in range(150):
        loss, _ = loss_of(student, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05 * first


def test_every_parameter_gets_a_gradient() -> None:
    student = toy_student(300)
    loss, logs = loss_of(student, toy_batch(torch.randn(len(PHRASES), 16)))
    loss.backward()
    missing = [name for name, value in student.named_parameters() if value.grad is None]
    assert not missing
    assert set(logs) == {"loss", "mean", "first", "similarity"}


def test_length_groups_do_not_change_the_loss() -> None:
    student = toy_student(300)
    batch = toy_batch(torch.randn(len(PHRASES), 16))
    input_ids, mask = batch.groups[0]
    halves = text_distillation.PhraseBatch(
        ((input_ids[:3], mask[:3]), (input_ids[3:], mask[3:])), batch.targets
    )
    whole, _ = loss_of(student, batch)
    parts, _ = loss_of(student, halves)
    torch.testing.assert_close(whole, parts)


def test_start_gives_the_teachers_space_back() -> None:
    student = toy_student(12)  # as wide as the teacher, so that nothing is lost
    embeddings = torch.nn.functional.normalize(torch.randn(50, 16), dim=-1)
    text_distillation.start_from_teacher(student, embeddings[:12], embeddings)
    table = student.encoder.model.get_input_embeddings().weight
    cosine = torch.nn.functional.cosine_similarity(student.project_mean(table), embeddings[:12])
    torch.testing.assert_close(cosine, torch.ones(12))


def test_tokenizer_round_trip_lower_cases_and_has_robertas_ids(tmp_path: Path) -> None:
    save_tokenizer(train_tokenizer(PHRASES, 300, 32), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is type(tokenizer)
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    ids = tokenizer("A Dog BARKING, caf\u00e9").input_ids
    assert (ids[0], ids[-1]) == (0, 2)
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "a dog barking, caf\u00e9"
    assert ids == tokenizer("a dog barking, caf\u00e9").input_ids
    assert tokenizer("").input_ids == [0, 2]
    input_ids, mask = tokenize(tokenizer, ["rain " * 60, "rain"], 32)
    assert input_ids.shape == (2, 32)
    assert input_ids[0, -1] == 2  # a cut text still ends in </s>
    assert (input_ids[1, mask[1] == 0] == 1).all()


def test_batches_follow_from_seed_and_step() -> None:
    tokenizer = train_tokenizer(PHRASES, 300, 32)
    embeddings = torch.randn(len(PHRASES), 16)
    train = Embedded(PHRASES, embeddings)
    source = text_distillation.PhraseBatches(tokenizer, train, 8, 2, seed=0)
    batches = [source.batch(number) for number in (5, 5, 6)]
    assert torch.equal(batches[0].targets, batches[1].targets)
    assert not torch.equal(batches[0].targets, batches[2].targets)
    assert all(torch.equal(batch.targets[0], embeddings[0]) for batch in batches)


def test_run_saves_what_loads(trained: Path, config: recipe.Config) -> None:
    encoder = WooshTextEncoder.from_pretrained(trained / "text_encoder")
    input_ids, mask = tokenize(load_tokenizer(trained / "tokenizer"), ["", "a dog"], 32)
    text = encoder(input_ids, mask)
    assert text.shape == (2, 32, config.width)
    assert torch.isfinite(text).all()
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    results = json.loads((trained / "evaluation.json").read_text())
    assert results["teacher"]["pearson"] == pytest.approx(1, abs=1e-3)


def test_resumed_equals_uninterrupted(
    trained: Path, config: recipe.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with the checkpoint of the second step, then resumed: the same bits."""
    config = replace_fields(config, output=str(tmp_path))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            recipe.main(config)
    recipe.main(replace_fields(config, resume=True))
    resumed = WooshTextEncoder.from_pretrained(tmp_path / "text_encoder").state_dict()
    expected = WooshTextEncoder.from_pretrained(trained / "text_encoder").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.items())
    check_end(recipe.main, config, "text_encoder")


def test_resuming_keeps_the_tokenizer_when_a_source_has_changed(
    trained: Path, config: recipe.Config, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    shutil.copytree(trained, output)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"captions": ["xylophone quartz jukebox"] * 9}) + "\n")
    before = (output / "tokenizer" / "tokenizer.json").read_bytes()
    changed = replace_fields(
        config, output=str(output), manifest=str(manifest), seed=1, resume=True
    )
    recipe.main(changed)
    assert (output / "tokenizer" / "tokenizer.json").read_bytes() == before
