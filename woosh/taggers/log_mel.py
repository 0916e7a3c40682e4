"""The log-mel front end of PaSST (arXiv 2110.05069): Kaldi's mel bands of pre-emphasised 32 kHz audio."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from woosh.audio.spectra import kaldi_mel_filters
from woosh.outside_files import SAMPLE_RATES

PRE_EMPHASIS = 0.97
LOG_FLOOR = 1e-5
SILENT = (math.log(LOG_FLOOR) + 4.5) / 5.0  # every value of a silent spectrogram
LOW_JITTER = 10  # Hz: training moves the lower edge up by less than this
HIGH_JITTER = 2000  # Hz: the range within which training moves the upper edge


class LogMel(nn.Module):
    """Mono audio -> scaled log-mel spectrogram, without parameters.

    Pre-emphasis y[n] = x[n] - .97 x[n - 1], power STFT (symmetric Hann window, frames centred with
    reflection), Kaldi's mel bands from 0 Hz to 1 kHz below half the sample rate, and
    (ln(m + 1e-5) + 4.5) / 5. Everything is computed in float32, whatever precision the model around
    it has, from a window and filters that no checkpoint holds.

    The defaults are the usual front end, 128 bands every 10 ms. MobileNets are also published with frames of 5, 15, 20
    and 25 ms (`hop_length` 160, 480, 640, 800) and with 40, 64 and 256 `bands` (arXiv 2211.04772). Of 256 bands, 13
    below 450 Hz lie between two bins of the transform and stay as they are in silence.

    Args:
        sample_rate: of the audio, in Hz; bands reach to 1 kHz below half of it.
        n_fft: transform length in samples.
        window_length: of the Hann window in samples, at most `n_fft`.
        hop_length: samples per frame, at most `n_fft`.
        bands: mel bands, at most half of `n_fft`.

    Raises:
        ValueError: a rate, a length or a number of bands out of its range.
    """

    def __init__(
        self,
        sample_rate: int = 32000,
        n_fft: int = 1024,
        window_length: int = 800,
        hop_length: int = 320,
        bands: int = 128,
    ) -> None:
        super().__init__()
        if not HIGH_JITTER < sample_rate <= SAMPLE_RATES[1]:
            raise ValueError(
                f"sample_rate is {sample_rate}; it must be above {HIGH_JITTER} and at most {SAMPLE_RATES[1]} Hz"
            )
        if not 0 < window_length <= n_fft:
            raise ValueError(f"window_length is {window_length}; n_fft {n_fft} is the longest")
        for name, value, most in (("hop_length", hop_length, n_fft), ("bands", bands, n_fft // 2)):
            if not 0 < value <= most:
                raise ValueError(f"{name} is {value}; it must be 1 to {most}")
        self.sample_rate, self.n_fft, self.bands = sample_rate, n_fft, bands
        self.window_length, self.hop_length = window_length, hop_length
        self.high = (sample_rate - HIGH_JITTER) / 2
        # Plain attributes: as buffers they would follow the model into half precision.
        self.window = torch.hann_window(window_length, periodic=False, device="cpu")
        self.filters = kaldi_mel_filters(sample_rate, n_fft, bands, 0.0, self.high)

    def frames(self, samples: int) -> int:
        """Frames that so many samples give: pre-emphasis takes one sample, centring adds one frame."""
        return 1 + (max(samples, self.n_fft // 2 + 2) - 1) // self.hop_length

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (B, S) in [-1, 1] -> log-mel (B, bands, T), float32, about -1.4 (silence) to 3.

        A clip of half a transform or less is first padded with zeros: reflection needs more.

        Raises:
            ValueError: audio that is not (batch, samples) or has no samples.
        """
        return scale(self.log_energies(audio, self.filters))

    def augmented(
        self,
        audio: Tensor,
        generator: Generator,
        frequency_mask: int = 48,
        time_mask: int = 192,
    ) -> Tensor:
        """The training form of `forward`: band edges moved for the batch, one band and one span masked per clip.

        The lower edge is one of 0 to 9 Hz, the upper one up to 1 kHz higher or lower than in
        `forward`. Masked values are ln energy 0, which is loud: 0.9 after scaling.

        Args:
            audio: (B, S) in [-1, 1].
            generator: draws the edges and the masks, on its own device.
            frequency_mask: a mask's width in bands is below this.
            time_mask: a mask's length in frames is below this.

        Returns:
            Log-mel (B, bands, T), float32.

        Raises:
            ValueError: audio that is not (batch, samples) or has no samples.
        """
        low = draw_integer(LOW_JITTER, generator)
        high = self.high + HIGH_JITTER / 2 - draw_integer(HIGH_JITTER, generator)
        filters = kaldi_mel_filters(self.sample_rate, self.n_fft, self.bands, low, high)
        energies = self.log_energies(audio, filters)  # (B, bands, T)
        count, bands, frames = energies.shape
        masked_bands = draw_spans(count, bands, frequency_mask, generator).to(audio.device)
        masked_frames = draw_spans(count, frames, time_mask, generator).to(audio.device)
        masked = masked_bands[:, :, None] | masked_frames[:, None, :]
        return scale(energies.masked_fill(masked, 0.0))

    def log_energies(self, audio: Tensor, filters: Tensor) -> Tensor:
        """Audio (B, S) -> natural logarithm of the energy in each filter (B, bands, T), not scaled."""
        if audio.ndim != 2 or audio.shape[1] < 1:
            raise ValueError(
                f"audio must be (batch, samples) with one sample or more, got {tuple(audio.shape)}"
            )
        with torch.autocast(audio.device.type, enabled=False):
            audio = audio.float()
            audio = functional.pad(audio, (0, max(0, self.n_fft // 2 + 2 - audio.shape[1])))
            emphasised = audio[:, 1:] - PRE_EMPHASIS * audio[:, :-1]  # (B, S - 1)
            spectrum = torch.stft(
                emphasised,
                self.n_fft,
                self.hop_length,
                self.window_length,
                window=self.window.to(audio.device),
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()  # (B, n_fft // 2 + 1, T)
            return torch.log(filters.to(audio.device) @ power + LOG_FLOOR)


def scale(log_energies: Tensor) -> Tensor:
    """(x + 4.5) / 5, which brings most sounds near mean 0 and deviation .5."""
    return (log_energies + 4.5) / 5.0


def draw_integer(limit: int, generator: Generator) -> int:
    """One of 0 to limit - 1."""
    return int(torch.randint(limit, (), generator=generator, device=generator.device))


def draw_spans(count: int, size: int, longest: int, generator: Generator) -> Tensor:
    """One contiguous span in each of `count` rows of `size`: length below `longest`, position uniform.

    Returns:
        (count, size), true within the span, on the generator's device.
    """
    device = generator.device
    length, start = torch.rand(2, count, 1, generator=generator, device=device)
    length = (length * min(longest, size)).floor()
    first = (start * (size - length + 1)).floor()
    position = torch.arange(size, device=device)
    return (position >= first) & (position < first + length)
