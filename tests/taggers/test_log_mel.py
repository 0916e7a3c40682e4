"""The log-mel front end: published figures, an independent computation, parity, and its training form."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.signal.windows import hann
from torch import Tensor, nn

from woosh.audio.spectra import kaldi_mel, kaldi_mel_filters
from woosh.taggers.log_mel import LogMel, draw_spans

SILENCE = -1.402585


def sweep(start: float, end: float, seconds: int = 10) -> Tensor:
    """Linear sweep of amplitude .5 as a batch of one clip."""
    time = torch.arange(32_000 * seconds, dtype=torch.float64) / 32_000
    phase = 2 * math.pi * (start * time + (end - start) / (2 * seconds) * time.square())
    return (0.5 * torch.sin(phase)).float()[None]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def independent_log_mel(audio: np.ndarray, hop_length: int, count: int = 128) -> np.ndarray:
    """The same by definition in float64: frame by frame, band by band."""
    emphasised = audio[1:] - 0.97 * audio[:-1]
    padded = np.pad(emphasised, 512, mode="reflect")
    window = np.pad(hann(800, sym=True), 112)
    starts = range(0, len(emphasised) + 1, hop_length)
    power = np.array([np.abs(np.fft.rfft(window * padded[s : s + 1024])) ** 2 for s in starts])
    edges = np.linspace(0, 1127 * np.log(1 + 15_000 / 700), count + 2)
    mel = 1127 * np.log(1 + 31.25 * np.arange(512) / 700)
    bands = [power[:, :512] @ np.interp(mel, edges[b : b + 3], [0, 1, 0]) for b in range(count)]
    return (np.log(np.array(bands) + 1e-5) + 4.5) / 5


def test_the_filter_bank_has_the_published_figures() -> None:
    filters = kaldi_mel_filters(32_000, 1024, 128, 0.0, 15_000.0).double()
    assert filters.shape == (128, 513)
    assert int((filters > 0).sum()) in {947, 948}  # one entry lies on the edge of a triangle
    assert float(filters.sum()) == pytest.approx(473.49055, abs=1e-4)
    assert (filters.sum(dim=1) > 0).all()
    assert float(filters[0].max()) == pytest.approx(0.188593, abs=1e-6)
    assert float(filters[127].sum()) == pytest.approx(11.832677, abs=1e-5)
    assert int(filters[64].argmax()) == 85
    assert float(filters[64, 85]) == pytest.approx(0.988560, abs=1e-6)
    assert not filters[:, 512].any()


def test_silence_has_one_value_everywhere() -> None:
    expected = torch.full((1, 128, 100), SILENCE)
    torch.testing.assert_close(LogMel()(torch.zeros(1, 32_000)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("edges", "mean", "deviation", "maximum", "loudest"),
    [
        ((1000, 1000), -1.176202, 0.65350, 2.090460, 36),
        ((100, 14_000), -1.243513, 0.62762, 3.125054, 99),
    ],
    ids=["sine", "chirp"],
)
def test_tones_have_the_published_figures(
    edges: tuple, mean: float, deviation: float, maximum: float, loudest: int
) -> None:
    log_mel = LogMel()(sweep(*edges))[0]
    assert log_mel.shape == (128, 1000)
    assert float(log_mel.mean()) == pytest.approx(mean, abs=1e-4)
    assert float(log_mel.std()) == pytest.approx(deviation, abs=1e-4)
    assert float(log_mel.max()) == pytest.approx(maximum, abs=1e-4)
    assert int(log_mel[:, 500].argmax()) == loudest
    if edges == (1000, 1000):
        assert float(log_mel[40, 500]) == pytest.approx(-0.245130, abs=1e-4)


@pytest.mark.parametrize(
    ("hop_length", "bands"),
    [(320, 128), (100, 128), (160, 128), (480, 128), (640, 128), (800, 128)]
    + [(320, 40), (320, 64), (320, 256)],
)
def test_it_equals_an_independent_computation(hop_length: int, bands: int) -> None:
    audio = torch.randn(2, 4000, generator=generator()) * 0.1
    expected = [independent_log_mel(clip.double().numpy(), hop_length, bands) for clip in audio]
    ours = LogMel(hop_length=hop_length, bands=bands)(audio)
    np.testing.assert_allclose(ours.numpy(), np.array(expected), atol=1e-4)


def test_it_equals_the_released_front_end(shared: Path) -> None:
    io = load_file(shared / "official" / "full" / "Woosh-CLAP" / "io.safetensors")
    difference = (LogMel()(io["audio"][:, :160_000]) - io["mel"]).abs().max()
    assert difference <= 1e-4


@given(samples=st.integers(1, 6000), hop_length=st.sampled_from([100, 160, 320]))
def test_every_length_gives_the_frames_that_are_foretold(samples: int, hop_length: int) -> None:
    front_end = LogMel(hop_length=hop_length)
    log_mel = front_end(torch.full((1, samples), 0.1))
    assert log_mel.shape == (1, 128, front_end.frames(samples))
    assert log_mel.isfinite().all()


def test_lengths_that_the_networks_are_made_for() -> None:
    assert LogMel().frames(320_000) == 1000
    assert LogMel().frames(5120) == 16  # 160 ms, one patch
    assert LogMel(hop_length=100).frames(320_000) == 3200
    for milliseconds, frames in ((5, 2000), (15, 667), (20, 500), (25, 400)):
        assert LogMel(hop_length=32 * milliseconds).frames(320_000) == frames


def test_the_defaults_are_spelled_out() -> None:
    audio = torch.randn(2, 4000, generator=generator())
    plain = LogMel(sample_rate=32_000, n_fft=1024, window_length=800, hop_length=320, bands=128)
    assert plain(audio).equal(LogMel()(audio))


@pytest.mark.parametrize(
    ("hop_length", "ours", "usual"), [(160, 2, 1), (480, 2, 3), (640, 1, 2), (800, 2, 5)]
)
def test_other_hops_see_the_same_frames_at_the_times_that_they_share(
    hop_length: int, ours: int, usual: int
) -> None:
    audio = torch.randn(1, 32_000, generator=generator()) * 0.1
    found = LogMel(hop_length=hop_length)(audio)[..., ::ours]
    torch.testing.assert_close(found, LogMel()(audio)[..., ::usual], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("bands", "empty"), [(40, 0), (64, 0), (128, 0), (256, 13)])
def test_other_numbers_of_bands_share_every_bin_out_in_full(bands: int, empty: int) -> None:
    """Neighbouring triangles cross at one half, so their sum is 1 from the first peak to the last."""
    filters = kaldi_mel_filters(32_000, 1024, bands, 0.0, 15_000.0).double()
    assert filters.shape == (bands, 513)
    peaks = torch.arange(1, bands + 1) * kaldi_mel(torch.tensor(15_000.0)) / (bands + 1)
    mel = kaldi_mel(torch.arange(513) * 31.25)
    inside = (mel >= peaks[0]) & (mel <= peaks[-1])
    torch.testing.assert_close(filters.sum(dim=0)[inside], torch.ones(int(inside.sum())).double())
    assert int((filters.sum(dim=1) == 0).sum()) == empty
    above = filters[:, mel >= kaldi_mel(torch.tensor(15_000.0))]
    assert above.max() < 1e-6  # the bin of 15 kHz itself lies on the last edge
    silence = LogMel(bands=bands)(torch.zeros(1, 4000))
    torch.testing.assert_close(silence, torch.full((1, bands, 13), SILENCE), rtol=0, atol=1e-6)


def test_a_short_clip_goes_on_with_zeros() -> None:
    clip = torch.randn(1, 300, generator=generator())
    padded = nn.functional.pad(clip, (0, 214))
    assert LogMel()(clip).equal(LogMel()(padded))


def test_each_clip_of_a_batch_is_treated_alone() -> None:
    audio = torch.randn(3, 4000, generator=generator())
    log_mel = LogMel()(audio)
    for clip, expected in zip(audio, log_mel, strict=True):
        torch.testing.assert_close(LogMel()(clip[None])[0], expected, rtol=0, atol=1e-5)


def test_no_precision_around_it_changes_it() -> None:
    audio = sweep(200, 9000, seconds=1)
    expected = LogMel()(audio)
    assert LogMel().half()(audio).equal(expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert LogMel()(audio).equal(expected)
    assert LogMel()(audio.double()).dtype == torch.float32


def test_it_holds_numbers_when_built_on_the_meta_device_and_stores_none() -> None:
    with torch.device("meta"):
        front_end = LogMel()
    audio = sweep(200, 9000, seconds=1)
    assert front_end(audio).equal(LogMel()(audio))
    assert not front_end.state_dict()


def test_gradients_reach_the_audio() -> None:
    audio = (torch.randn(1, 4000, generator=generator()) * 0.1).requires_grad_()
    LogMel()(audio).sum().backward()
    assert audio.grad is not None
    assert audio.grad.isfinite().all()
    assert audio.grad.count_nonzero() > 3900


@pytest.mark.parametrize("audio", [torch.zeros(4000), torch.zeros(1, 1, 4000), torch.zeros(2, 0)])
def test_audio_of_another_shape_is_refused(audio: Tensor) -> None:
    with pytest.raises(ValueError, match=r"audio must be \(batch, samples\)"):
        LogMel()(audio)
    with pytest.raises(ValueError, match=r"audio must be \(batch, samples\)"):
        LogMel().augmented(audio, generator())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("window_length", value) for value in (0, 1025)),
        *(("hop_length", value) for value in (-1, 0, 1025)),
        *(("bands", value) for value in (-1, 0, 513, 10**12)),
        *(("sample_rate", value) for value in (-1, 0, 2000, 10**9)),
    ],
)
def test_settings_that_make_no_frames_are_refused(name: str, value: int) -> None:
    """They stand in files of others, and failed only once a sound was there, or took all memory."""
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        LogMel(**{name: value})


def test_augmentation_follows_its_generator() -> None:
    audio = torch.randn(2, 32_000, generator=generator())
    first, again = (LogMel().augmented(audio, generator(3)) for _ in range(2))
    assert first.equal(again)
    assert not first.equal(LogMel().augmented(audio, generator(4)))


def test_augmentation_masks_bands_and_frames_of_each_clip_with_a_loud_value() -> None:
    audio = torch.randn(8, 64_000, generator=generator()) * 0.01
    log_mel = LogMel().augmented(audio, generator(1))
    masked = log_mel == 0.9
    for clip in masked:
        rows, columns = clip.all(dim=1), clip.all(dim=0)
        assert clip.equal(rows[:, None] | columns[None, :])
        assert 0 <= int(rows.sum()) < 48
        assert 0 <= int(columns.sum()) < 192
    assert len({tuple(clip.flatten().nonzero().flatten().tolist()) for clip in masked}) > 1


def test_without_masks_augmentation_moves_the_band_edges_alone() -> None:
    audio = sweep(200, 12_000, seconds=1)
    moved = LogMel().augmented(audio, generator(), frequency_mask=0, time_mask=0)
    plain = LogMel()(audio)
    assert not moved.equal(plain)
    # The edges move by a few percent of the range: the loudest band by a few bands at most.
    assert (moved.argmax(dim=1) - plain.argmax(dim=1)).abs().max() <= 4


def test_spans_are_shorter_than_the_limit_and_lie_everywhere() -> None:
    spans = draw_spans(4000, 50, 20, generator())
    lengths = spans.sum(dim=1)
    assert int(lengths.max()) == 19
    assert int(lengths.min()) == 0
    assert float(lengths.float().mean()) == pytest.approx(9.5, abs=0.4)
    starts = spans.int().diff(dim=1, prepend=torch.zeros(4000, 1, dtype=torch.int32)) == 1
    assert (starts.sum(dim=1) == (lengths > 0)).all()  # one span, without a gap
    assert spans.any(dim=0).all()
    assert not draw_spans(10, 50, 0, generator()).any()


@pytest.mark.gpu
def test_an_accelerator_computes_the_same() -> None:
    device = torch.accelerator.current_accelerator()
    audio = sweep(200, 12_000, seconds=1)
    ours = LogMel().to(device)(audio.to(device)).cpu()
    torch.testing.assert_close(ours, LogMel()(audio), rtol=0, atol=1e-4)
