"""Labels: zero-shot by an aligner against its own embeddings, by PaSST's head, and refusals."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.sounds import write_sounds
from tests.toys import make_clap, randomise
from woosh.embeddings.clap import load_clap, save_clap
from woosh.embeddings.embedders import read_to_embed
from woosh.embeddings.tagging import load_tagger
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt

LABELS = ("dog barking", "rain", "sea waves", "a clock ticking")


@pytest.fixture
def aligner(tmp_path: Path) -> Path:
    """A toy aligner with a vocabulary of its own, and two sounds beside it."""
    folder = tmp_path / "toy-clap"
    save_clap(make_clap(), folder)
    (folder / "labels.txt").write_text("\n".join(LABELS))
    write_sounds(tmp_path / "sounds", range(2))
    return folder


def test_an_aligner_names_the_nearest_texts(aligner: Path, tmp_path: Path) -> None:
    tagger = load_tagger(str(aligner), None)
    path = tmp_path / "sounds" / "clip-0.wav"
    tags = tagger.tag(path, 3)
    clap = load_clap(aligner)
    with torch.inference_mode():
        audio = clap.embed_audio(read_to_embed(path, tagger.embedder)[None])[0]
        scores = clap.embed_text(LABELS) @ audio
    order = scores.argsort(descending=True)[:3].tolist()
    assert [tag.label for tag in tags] == [LABELS[index] for index in order]
    assert [tag.score for tag in tags] == pytest.approx(scores[order].tolist(), abs=1e-5)
    assert len(tagger.tag(path, 99)) == len(LABELS)


def test_labels_of_ones_own(aligner: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("laser\nzap\n")
    tagger = load_tagger(str(aligner), tmp_path / "mine.txt")
    assert {tag.label for tag in tagger.tag(tmp_path / "sounds" / "clip-1.wav", 5)} == {
        "laser",
        "zap",
    }


def test_a_mobilenet_gives_the_probabilities_of_its_head(tmp_path: Path) -> None:
    write_sounds(tmp_path / "sounds", range(1), seconds=12.0)
    network = randomise(MobileNet(0.1, classes=3), 1)
    save_file(network.state_dict(), tmp_path / "ear.safetensors")
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree")
    tagger = load_tagger(f"tagger:{tmp_path / 'ear.safetensors'}", None)
    path = tmp_path / "sounds" / "clip-0.wav"
    audio = read_to_embed(path, tagger.embedder)
    with torch.inference_mode():
        pieces = [network(LogMel()(part[None])[:, None]) for part in audio.split(320_000)]
    mean = torch.cat([piece.logits for piece in pieces]).sigmoid().mean(dim=0)
    best = mean.argsort(descending=True).tolist()
    tags = tagger.tag(path, 3)
    assert [tag.label for tag in tags] == [tagger.labels[index] for index in best]
    assert [tag.score for tag in tags] == pytest.approx(mean[best].tolist(), abs=1e-5)
    features = torch.cat([piece.features for piece in pieces]).mean(dim=0)
    torch.testing.assert_close(tagger.embedder.embed(audio), features)
    with pytest.raises(ValueError, match="a tagger needs its weights"):
        load_tagger("tagger:", None)


def test_passt_gives_the_probabilities_of_its_head(tmp_path: Path) -> None:
    write_sounds(tmp_path / "sounds", range(1))
    passt = Passt(width=16, depth=1, heads=2, classes=3).eval()
    passt.save_pretrained(tmp_path / "passt")
    (tmp_path / "passt" / "labels.txt").write_text("one\ntwo\nthree")
    tagger = load_tagger(f"passt:{tmp_path / 'passt'}", None)
    path = tmp_path / "sounds" / "clip-0.wav"
    tags = tagger.tag(path, 3)
    audio = read_to_embed(path, tagger.embedder)[None]
    with torch.inference_mode():
        expected = passt(passt.log_mel(audio)).logits[0].sigmoid()
    names = ("one", "two", "three")
    assert {tag.label: pytest.approx(tag.score, abs=1e-5) for tag in tags} == dict(
        zip(names, expected.tolist(), strict=True)
    )
    assert [tag.score for tag in tags] == sorted((tag.score for tag in tags), reverse=True)


def test_refusals(aligner: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither labels nor texts"):
        load_tagger("log-mel", aligner / "labels.txt")
    (aligner / "labels.txt").unlink()
    with pytest.raises(FileNotFoundError, match="no class names"):
        load_tagger(str(aligner), None)
    with pytest.raises(FileNotFoundError, match="no file of class names"):
        load_tagger(str(aligner), tmp_path / "missing.txt")
    passt = Passt(width=16, depth=1, heads=2, classes=3)
    passt.save_pretrained(tmp_path / "passt")
    (tmp_path / "two.txt").write_text("one\ntwo")
    with pytest.raises(ValueError, match="2 labels"):
        load_tagger(f"passt:{tmp_path / 'passt'}", tmp_path / "two.txt")
