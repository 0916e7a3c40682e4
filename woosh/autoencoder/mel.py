"""The autoencoder of the built-in models: audio <-> the few numbers per token that say what an ear hears."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from woosh.audio.spectra import kaldi_mel_filters
from woosh.autoencoder.detail import KERNEL, DetailNetwork
from woosh.autoencoder.phases import blocks, retrieve_phases, wrapped
from woosh.parts import ConfigMixin, ModelMixin, register_to_config

SILENCE = 1e-6  # power in a band that counts as none: noise of about -90 dB of full scale
FIT_STEPS = 60  # of the search for magnitudes that have given powers in their bands
DRAWING_STEPS = 8  # from noise to detail
TIME_SHIFT = (
    0.3  # of the drawing's steps: times are where noise of this deviation would be at equal steps
)
TINY = 1e-12


class WooshMelAutoencoder(ModelMixin, ConfigMixin):
    """Audio <-> latents: log-mel spectrum -> principal components of a few frames -> log-mel -> magnitudes -> phases.

    A token's bands and frames are turned into their principal components over the training sounds; latents are the
    first of them. A channel's deviation is the root of its component's own, so that the loud ones stay the larger: a
    generator draws what is loud before what is fine. What the latents leave out is not averaged but drawn: a small flow
    makes all components from noise, given the first. Its noise is always the same, and equal latents give equal audio.

    Args:
        sample_rate: of the audio, in Hz.
        n_fft: window length of the STFT in samples (periodic Hann, centred by reflection).
        hop_length: samples per latent frame.
        frames_per_token: frames of the STFT that one latent frame stands for.
        bands: mel bands on Kaldi's scale from 0 Hz to half the sample rate.
        latent_channels: C, numbers per latent frame.
        width: channels of the detail network's blocks.
        inner_width: channels inside a block's perceptron.
        detail_layers: blocks of the detail network.
    """

    __module__ = "woosh"  # the name that model_index.json stores, wherever this file lies
    audio_channels = 1

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        sample_rate: int = 48_000,
        n_fft: int = 960,
        hop_length: int = 1920,
        frames_per_token: int = 4,
        bands: int = 128,
        latent_channels: int = 96,
        width: int = 512,
        inner_width: int = 1024,
        detail_layers: int = 6,
    ) -> None:
        super().__init__()
        frame_length = hop_length // frames_per_token
        if n_fft % 2 or hop_length % (2 * frames_per_token) or not 0 < 2 * frame_length <= n_fft:
            raise ValueError(
                f"no spectrum with windows of {n_fft} samples and {frames_per_token} frames in {hop_length}: the window "
                "must be even and at least two frames long, and a frame an even number of samples"
            )
        components = bands * frames_per_token
        if not 0 < latent_channels <= components:
            raise ValueError(
                f"latent_channels is {latent_channels}: {frames_per_token} frames of {bands} bands have from 1 to "
                f"{components}"
            )
        self.detail = DetailNetwork(components, latent_channels, width, inner_width, detail_layers)
        self.register_buffer("mean", torch.zeros(components))
        self.register_buffer(
            "components", torch.eye(components)
        )  # orthonormal rows, the largest first
        self.register_buffer(
            "deviations", torch.ones(components)
        )  # along them, over training sounds
        # Computed, not stored: a buffer would be left empty by construction on the meta device.
        self.filters = kaldi_mel_filters(sample_rate, n_fft, bands, 0.0, sample_rate / 2)
        self.n_fft, self.frame_length, self.frames_per_token = n_fft, frame_length, frames_per_token
        self.hop_length = hop_length
        self.generated_channels = latent_channels

    @property
    def latent_rate(self) -> float:
        """Latent frames per second."""
        return self.config.sample_rate / self.hop_length  # type: ignore[attr-defined]

    @property
    def units(self) -> Tensor:
        """What 1 is in each channel (P,), in decades: the root of the component's deviation, and the mean one's."""
        mean = self.deviations[: self.generated_channels].mean()
        return (self.deviations * mean).sqrt()

    def levels(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, S) -> decades of power above silence in each band (B, bands, T frames), not negative.

        T is a whole number of tokens: 1 + S // hop of them; what is beyond the end is silent.

        Raises:
            ValueError: audio that is not (B, 1, S) or not longer than half a window.
        """
        if audio.ndim != 3 or audio.shape[1] != 1 or audio.shape[2] <= self.n_fft // 2:
            raise ValueError(
                f"audio must be (batch, 1, samples) with more than {self.n_fft // 2} samples, "
                f"got {tuple(audio.shape)}"
            )
        tokens = 1 + audio.shape[2] // self.hop_length
        window = torch.hann_window(self.n_fft, device=audio.device)
        spectrum = torch.stft(
            audio[:, 0].float(), self.n_fft, self.frame_length, window=window, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()  # (B, F, 1 + S // frame_length)
        missing = tokens * self.frames_per_token - power.shape[2]
        power = functional.pad(power, (0, max(0, missing)))[..., : tokens * self.frames_per_token]
        return decades(self.filters.to(audio.device) @ power)

    def tokens(self, levels: Tensor) -> Tensor:
        """Levels (B, bands, T frames) -> those of each token side by side (B, T tokens, P)."""
        return rearrange(levels, "b f (t n) -> b t (n f)", n=self.frames_per_token)

    def channels(self, levels: Tensor) -> Tensor:
        """Levels (B, bands, T frames) -> all channels of their tokens (B, T tokens, P), the largest first."""
        return (self.tokens(levels) - self.mean) @ self.components.T / self.units

    def levels_of(self, channels: Tensor) -> Tensor:
        """The inverse of `channels`: (B, T tokens, P) -> levels (B, bands, T frames), which may be below 0."""
        tokens = (channels * self.units) @ self.components + self.mean
        return rearrange(tokens, "b t (n f) -> b f (t n)", n=self.frames_per_token)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, S) at the model's rate -> normalised latents (B, C, 1 + S // hop).

        Raises:
            ValueError: audio that is not (B, 1, S) or not longer than half a window.
        """
        channels = self.channels(self.levels(audio))
        return channels[..., : self.generated_channels].transpose(1, 2)

    def encode_generated(self, audio: Tensor) -> Tensor:
        """The part of `encode` that a generator makes: all of it."""
        return self.encode(audio)

    def draw(self, latents: Tensor, doubt: float = 0.0, circular: bool = False) -> Tensor:
        """All channels (B, T, P) of tokens whose first ones are given: latents (B, C, T).

        Steps lead from the same noise for every clip, which does not depend on its length, to data: x_r = r / t x_t +
        (1 - r / t) x_0 with the network's guess of x_0.

        Args:
            latents: normalised.
            doubt: deviation of the noise that the latents are taken to have, which is added to them: what is smaller is
                drawn anew. 0 keeps all of them.
            circular: the first token follows the last one.
        """
        given = latents.transpose(1, 2).float()
        count = given.shape[1]
        all_noise = drawing_noise(count, sum(self.noise_channels)).to(latents.device)
        noise, own = all_noise.split(self.noise_channels, dim=1)
        given = given + doubt * own
        # Twice as many tokens around a circle as one evaluation looks at: what its steps add up to from afar is little.
        reach = 2 * (KERNEL // 2) * len(self.detail.blocks) if circular else 0
        if circular:
            noise, given = wrapped(noise.T, reach).T, wrapped(given.mT, reach).mT
        return self.walk(noise, given, doubt)[:, reach : reach + count]

    @property
    def noise_channels(self) -> list[int]:
        """Numbers of a token's noise: from which all channels are drawn (P), and for the doubt of those that are given (C)."""
        return [len(self.mean), self.generated_channels]

    def walk(self, noise: Tensor, given: Tensor, doubt: float) -> Tensor:
        """Noise (T, P) -> the channels (B, T, P) of tokens whose first ones are given (B, T, C) with noise of `doubt`."""
        batch, device = given.shape[0], given.device
        x = noise.expand(batch, -1, -1)
        doubts = torch.full((batch,), doubt, device=device)
        deviation = self.deviations / self.units
        grid = drawing_times(DRAWING_STEPS)
        for time, next_time in zip(grid[:-1], grid[1:], strict=True):
            times = torch.full((batch,), time, device=device)
            guess = self.detail(x, times, given, doubts, deviation)
            x = next_time / time * x + (1 - next_time / time) * guess
        return x

    def decode(self, latents: Tensor, doubt: float = 0.0, circular: bool = False) -> Tensor:
        """Normalised latents (B, C, T) -> audio (B, 1, hop (T - 1)), float32, with phases that fit the magnitudes.

        Args:
            latents: as `encode` makes them.
            doubt: see `draw`.
            circular: the first frame follows the last one, and so does the audio (B, 1, hop T).

        Raises:
            ValueError: latents of another channel count, or fewer than two frames.
        """
        if latents.ndim != 3 or latents.shape[1] != self.generated_channels or latents.shape[2] < 2:
            raise ValueError(
                f"latents must be (batch, {self.generated_channels}, frames) with two frames or more, "
                f"got {tuple(latents.shape)}"
            )
        power = powers(self.levels_of(self.draw(latents, doubt, circular)))
        if not circular:
            power = power[..., : 1 + self.frames_per_token * (latents.shape[2] - 1)]
        magnitude = fit_magnitudes(power, self.filters.to(power.device))
        return retrieve_phases(magnitude, self.frame_length, circular)[:, None]

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, S) -> its reconstruction (B, 1, hop (S // hop))."""
        return self.decode(self.encode(audio))


def drawing_noise(count: int, channels: int) -> Tensor:
    """What `WooshMelAutoencoder.draw` starts from: (tokens, `noise_channels`) on the CPU, the same for every sound."""
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(0))


def drawing_times(steps: int) -> list[float]:
    """Noise levels from 1 to 0 (steps + 1), the squares of equal steps: what is drawn is weaker than the noise."""
    return [(1.0 - step / steps) ** 2 for step in range(steps + 1)]


def decades(power: Tensor) -> Tensor:
    """Power -> its decades above silence, not negative."""
    return torch.log10(power / SILENCE + 1.0)


def powers(levels: Tensor) -> Tensor:
    """The inverse of `decades`: levels of 0 or less are silence itself."""
    return SILENCE * (10.0 ** levels.clamp_min(0.0) - 1.0)


def fit_magnitudes(power: Tensor, filters: Tensor) -> Tensor:
    """Magnitudes (B, F, T) whose powers have about the given powers (B, bands, T) in the bands of `filters` (bands, F)."""
    # Frames do not depend on each other: of a long sound a block at a time, for which the memory at hand is enough.
    parts = blocks(power.shape[-1])
    return torch.cat([fit_frames(power[..., part], filters) for part in parts], dim=-1)


def fit_frames(power: Tensor, filters: Tensor) -> Tensor:
    """`fit_magnitudes` of all frames at once.

    The multiplicative updates of Lee and Seung (2001) for the Kullback-Leibler divergence, from each band's power spread
    over its bins. What no band covers is 0.
    """
    reach = filters.sum(dim=0)[:, None]  # (F, 1) of each bin, over the bands
    covered = reach > 0
    width = filters.sum(dim=1)[:, None].clamp_min(TINY)  # (bands, 1)
    estimate = filters.T @ (power / width) / reach.clamp_min(TINY)
    for _ in range(FIT_STEPS):
        ratio = power / (filters @ estimate).clamp_min(TINY)
        estimate = estimate * (filters.T @ ratio) / reach.clamp_min(TINY)
    return torch.where(covered, estimate, 0.0).sqrt()
