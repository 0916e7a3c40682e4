"""Embedders by name, pieces, embeddings from elsewhere, and the cache."""

import hashlib
import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

from tests.sounds import sound
from tests.toys import make_clap, make_tokenizer, randomise
from woosh.checksums import hash_files
from woosh.embeddings import embedders
from woosh.embeddings.cache import EmbeddingCache, Measured, default_cache_folder
from woosh.embeddings.clap import save_clap
from woosh.embeddings.embedders import Embedder, Heard, load_embedder, load_external, pieces
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mid_level import mid_level_features
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt
from woosh.taggers.passt_weights import VARIANTS


def audio(seconds: float, rate: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(round(seconds * rate), generator=generator)


@given(st.integers(1, 200), st.integers(21, 60), st.integers(0, 20))
def test_pieces_are_the_clip_without_a_short_rest(
    samples: int, longest: int, shortest: int
) -> None:
    clip = torch.arange(float(samples))
    parts = pieces(clip, longest, shortest)
    joined = torch.cat(parts)
    rest = samples - len(joined)
    assert torch.equal(joined, clip[: len(joined)])
    assert rest in (0, samples % longest)
    assert rest <= shortest
    assert all(len(part) == longest for part in parts[:-1])
    assert len(parts) == 1 or len(parts[-1]) > shortest


@pytest.mark.parametrize("shape", [(0,), (1, 5), ()])
def test_pieces_need_samples(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not empty"):
        pieces(torch.zeros(shape), 5, 1)


def test_log_mel_statistics_ignore_gain_and_time_shift() -> None:
    embedder = load_embedder("log-mel")
    clip = torch.from_numpy(sound(1, 1.0)[0])
    embedding = embedder.embed(clip)
    assert embedding.shape == (embedder.width,) == (192,)
    assert torch.allclose(embedder.embed(clip / 8), embedding, atol=1e-3)
    other = embedder.embed(torch.from_numpy(sound(2, 1.0)[0]))
    moved = embedder.embed(clip.roll(9600))
    assert (moved - embedding).norm() < 0.3 * (other - embedding).norm()
    assert embedder.text is None
    assert embedder.tags == 0


def toy_passt() -> Passt:
    """One second long, two layers."""
    return Passt(width=24, depth=2, heads=2, stride=16, frames=100, classes=7)


@pytest.fixture(scope="module")
def passt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passt") / "toy"
    randomise(toy_passt(), 1).save_pretrained(folder)
    return folder


def test_passt_is_heard_in_pieces(passt_folder: Path) -> None:
    embedder = load_embedder(f"passt:{passt_folder}")
    model = Passt.from_pretrained(passt_folder).eval()
    assert (embedder.sample_rate, embedder.width, embedder.tags) == (32_000, 24, 7)
    assert embedder.weights == hash_files(list(passt_folder.glob("*.safetensors")))
    clip = audio(2.1, 32_000)  # two whole seconds; the rest of 0.1 s is left out
    with torch.no_grad():
        outputs = [model(model.log_mel(piece[None])) for piece in clip[:64_000].split(32_000)]
    heard = embedder.listen(clip)
    features = torch.cat([output.features for output in outputs]).mean(dim=0)
    assert torch.allclose(heard.embedding, features, atol=1e-6)
    assert heard.logits is not None
    assert torch.allclose(heard.logits, torch.cat([output.logits for output in outputs]), atol=1e-6)
    assert len(embedder.listen(audio(2.3, 32_000)).logits) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [1, 1000, 4800, 4801])
def test_passt_takes_clips_shorter_than_its_patches(passt_folder: Path, samples: int) -> None:
    heard = load_embedder(f"passt:{passt_folder}").listen(audio(1, 32_000)[:samples])
    assert heard.embedding.isfinite().all()


def test_passt_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="passt:VARIANT:FILE"):
        load_embedder("passt:")
    with pytest.raises(FileNotFoundError, match="none.pt"):
        load_embedder(f"passt:s10:{tmp_path / 'none.pt'}")
    (tmp_path / "some.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="needs one of"):
        load_embedder(f"passt:{tmp_path / 'some.pt'}")


def test_the_middle_of_a_tagger_is_an_embedder(tmp_path: Path) -> None:
    network = randomise(MobileNet(0.1, classes=3), 1)
    path = tmp_path / "ear.safetensors"
    save_file(network.state_dict(), path)
    embedder = load_embedder(f"tagger-mid:{path}")
    assert (embedder.name, embedder.sample_rate, embedder.width) == ("tagger-mid-ear", 32_000, 184)
    assert embedder.tags == 0 and embedder.text is None
    clip = audio(12.0, 32_000)
    parts = [LogMel()(part[None])[:, None] for part in (clip[:320_000], clip[320_000:])]
    with torch.no_grad():
        expected = torch.cat([mid_level_features(network, part) for part in parts]).mean(dim=0)  # type: ignore[arg-type]
    torch.testing.assert_close(embedder.embed(clip), expected)
    assert embedder.weights == load_embedder(f"tagger:{path}").weights
    with pytest.raises(ValueError, match="a tagger needs its weights"):
        load_embedder("tagger-mid:")


@pytest.fixture(scope="module", params=["rand_trunc", "fusion"])
def laion_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A LAION-CLAP of transformers' own classes at toy size, with 10 s of input."""
    tokenizer = make_tokenizer()
    config = ClapConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 66,
        },
        audio_config={
            "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
            "num_attention_heads": [2, 2], "num_hidden_layers": 2, "spec_size": 256,
            "num_mel_bins": 64, "window_size": 8, "patch_size": 4, "patch_stride": [4, 4],
            "enable_fusion": request.param == "fusion", "fusion_type": "aff_2d" if request.param == "fusion" else None,
        },
        projection_dim=12,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("laion") / f"toy-{request.param}"
    ClapModel(config).eval().save_pretrained(folder)
    extractor = ClapFeatureExtractor(truncation=request.param)
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def test_laion_clap_is_transformers_clap_in_pieces(laion_folder: Path) -> None:
    embedder = load_embedder(f"laion-clap:{laion_folder}")
    assert (embedder.sample_rate, embedder.width, embedder.tags) == (48_000, 12, 0)
    content = (laion_folder / "model.safetensors").read_bytes()
    assert embedder.weights == hashlib.sha256(content).hexdigest()
    clip = audio(11.0, 48_000)
    first, second = (embedder.listen(part).embedding for part in (clip[:480_000], clip[480_000:]))
    whole = embedder.listen(clip).embedding
    assert whole.norm().item() == pytest.approx(1)
    assert torch.allclose(whole, torch.nn.functional.normalize(first + second, dim=0), atol=1e-5)
    assert torch.equal(embedder.listen(clip).embedding, whole)  # nothing is cropped at random
    model, processor = (
        ClapModel.from_pretrained(laion_folder).eval(),
        ClapProcessor.from_pretrained(laion_folder),
    )
    inputs = processor(audio=clip[480_000:].numpy(), sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        expected = model.get_audio_features(**inputs).pooler_output[0]
    assert torch.allclose(second, expected, atol=1e-5)


def test_laion_clap_knows_text(laion_folder: Path) -> None:
    embedder = load_embedder(f"laion-clap:{laion_folder}")
    assert embedder.text is not None
    texts = ["a dog barking", "sea waves and rain"]
    together = embedder.text(texts)
    assert together.shape == (2, 12)
    assert torch.allclose(together[1], embedder.text(texts[1:])[0], atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_laion_clap_that_is_not_there(tmp_path: Path) -> None:
    for name in (str(tmp_path), "nobody/has-this"):  # without network, as in all tests
        with pytest.raises(FileNotFoundError, match="laion-clap:FOLDER"):
            load_embedder(f"laion-clap:{name}")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        load_embedder("no-such-model")
    with pytest.raises(ValueError, match="finished embeddings"):
        load_embedder("openl3.npz")


def test_an_aligners_folder_is_an_embedder(tmp_path: Path) -> None:
    clap = make_clap()
    save_clap(clap, tmp_path / "toy")
    embedder = load_embedder(str(tmp_path / "toy"))
    assert (embedder.name, embedder.sample_rate, embedder.width) == ("toy", 32_000, clap.width)
    assert embedder.text is not None
    clip = audio(6.5, 32_000)
    with torch.no_grad():
        assert torch.allclose(embedder.embed(clip), clap.embed_audio(clip[None])[0], atol=1e-6)
        texts = ["Sea waves", "a dog barking in the rain"]
        assert torch.allclose(embedder.text(texts), clap.embed_text(texts), atol=1e-6)
    weights = embedder.weights
    clap.head.audio.bias.data.add_(0.1)
    save_clap(clap, tmp_path / "toy")
    assert load_embedder(str(tmp_path / "toy")).weights != weights


@pytest.mark.slow
def test_published_passt_weights_are_loaded_by_variant(tmp_path: Path) -> None:
    model = Passt(**VARIANTS["l"].sizes).eval()  # type: ignore[arg-type]
    torch.save(model.state_dict(), tmp_path / "passt.pt")
    embedder = load_embedder(f"passt:l:{tmp_path / 'passt.pt'}")
    assert (embedder.name, embedder.width, embedder.tags) == ("passt-l", 768, 527)
    assert embedder.weights == hash_files([tmp_path / "passt.pt"])
    clip = audio(1.0, 32_000)
    with torch.no_grad():
        features = model(model.log_mel(clip[None])).features[0]
    assert torch.allclose(embedder.embed(clip), features, atol=1e-5)


def test_the_built_in_aligner_is_an_embedder() -> None:
    try:
        embedder = load_embedder("woosh-tiny-clap")
    except FileNotFoundError:
        pytest.skip("woosh-tiny-clap is not in this checkout")
    assert embedder.text is not None
    clip = audio(1.5, embedder.sample_rate)
    assert embedder.embed(clip).shape == (embedder.width,)
    assert embedder.text(["a dog barking"]).shape == (1, embedder.width)
    assert embedder.embed(clip).norm().item() == pytest.approx(1, abs=1e-5)


def test_external_embeddings_are_averaged_and_found(tmp_path: Path) -> None:
    frames = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.savez(tmp_path / "openl3.npz", **{"takes/dog.wav": frames, "cat.wav": frames[0]})
    external = load_external(tmp_path / "openl3.npz")
    assert (external.name, external.width) == ("openl3.npz", 3)
    assert external.weights == hash_files([tmp_path / "openl3.npz"])
    assert external.find(tmp_path / "takes", "dog.wav").tolist() == [4.5, 5.5, 6.5]
    assert external.find(tmp_path / "other", "deep/cat.wav").tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="'other/dog.wav', nor one 'dog.wav'"):
        external.find(tmp_path / "other", "dog.wav")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((2, 3, 4))}, "shape"),
        ({"a": np.zeros((0, 4))}, "shape"),
        ({"a": np.array(["text"])}, "must be numbers"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, r"one width, it has \[3, 4\]"),
        ({"a": np.array([1.0, math.nan])}, "NaN"),
        ({}, "it has none"),
        ({"a": np.array([{}], dtype=object)}, "no .npz of plain arrays"),
    ],
)
def test_external_embeddings_that_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_external(tmp_path / "e.npz")


@given(st.binary(max_size=200))
def test_a_damaged_npz_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "e.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no .npz of plain arrays"):
        load_external(path)


def test_an_npz_is_refused_by_what_its_headers_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deflated zeros of gigabytes are a file of megabytes, and a header alone asks for any size."""
    path = tmp_path / "e.npz"
    for shape, bound in (((101,), 100), ((51, 2), 101), ((2**40, 2**20), 2**70)):
        header = io.BytesIO()
        described = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", header.getvalue() + bytes(4 * min(math.prod(shape), 1000)))
        monkeypatch.setattr(embedders, "MOST_NUMBERS", bound)
        with pytest.raises(ValueError, match=r"e.npz .*(more than 10\d numbers|another size)"):
            load_external(path)
    np.savez(path, **{name: np.ones(40) for name in "abc"})
    monkeypatch.setattr(embedders, "MOST_NUMBERS", 119)
    with pytest.raises(ValueError, match="more than 119 numbers"):
        load_external(path)
    monkeypatch.setattr(embedders, "MOST_NUMBERS", 120)
    assert load_external(path).width == 40


def test_hashes_of_files(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / "a", tmp_path / "b"]
    assert hash_files(paths[:1]) == hashlib.sha256(b"1").hexdigest()
    assert hash_files(paths) == hash_files(paths[::-1])
    (tmp_path / "b").write_bytes(b"3")
    assert hash_files(paths) != hash_files(paths[:1])


def an_embedder() -> Embedder:
    return Embedder("a", 8000, 3, "f00", "whole", lambda clip: Heard(clip[:3], None))


def test_the_cache_gives_back_what_it_was_given(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "deep" / "cache")
    key = cache.key("content", an_embedder(), 5.0)
    assert cache.load(key) is None
    for logits in (None, torch.arange(8.0).reshape(2, 4)):
        cache.save(key, Measured(Heard(torch.tensor([1.0, 2.0, 3.0]), logits), 4.25, 0.1))
        found = cache.load(key)
        assert found is not None
        assert found.heard.embedding.tolist() == [1, 2, 3]
        assert (found.seconds, found.peak) == (4.25, 0.1)
        assert (found.heard.logits is None) == (logits is None)
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".safetensors"]


def test_the_key_follows_from_everything_that_decides_the_embedding(tmp_path: Path) -> None:
    cache, embedder = EmbeddingCache(tmp_path), an_embedder()
    others = [
        replace(embedder, name="b"),
        replace(embedder, weights="f01"),
        replace(embedder, protocol="in pieces"),
        replace(embedder, sample_rate=16_000),
    ]
    keys = {
        cache.key("content", embedder, None),
        cache.key("content", embedder, 5.0),
        cache.key("another", embedder, None),
        *(cache.key("content", other, None) for other in others),
    }
    assert len(keys) == 7
    assert cache.key("content", an_embedder(), None) in keys


def test_a_damaged_cache_file_counts_as_missing(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    measured = Measured(Heard(torch.ones(3), None), 1.0, 0.5)
    cache.save("ab12", measured)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.load("ab12") is None
    cache.save("ab12", measured)
    assert cache.load("ab12") is not None


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    measured = Measured(Heard(torch.ones(3000), None), 1.0, 0.5)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.save("ab12", measured), range(40)))
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    found = cache.load("ab12")
    assert found is not None
    assert torch.equal(found.heard.embedding, torch.ones(3000))


def test_the_default_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "woosh" / "embeddings"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == Path.home() / ".cache" / "woosh" / "embeddings"
