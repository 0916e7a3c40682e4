"""Whole evaluations of folders: what is found, told, refused, and what does not change it."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.embeddings.test_embedders import toy_passt
from tests.sounds import RATE, sound, write_sounds
from tests.toys import make_autoencoder, randomise
from woosh.audio import read_audio, write_audio
from woosh.embeddings.cache import EmbeddingCache
from woosh.embeddings.embedders import Embedder, Heard, load_embedder, load_external
from woosh.evaluation.autoencoder import evaluate_autoencoder
from woosh.evaluation.clip_sets import Reading
from woosh.evaluation.generation import evaluate_generation
from woosh.metrics.distributions import frechet_distance, kernel_distance
from woosh.metrics.onsets import onset_f_measure, onset_times
from woosh.metrics.reconstruction import mel_distance, scale_peak, si_sdr
from woosh.metrics.tags import softmax_divergence, softmax_tags


def narrow(width: int = 8) -> Embedder:
    """The first statistics of log-mel spectra: few enough for the Frechet distance of few clips."""
    whole = load_embedder("log-mel")

    def listen(audio: torch.Tensor) -> Heard:
        return Heard(whole.embed(audio)[4 :: 128 // width][:width].clone(), None)

    return Embedder(f"narrow-{width}", RATE, width, "none", "whole clips", listen)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def warnings_of(result: dict, embedding: int = 0) -> dict[str, str]:
    return {w["name"]: w["message"] for w in result["embeddings"][embedding]["warnings"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """40 generated clips and 40 others of the same names."""
    root = tmp_path_factory.mktemp("sets")
    generated = write_sounds(root / "generated", range(40))
    reference = root / "reference"
    reference.mkdir()
    for seed in range(40):
        write_audio(reference / f"clip-{seed}.flac", sound(seed + 1000, 0.6), RATE)
    return generated, reference


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """A real PaSST at toy size."""
    folder = tmp_path_factory.mktemp("tagger") / "toy"
    randomise(toy_passt(), 1, gain=3.0).save_pretrained(folder)
    return load_embedder(f"passt:{folder}")


def test_the_numbers_are_those_of_the_metrics(folders: tuple[Path, Path], tagger: Embedder) -> None:
    result = evaluate_generation(*folders, [tagger], seeded())
    heard = [
        {
            int(path.stem.split("-")[1]): tagger.listen(
                torch.from_numpy(read_audio(path, tagger.sample_rate))[0]
            )
            for path in folder.iterdir()
        }
        for folder in folders
    ]
    embeddings = [torch.stack([part[seed].embedding for seed in range(40)]) for part in heard]
    tags = [torch.stack([softmax_tags(part[seed].logits) for seed in range(40)]) for part in heard]
    metrics = result["embeddings"][0]["metrics"]
    assert metrics["frechet_distance"] == pytest.approx(
        frechet_distance(*embeddings).item(), rel=1e-6
    )
    distance = kernel_distance(*embeddings, seeded())
    assert metrics["kernel_distance"]["value"] == pytest.approx(distance.value, rel=1e-6)
    divergence = softmax_divergence(*tags)._asdict()
    assert metrics["kl_softmax"] == pytest.approx(divergence, rel=1e-4)
    assert set(metrics) == {
        "frechet_distance", "frechet_distance_infinity", "kernel_distance", "density_coverage",
        "precision_recall", "kl_softmax", "kl_sigmoid", "inception_score",
    }  # fmt: skip
    assert metrics["frechet_distance_infinity"] is None  # 40 clips, 24 dimensions
    assert "no_frechet_distance_infinity" in warnings_of(result)
    assert metrics["inception_score"]["splits"] == 1


def test_the_result_tells_how_it_came_about(folders: tuple[Path, Path]) -> None:
    result = evaluate_generation(*folders, [narrow()], seeded(5), reading=Reading(crop=0.55))
    assert json.loads(json.dumps(result, allow_nan=False)) == json.loads(json.dumps(result))
    assert result["seed"] == 5
    assert result["audio"]["crop_seconds"] == 0.55
    assert "soxr" in result["audio"]["resampler"]
    assert {"woosh", "torch", "soxr", "numpy", "python"} <= set(result["software"])
    generated, reference = result["sets"]["generated"], result["sets"]["reference"]
    assert generated["clips"] == reference["clips"] == 40
    assert generated["seconds"] == {
        "shortest": 0.5, "median": 0.5, "longest": 0.5, "shorter_than_crop": 40,
    }  # fmt: skip
    assert reference["seconds"]["longest"] == 0.55
    (part,) = result["embeddings"]
    assert (part["name"], part["weights"], part["sample_rate"]) == ("narrow-8", "none", RATE)
    assert len(part["picture"]["generated"]) == 40


def test_two_runs_renamed_files_caches_and_processes_give_the_same_numbers(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first = evaluate_generation(*folders, [narrow()], seeded())
    assert evaluate_generation(*folders, [narrow()], seeded()) == first
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(folders[1].iterdir(), reverse=True)):
        target = moved / str(number % 3) / f"{number}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    cache = EmbeddingCache(tmp_path / "cache")
    for workers in (0, 2):  # the second time everything comes from the cache
        reading = Reading(workers=workers, cache=cache)
        again = evaluate_generation(folders[0], moved, [narrow()], seeded(), reading=reading)
        assert again["embeddings"] == first["embeddings"]
        assert again["sets"]["reference"]["content"] == first["sets"]["reference"]["content"]
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 80


def test_the_cache_spares_the_network(folders: tuple[Path, Path], tmp_path: Path) -> None:
    reading = Reading(cache=EmbeddingCache(tmp_path))
    heard = []
    inner = narrow()

    def listen(audio: torch.Tensor) -> Heard:
        heard.append(len(audio))
        return inner.listen(audio)

    counting = Embedder("counting", RATE, 8, "none", "whole clips", listen)
    evaluate_generation(*folders, [counting], seeded(), reading=reading)
    assert len(heard) == 80
    evaluate_generation(*folders, [counting], seeded(), reading=reading)
    assert len(heard) == 80
    evaluate_generation(*folders, [counting], seeded(), reading=Reading(0.2, 0, reading.cache))
    assert len(heard) == 160


def test_another_embedding_changes_no_number(folders: tuple[Path, Path], tagger: Embedder) -> None:
    alone = evaluate_generation(*folders, [narrow()], seeded())
    beside = evaluate_generation(*folders, [tagger, narrow()], seeded())
    assert beside["embeddings"][1] == alone["embeddings"][0]


def test_a_set_against_itself(folders: tuple[Path, Path], tagger: Embedder) -> None:
    result = evaluate_generation(folders[0], folders[0], [narrow(), tagger], seeded())
    for part in result["embeddings"]:
        metrics = part["metrics"]
        assert metrics["frechet_distance"] == pytest.approx(0, abs=1e-6)
        assert metrics["density_coverage"] == pytest.approx({"density": 1, "coverage": 1})
        assert metrics["precision_recall"] == {"precision": 1, "recall": 1}
        assert (
            metrics["kernel_distance"]["value"] < 0
        )  # unbiased: the pairs with itself are missing
    assert result["embeddings"][1]["metrics"]["kl_softmax"]["mean"] == pytest.approx(0, abs=1e-4)


def test_too_few_clips_for_the_covariance(folders: tuple[Path, Path]) -> None:
    result = evaluate_generation(*folders, [load_embedder("log-mel"), narrow()], seeded())
    wide, few = (part["metrics"] for part in result["embeddings"])
    assert wide["frechet_distance"] is None
    assert wide["kernel_distance"]["standard_error"] > 0
    warning = warnings_of(result)["no_frechet_distance"]
    assert "40 clips do not determine a covariance of 192 dimensions" in warning
    assert "kernel distance" in warning
    assert few["frechet_distance"] > 0
    assert "biased_frechet_distance" in warnings_of(result, 1)


def test_unequal_silent_copied_and_unreadable_clips_are_named(
    folders: tuple[Path, Path], tmp_path: Path, tagger: Embedder
) -> None:
    generated = tmp_path / "generated"
    shutil.copytree(folders[0], generated)
    soundfile.write(generated / "quiet.wav", np.zeros(4800), RATE)
    soundfile.write(generated / "nan.wav", np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    (generated / "broken.flac").write_bytes(b"no audio")
    shutil.copy(generated / "clip-3.wav", generated / "clip-3-again.wav")
    result = evaluate_generation(generated, folders[1], [tagger], seeded())
    warnings = warnings_of(result)
    assert "quiet.wav" in warnings["silent_generated"]
    assert warnings["unreadable_generated"].startswith("2 left out: ")
    assert "nan.wav" in warnings["unreadable_generated"]
    assert "broken.flac" in warnings["unreadable_generated"]
    assert "1 files are equal" in warnings["copies_generated"]
    assert "42 generated clips are compared with 40" in warnings["unequal_sets"]
    assert "only 40 of 42" in warnings["unpaired"]
    assert result["sets"]["generated"]["files"] == 44
    assert result["sets"]["generated"]["clips"] == 42
    whole = evaluate_generation(*folders, [tagger], seeded())
    for name in ("kl_softmax", "kl_sigmoid"):
        ours, theirs = (r["embeddings"][0]["metrics"][name] for r in (result, whole))
        assert ours == pytest.approx(theirs)


def test_sets_without_pairs_have_no_divergence(
    folders: tuple[Path, Path], tmp_path: Path, tagger: Embedder
) -> None:
    other = write_sounds(tmp_path / "other", range(100, 110))
    result = evaluate_generation(folders[0], other, [tagger], seeded())
    assert result["embeddings"][0]["metrics"]["kl_softmax"] is None
    assert "no pairs" in warnings_of(result)["no_kl_softmax"]
    shutil.copy(folders[0] / "clip-1.wav", tmp_path / "other" / "clip-1.wav")
    shutil.copy(folders[1] / "clip-1.flac", tmp_path / "other" / "clip-1.flac")
    result = evaluate_generation(folders[0], other, [tagger], seeded())
    assert "only in their extension" in warnings_of(result)["no_kl_sigmoid"]


def test_a_set_that_is_silent_altogether_is_named(tmp_path: Path) -> None:
    silent, loud = tmp_path / "silent", write_sounds(tmp_path / "loud", range(5))
    silent.mkdir()
    for number in range(5):
        soundfile.write(silent / f"{number}.wav", np.zeros(4800 + number), RATE)
    result = evaluate_generation(loud, silent, [narrow()], seeded())
    assert result["embeddings"][0]["metrics"]["kernel_distance"] is None
    assert "are they silent" in warnings_of(result)["no_kernel_distance"]
    assert "5 clips are silent" in warnings_of(result)["silent_reference"]


def test_nothing_readable_and_embeddings_that_are_not_finite_are_errors(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    with pytest.raises(ValueError, match="none of the 1 clips .* can be used: .*bad.wav"):
        evaluate_generation(tmp_path, folders[1], [narrow()], seeded())
    broken = Embedder(
        "broken", RATE, 2, "none", "", lambda _: Heard(torch.tensor([1, math.nan]), None)
    )
    with pytest.raises(ValueError, match="broken gives .* an embedding that is not finite"):
        evaluate_generation(*folders, [broken], seeded())


def test_the_clap_score(folders: tuple[Path, Path], tmp_path: Path) -> None:
    inner = narrow(4)

    def text(texts: list[str]) -> torch.Tensor:
        return torch.stack([torch.tensor([1.0, len(caption), 0, 0]) for caption in texts])

    aligner = Embedder("aligner", RATE, 4, "none", "whole clips", inner.listen, text)
    path = tmp_path / "captions.jsonl"
    rows = [
        {"file": "clip-3.wav", "captions": ["abc", "a"]},
        {"file": "clip-7.wav", "caption": "ab"},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    result = evaluate_generation(*folders, [aligner], seeded(), captions=path)
    for folder, suffix, name in (
        (folders[0], "wav", "clap_score"),
        (folders[1], "flac", "clap_score_reference"),
    ):
        three, seven = (
            inner.embed(torch.from_numpy(read_audio(folder / f"clip-{seed}.{suffix}"))[0])
            for seed in (3, 7)
        )
        cosines = [
            torch.cosine_similarity(text([caption])[0], clip, dim=0).item()
            for caption, clip in (("abc", three), ("a", three), ("ab", seven))
        ]
        expected = ((cosines[0] + cosines[1]) / 2 + cosines[2]) / 2
        assert result["embeddings"][0]["metrics"][name] == pytest.approx(expected, rel=1e-5)
    assert "38 of 40 clips have no caption" in warnings_of(result)["uncaptioned_generated"]
    path.write_text('{"file": "other.wav", "caption": "x"}')
    result = evaluate_generation(*folders, [aligner], seeded(), captions=path)
    assert result["embeddings"][0]["metrics"]["clap_score"] is None
    assert "name none" in warnings_of(result)["no_clap_score"]


def test_external_embeddings(folders: tuple[Path, Path], tmp_path: Path) -> None:
    inner = narrow()
    arrays = {
        f"{folder.name}/{path.name}": inner.embed(torch.from_numpy(read_audio(path))[0]).numpy()
        for folder in folders
        for path in folder.iterdir()
    }
    np.savez(tmp_path / "e.npz", **arrays)
    result = evaluate_generation(*folders, [load_external(tmp_path / "e.npz")], seeded())
    own = evaluate_generation(*folders, [inner], seeded())
    assert result["embeddings"][0]["metrics"] == own["embeddings"][0]["metrics"]
    assert result["embeddings"][0]["name"] == "e.npz"
    del arrays["reference/clip-3.flac"]
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(ValueError, match="no embedding 'reference/clip-3.flac'"):
        evaluate_generation(*folders, [load_external(tmp_path / "e.npz")], seeded())


def real_clips(shared: Path, count: int) -> list[np.ndarray]:
    """Recordings of 5 s of the ten ESC classes (1, S)."""
    files = sorted((shared / "data" / "sfx" / "esc-10").glob("*"))[:count]
    return [read_audio(file) for file in files]


def distance_between(
    first: list[np.ndarray], second: list[np.ndarray], embedder: Embedder
) -> float:
    embeddings = [
        torch.stack([embedder.embed(torch.from_numpy(clip[0])) for clip in clips])
        for clips in (first, second)
    ]
    return frechet_distance(*embeddings).item()


def test_on_real_clips_the_frechet_distance_grows_with_damage_but_not_with_a_time_shift(
    shared: Path,
) -> None:
    from scipy.signal import butter, sosfilt

    clips, embedder = real_clips(shared, 40), narrow(16)
    rng = np.random.default_rng(0)
    hiss = [rng.standard_normal(clip.shape).astype(np.float32) for clip in clips]
    assert distance_between(clips, clips, embedder) == pytest.approx(0, abs=1e-6)
    noisy = [
        distance_between(
            [clip + level * noise for clip, noise in zip(clips, hiss, strict=True)], clips, embedder
        )
        for level in (1e-4, 1e-3, 1e-2, 1e-1)
    ]
    assert noisy == sorted(noisy)
    muffled = []
    for edge in (12_000, 6000, 3000, 1500):
        sos = butter(6, edge, fs=RATE, output="sos")
        filtered = [sosfilt(sos, clip).astype(np.float32) for clip in clips]
        muffled.append(distance_between(filtered, clips, embedder))
    assert muffled == sorted(muffled)
    shifted = [np.roll(clip, RATE, axis=1) for clip in clips]
    assert distance_between(shifted, clips, embedder) < 0.02 * min(noisy[1], muffled[0])


def test_on_real_clips_si_sdr_and_onsets_notice_a_time_shift(shared: Path) -> None:
    ratios, onsets, mels = [], [], []
    for clip in real_clips(shared, 12):
        audio = torch.from_numpy(clip[0])
        shifted = audio.roll(RATE // 5)
        ratios.append(si_sdr(audio, shifted).item())
        mels.append(mel_distance(audio, shifted).item())
        times = onset_times(audio, RATE)
        assert onset_f_measure(times, onset_times(audio.clone(), RATE)) == 1
        onsets.append(onset_f_measure(times, onset_times(shifted, RATE)))
    assert max(ratios) < 0
    assert np.mean(onsets) < 0.6


def toy_autoencoder(folder: Path):
    autoencoder = randomise(make_autoencoder(), 1)
    autoencoder.save_pretrained(folder)
    return autoencoder


def test_the_autoencoders_numbers_are_those_of_the_metrics(tmp_path: Path) -> None:
    autoencoder = toy_autoencoder(tmp_path / "model")
    audio = write_sounds(tmp_path / "audio", range(4))
    result = evaluate_autoencoder(autoencoder, tmp_path / "model", audio, Reading(crop=0.3))
    assert json.loads(json.dumps(result, allow_nan=False))["kind"] == "autoencoder"
    values = []
    for seed in range(4):
        clip = scale_peak(torch.from_numpy(sound(seed)[:, :14_400]))
        with torch.no_grad():
            estimate = autoencoder(clip[None])[0]
        read = torch.from_numpy(read_audio(audio / f"clip-{seed}.wav"))[:, :14_400]
        assert torch.allclose(scale_peak(read), clip, atol=1e-6)
        values.append(mel_distance(clip, estimate).item())
    summary = result["metrics"]["mel_distance"]
    assert summary["mean"] == pytest.approx(np.mean(values), rel=1e-4)
    assert summary["median"] == pytest.approx(np.median(values), rel=1e-4)
    assert (summary["clips"], summary["left_out"]) == (4, 0)
    assert result["audio"]["sample_rate"] == RATE
    assert set(result["metrics"]) == set(result["clips"][0]) - {"file", "seconds"}


def test_the_autoencoders_result_repeats_and_names_what_is_left_out(tmp_path: Path) -> None:
    autoencoder = toy_autoencoder(tmp_path / "model")
    audio = write_sounds(tmp_path / "audio", range(2))
    soundfile.write(audio / "quiet.wav", np.zeros(4800), RATE)
    soundfile.write(audio / "tiny.wav", sound(5)[0, :100], RATE)
    (audio / "broken.wav").write_bytes(b"")
    result = evaluate_autoencoder(autoencoder, tmp_path / "model", audio)
    assert (
        evaluate_autoencoder(autoencoder, tmp_path / "model", audio, Reading(workers=2)) == result
    )
    found = {warning["name"]: warning["message"] for warning in result["warnings"]}
    assert "broken.wav" in found["unreadable"]
    for name in ("si_sdr", "multi_resolution_stft_distance", "loudness_error"):
        assert result["metrics"][name]["left_out"] == 1
        assert "quiet.wav" in found[f"no_{name}"]
    assert result["metrics"]["mel_distance"]["clips"] == 4


def test_an_autoencoder_that_gives_nan_is_refused(tmp_path: Path) -> None:
    autoencoder = toy_autoencoder(tmp_path / "model")
    audio = write_sounds(tmp_path / "audio", range(1))
    autoencoder.latent_mean.fill_(math.nan)
    with pytest.raises(ValueError, match=r"clip-0.wav is not finite"):
        evaluate_autoencoder(autoencoder, tmp_path / "model", audio)
    (audio / "clip-0.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="can be read"):
        evaluate_autoencoder(autoencoder, tmp_path / "model", audio)
