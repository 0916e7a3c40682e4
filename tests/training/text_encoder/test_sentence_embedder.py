"""The teacher: its embeddings, their file, and the measures against it."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tests.toy_teacher import WIDTH, save_toy_teacher
from woosh.data.phrase_words import PARAPHRASES
from woosh.training.text_encoder.sentence_embedder import (
    SentenceEmbedder,
    cached_embeddings,
    correlations,
    embed,
    mean_state,
    retrieval,
    teacher_source,
    teacher_words,
)

PHRASES = ("", "a dog barking", "rain on a tin roof", "waves")


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> SentenceEmbedder:
    return load(teacher_folder)


def load(folder: Path) -> SentenceEmbedder:
    model = AutoModel.from_pretrained(folder).eval()
    return SentenceEmbedder(model, AutoTokenizer.from_pretrained(folder))


def test_embeddings_have_unit_length_and_ignore_company(teacher: SentenceEmbedder) -> None:
    together = embed(teacher, PHRASES)
    alone = torch.cat([embed(teacher, [phrase]) for phrase in PHRASES])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(len(PHRASES)))


def test_the_file_serves_known_phrases_in_any_order(
    teacher: SentenceEmbedder, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.safetensors"
    first = cached_embeddings(path, teacher, PHRASES)
    mixed = cached_embeddings(path, teacher, (*PHRASES[::-1], "the dog"))
    assert torch.equal(mixed[:-1], first.flip(0))
    torch.testing.assert_close(mixed[-1:], embed(teacher, ["the dog"]), atol=1e-3, rtol=0)


def test_the_file_of_another_teacher_is_not_used(teacher: SentenceEmbedder, tmp_path: Path) -> None:
    other = load(save_toy_teacher(tmp_path))
    torch.nn.init.normal_(other.model.get_input_embeddings().weight)
    path = tmp_path / "teacher.safetensors"
    first = cached_embeddings(path, teacher, PHRASES)
    assert first.shape == (len(PHRASES), WIDTH)
    assert not torch.equal(cached_embeddings(path, other, PHRASES), first)


def test_mean_state_ignores_padding() -> None:
    text = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_state(text, torch.tensor([[1, 1, 0]])).item() == 2.0


def test_teacher_words_keep_the_vocabularys_order(teacher_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(teacher_folder)
    assert teacher_words(tokenizer, 2) == ["dog", "rain"]


def test_teacher_source_prefers_an_installed_package() -> None:
    assert teacher_source("sentence-transformers/name") == "sentence-transformers/name"
    assert teacher_source("not_an_installed_package") == "not_an_installed_package"
    assert Path(teacher_source("json")).parts[-2:] == ("json", "model")


def test_retrieval_names_the_wrong_ones() -> None:
    captions = ["a dog barking", "rain falling"]
    count = sum(len(texts) for _, texts in PARAPHRASES.values())
    wrong = retrieval(captions, torch.eye(2), torch.eye(2)[[0] * count])
    assert wrong["dog barking"] == []
    assert wrong["rain"][0] == "a sudden downpour -> a dog barking"


def test_correlations_of_equal_geometry_are_one() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(20, 8), dim=-1)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8))
    assert correlations(vectors @ rotation, vectors)["spearman"] > 0.999
