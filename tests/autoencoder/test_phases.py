"""Phase retrieval: the magnitudes of the result are the ones asked for."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from woosh.autoencoder import phases
from woosh.autoencoder.phases import overlap_add, retrieve_phases

RATE, N_FFT, HOP = 48_000, 960, 480


def magnitudes(audio: Tensor, hop: int = HOP) -> Tensor:
    window = torch.hann_window(N_FFT)
    return torch.stft(audio, N_FFT, hop, window=window, return_complex=True).abs()


def tone(hertz: float, seconds: float = 1.0) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("hertz", [333.0, 1000.0, 5012.5])
def test_a_tone_comes_back_as_a_tone(hertz: float) -> None:
    audio = retrieve_phases(magnitudes(tone(hertz)[None]), HOP)[0]
    power = torch.fft.rfft(audio[4800:-4800] * torch.hann_window(len(audio) - 9600)).abs() ** 2
    peak = int(power.argmax())
    assert abs(peak * RATE / (len(audio) - 9600) - hertz) < 5
    assert power[peak - 8 : peak + 9].sum() > 0.95 * power.sum()
    assert torch.isclose(audio[4800:-4800].std(), torch.tensor(0.5 / 2**0.5), rtol=0.05)


def test_the_magnitudes_of_noise_are_approached() -> None:
    target = magnitudes(0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(1)))
    level = torch.nn.functional.avg_pool2d(target[None], 9)
    reached = torch.nn.functional.avg_pool2d(magnitudes(retrieve_phases(target, HOP))[None], 9)
    assert (20 * torch.log10(reached / level)).abs().mean() < 2.0  # dB
    assert (20 * torch.log10(reached / level)).mean().abs() < 1.0


def test_a_click_stays_where_it_was() -> None:
    audio = torch.zeros(1, RATE)
    audio[0, 24_000:24_100] = 1.0
    found = retrieve_phases(magnitudes(audio), HOP)[0]
    energy = found.square()
    assert energy[23_000:25_100].sum() > 0.9 * energy.sum()


def test_silence_stays_silent() -> None:
    audio = retrieve_phases(torch.zeros(1, N_FFT // 2 + 1, 20), HOP)
    assert audio.abs().max() < 1e-4


def test_equal_magnitudes_give_equal_audio_alone_or_in_a_batch() -> None:
    target = magnitudes(torch.stack([tone(440.0, 0.5), tone(700.0, 0.5)]))
    together = retrieve_phases(target, HOP)
    assert torch.equal(together, retrieve_phases(target, HOP))
    alone = torch.cat([retrieve_phases(clip[None], HOP) for clip in target])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.fixture
def threads() -> Iterator[None]:
    """Whatever number of threads a test sets, the former one comes back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_two_threads_find_the_phases_of_one() -> None:
    """The search makes the last bit audible: an operation that rounds by each thread's share once gave other sounds."""
    target = torch.rand(1, N_FFT // 2 + 1, 60, generator=torch.Generator().manual_seed(3))
    torch.set_num_threads(1)
    expected = retrieve_phases(target, HOP)
    torch.set_num_threads(2)
    assert torch.equal(retrieve_phases(target, HOP), expected)


def test_an_odd_hop_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 2, got 481"):
        retrieve_phases(torch.rand(1, 482, 4), 481)


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(2, 40))
def test_lengths(frames: int) -> None:
    assert retrieve_phases(torch.rand(2, 481, frames), HOP).shape == (2, HOP * (frames - 1))


def test_a_circle_has_no_ends() -> None:
    """The audio of a circle has its magnitudes around its seam as well, and a tone goes on across it."""
    hertz, length = 450.0, 48_000
    audio = 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(length) / RATE)
    around = torch.cat([audio[-HOP:], audio, audio[:HOP]])
    window = torch.hann_window(N_FFT)
    target = torch.stft(around, N_FFT, HOP, window=window, center=False, return_complex=True).abs()[
        None, :, :-1
    ]
    circle = retrieve_phases(target, HOP, circular=True)[0]
    assert circle.shape == (length,)
    power = torch.fft.rfft(circle.roll(length // 2)[12_000:36_000] * torch.hann_window(24_000))
    power = power.abs() ** 2
    assert abs(int(power.argmax()) * 2 - hertz) < 5
    assert power[217:234].sum() > 0.9 * power.sum()
    with pytest.raises(ValueError, match="a circle of 480 samples is shorter than a window of 960"):
        retrieve_phases(target[..., :1], HOP, circular=True)


@given(count=st.integers(1, 6), hop=st.integers(1, 5), overlap=st.integers(1, 4))
def test_overlapping_windows_are_added_as_fold_does(count: int, hop: int, overlap: int) -> None:
    windows = torch.randn(count, hop * overlap, generator=torch.Generator().manual_seed(0))
    size = (1, hop * (count + overlap - 1))
    folded = torch.nn.functional.fold(windows.T[None], size, (1, hop * overlap), stride=(1, hop))
    total = torch.zeros(size[1])
    overlap_add(windows, hop, total)
    torch.testing.assert_close(total, folded.flatten())


def test_windows_that_no_hop_divides_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the hop, 4"):
        overlap_add(torch.zeros(2, 10), 4, torch.zeros(16))


@pytest.mark.parametrize("circular", [False, True])
def test_blocks_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch, circular: bool) -> None:
    """A long sound is computed in blocks; each sample adds its windows in the order in which it would without them."""
    target = torch.rand(1, N_FFT // 2 + 1, 40, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(phases, "BLOCK", 1000)
    whole = retrieve_phases(target, HOP, circular)
    monkeypatch.setattr(phases, "BLOCK", 7)
    assert torch.equal(retrieve_phases(target, HOP, circular), whole)
