"""Woosh-AE: audio <-> latents through the complex spectrum (spec of SonyResearch/Woosh v1.0.0)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from woosh.autoencoder.phases import REFINEMENT, overlapped, retrieve_phases, wrapped
from woosh.parts import ConfigMixin, ModelMixin, register_to_config

MAGNITUDE_FLOOR = 1e-7  # keeps powers of silent bins finite
PIECE = 1024  # latent frames that are decoded at a time
AUDIBLE_MAGNITUDE = 1e-4  # what the magnitude channels take for silence


class Spectrum(NamedTuple):
    """What the decoder's head says of every bin: all (B, F, T), float32."""

    magnitude: Tensor  # linear, not negative
    real: Tensor  # cosine of the phase
    imaginary: Tensor  # sine of the phase


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a two-layer perceptron per frame, scaled, added."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel_size=7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, inner_width)
        self.contract = nn.Linear(inner_width, width)
        self.scale = nn.Parameter(torch.full((width,), 1 / 8))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.depthwise(x).transpose(1, 2)  # (B, T, D)
        hidden = self.contract(functional.gelu(self.expand(self.norm(hidden))))
        return x + (self.scale * hidden).transpose(1, 2)  # (B, D, T)


class Backbone(nn.Module):
    """Convolution in, normalisation, ConvNeXt blocks, normalisation: the same in both halves."""

    def __init__(self, channels: int, width: int, inner_width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(channels, width, kernel_size=7, padding=3)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, inner_width) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width, eps=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.constant_(module.get_parameter("bias"), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = self.embed(x.to(self.embed.weight.dtype))  # (B, D, T)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.final_norm(x.transpose(1, 2)).transpose(1, 2)


class Encoder(nn.Module):
    """Spectrum channels (B, 2 F, T) -> latents (B, C, T), not normalised."""

    def __init__(
        self, channels: int, latent_channels: int, width: int, inner_width: int, layers: int
    ) -> None:
        super().__init__()
        self.backbone = Backbone(channels, width, inner_width, layers)
        self.project = nn.Conv1d(width, latent_channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.backbone(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.project(hidden.to(self.project.weight.dtype))


class Decoder(nn.Module):
    """Latents (B, C, T), not normalised -> head channels (B, 3 F, T) in the order (m, a, b)."""

    def __init__(
        self, latent_channels: int, bins: int, width: int, inner_width: int, layers: int
    ) -> None:
        super().__init__()
        self.backbone = Backbone(latent_channels, width, inner_width, layers)
        self.head = nn.Conv1d(width, 3 * bins, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.backbone(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(hidden.to(self.head.weight.dtype))


class WooshAutoencoder(ModelMixin, ConfigMixin):
    """Audio <-> latents: STFT -> ConvNeXt -> latents -> ConvNeXt -> STFT, deterministic.

    Latents are normalised per channel by `latent_mean` and `latent_std`, buffers that training
    sets last: every generator works on normalised latents.

    Args:
        sample_rate: of the audio, in Hz.
        n_fft: window length of the STFT in samples (periodic Hann, centred by reflection).
        hop_length: samples per latent frame.
        latent_channels: numbers per latent frame.
        width: channels of the ConvNeXt blocks.
        inner_width: channels inside a block's perceptron.
        encoder_layers: ConvNeXt blocks in the encoder.
        decoder_layers: ConvNeXt blocks in the decoder.
        spectrum_exponent: magnitudes are raised to this power before the encoder, and the head's
            to its inverse. 1 in the released weights; about 0.3 lets a small network see quiet
            partials beside loud ones. Above 0.
        magnitude_channels: so many of the latent channels, the first ones, are principal components of
            a frame's log-magnitudes. They can be decoded without the others, which hold the phases: a
            small generator need not learn these. 0 in the released weights.
        audio_channels: A, 1, or 2 for stereo: the bins of both channels' spectra stand one after the other. 1 in
            the released weights.
        mid_side: whether the two channels are turned into their sum and difference first, over the root of 2.
    """

    __module__ = "woosh"  # the name that model_index.json stores, wherever this file lies

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        sample_rate: int = 48_000,
        n_fft: int = 960,
        hop_length: int = 480,
        latent_channels: int = 128,
        width: int = 2048,
        inner_width: int = 3072,
        encoder_layers: int = 8,
        decoder_layers: int = 8,
        spectrum_exponent: float = 1.0,
        magnitude_channels: int = 0,
        audio_channels: int = 1,
        mid_side: bool = False,
    ) -> None:
        super().__init__()
        if audio_channels not in (1, 2) or (mid_side and audio_channels == 1):
            raise ValueError(
                f"audio_channels is {audio_channels}, mid_side {mid_side}: take 1 channel, or 2 with or "
                "without mid_side"
            )
        if sample_rate <= 0 or n_fft % 2 or not 0 < hop_length <= n_fft // 2:
            raise ValueError(
                f"no spectrum of {sample_rate} Hz audio with windows of {n_fft} and hops of "
                f"{hop_length} samples: the window must be even and at least two hops long"
            )
        if not 0 <= magnitude_channels < latent_channels or (
            magnitude_channels and hop_length % REFINEMENT
        ):
            raise ValueError(
                f"{magnitude_channels} magnitude channels need more than as many latent channels, got "
                f"{latent_channels}, and a hop that {REFINEMENT} divides, got {hop_length}"
            )
        if spectrum_exponent <= 0:
            raise ValueError(f"spectrum_exponent is {spectrum_exponent}; it must be above 0")
        bins = audio_channels * (n_fft // 2 + 1)
        self.encoder = Encoder(
            2 * bins, latent_channels - magnitude_channels, width, inner_width, encoder_layers
        )
        self.components = (
            nn.Conv1d(bins, magnitude_channels, kernel_size=1) if magnitude_channels else None
        )
        self.decoder = Decoder(latent_channels, bins, width, inner_width, decoder_layers)
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_std", torch.ones(latent_channels))
        # Computed, not stored: a buffer would be left empty by construction on the meta device.
        self.n_fft, self.hop_length = n_fft, hop_length
        self.audio_channels, self.mid_side = audio_channels, mid_side
        self.exponent = spectrum_exponent
        # What a generator makes: the channels of the magnitudes, or all.
        self.generated_channels = magnitude_channels or latent_channels

    @property
    def latent_rate(self) -> float:
        """Latent frames per second."""
        return self.config.sample_rate / self.hop_length  # type: ignore[attr-defined]

    def stft(self, audio: Tensor) -> Tensor:
        """(B, A, S) -> complex spectrum (B, F, 1 + S // hop) of all channels' bins, float32 arithmetic."""
        channels = self.audio_channels
        if audio.ndim != 3 or audio.shape[1] != channels or audio.shape[2] <= self.n_fft // 2:
            raise ValueError(
                f"audio must be (batch, {channels}, samples) with more than {self.n_fft // 2} samples, "
                f"got {tuple(audio.shape)}"
            )
        audio = turn(audio.float()) if self.mid_side else audio.float()
        window = torch.hann_window(self.n_fft, device=audio.device)
        spectrum = torch.stft(
            rearrange(audio, "b a s -> (b a) s"),
            self.n_fft,
            self.hop_length,
            window=window,
            return_complex=True,
        )
        return rearrange(spectrum, "(b a) f t -> b (a f) t", a=channels)

    def istft(self, spectrum: Tensor) -> Tensor:
        """Complex spectrum (B, F, T) -> audio (B, A, hop (T - 1)).

        Frames are weighted by the window and added, and the sum is divided by that of the squared windows (Griffin and Lim
        1984, equation 6). `torch.istft` does the same, and asks the device in between whether that sum has a zero.
        """
        window = torch.hann_window(self.n_fft, device=spectrum.device)
        spectrum = rearrange(spectrum, "b (a f) t -> (b a) t f", a=self.audio_channels)
        frames = torch.fft.irfft(spectrum, n=self.n_fft) * window  # (B A, T, N)
        count, half = frames.shape[1], self.n_fft // 2
        inner = slice(half, half + self.hop_length * (count - 1))
        envelope = overlapped(window.square().expand(count, -1), self.hop_length)[inner]
        return self._channels(overlapped(frames, self.hop_length)[:, inner] / envelope)

    def _channels(self, audio: Tensor) -> Tensor:
        """Audio of all channels (B A, S) -> (B, A, S), left and right."""
        audio = rearrange(audio, "(b a) s -> b a s", a=self.audio_channels)
        return turn(audio) if self.mid_side else audio

    def analyse(self, spectrum: Tensor) -> Tensor:
        """Complex spectrum (B, F, T) -> latents (B, C, T) before normalisation."""
        shaped = spectrum
        if self.exponent != 1.0:
            magnitude = spectrum.abs().clamp_min(MAGNITUDE_FLOOR)
            shaped = spectrum * magnitude ** (self.exponent - 1.0)
        latents = self.encoder(torch.cat([shaped.real, shaped.imag], dim=1))
        if self.components is None:
            return latents
        return torch.cat([self.components(levels(spectrum)), latents], dim=1)

    def synthesise(self, latents: Tensor) -> Spectrum:
        """Latents (B, C, T) before normalisation -> magnitude and unit phase vector per bin."""
        m, a, b = self.decoder(latents).float().chunk(3, dim=1)
        # The clamp belongs to the released head: outside it the vector is not of unit length.
        length = torch.sqrt(torch.clamp(a * a + b * b, 1e-8, 1e3))
        return Spectrum(self.expanded(functional.softplus(m)), a / length, b / length)

    def expanded(self, magnitude: Tensor) -> Tensor:
        """Magnitudes as the head gives them, raised to the inverse of `spectrum_exponent`."""
        if self.exponent == 1.0:
            return magnitude
        return magnitude.clamp_min(MAGNITUDE_FLOOR) ** (1.0 / self.exponent)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (B, A, S) at the model's rate -> normalised latents (B, C, 1 + S // hop).

        Raises:
            ValueError: audio that is not (B, A, S) or not longer than half a window.
        """
        latents = self.analyse(self.stft(audio))
        return (latents - self.latent_mean[:, None]) / self.latent_std[:, None]

    def encode_generated(self, audio: Tensor) -> Tensor:
        """Audio (B, A, S) -> the part of `encode` that a generator makes: (B, G, 1 + S // hop).

        Raises:
            ValueError: audio that is not (B, A, S) or not longer than half a window.
        """
        if self.components is None:
            return self.encode(audio)
        latents = self.components(levels(self.stft(audio)))
        count = self.generated_channels
        return (latents - self.latent_mean[:count, None]) / self.latent_std[:count, None]

    def spectrum(self, latents: Tensor) -> Spectrum:
        """Normalised latents (B, C, T), all or those of the magnitudes -> what the head says (B, F, T).

        Raises:
            ValueError: latents of another channel count, or fewer than two frames.
        """
        self._check_latents(latents)
        given, channels = latents.shape[1], len(self.latent_mean)
        latents = latents * self.latent_std[:given, None] + self.latent_mean[:given, None]
        return self.synthesise(functional.pad(latents, (0, 0, 0, channels - given)))

    def _check_latents(self, latents: Tensor) -> None:
        channels = len(self.latent_mean)
        if (
            latents.ndim != 3
            or latents.shape[1] not in (channels, self.generated_channels)
            or latents.shape[2] < 2
        ):
            raise ValueError(
                f"latents must be (batch, {self.generated_channels}, frames) with two frames or more, "
                f"got {tuple(latents.shape)}"
            )

    def decode(self, latents: Tensor, circular: bool = False) -> Tensor:
        """Normalised latents (B, C, T) -> audio (B, A, hop (T - 1)), float32.

        Latents of the magnitude channels alone are decoded with phases that fit the magnitudes.

        Args:
            latents: as `encode` or `encode_generated` makes them.
            circular: the first frame follows the last one, and so does the audio (B, A, hop T).

        Raises:
            ValueError: latents of another channel count, or fewer than two frames.
        """
        self._check_latents(latents)
        reach = self._decoder_reach() if circular else 0
        given = wrapped(latents, reach) if reach else latents
        count, first = latents.shape[2], reach * self.hop_length
        if latents.shape[1] < len(self.latent_mean):
            magnitude = self.spectrum(given).magnitude[..., reach : reach + count]
            magnitude = rearrange(magnitude, "b (a f) t -> (b a) f t", a=self.audio_channels)
            return self._channels(retrieve_phases(magnitude, self.hop_length, circular))
        audio = self._decode_in_pieces(given)
        return audio[..., first : first + count * self.hop_length] if circular else audio

    def _decode_in_pieces(self, latents: Tensor) -> Tensor:
        """All channels of latents (B, C, T) -> audio (B, A, hop (T - 1)), `PIECE` frames at a time.

        Every piece is decoded with the frames beside it that it depends on, so that the audio is that of the whole, and long
        sounds need the memory of one piece.
        """
        reach, hop, last = self._decoder_reach(), self.hop_length, latents.shape[2] - 1
        parts = []
        for start in range(0, max(last, 1), PIECE):
            before, end = max(0, start - reach), min(start + PIECE, last)
            magnitude, real, imaginary = self.spectrum(latents[..., before : end + 1 + reach])
            audio = self.istft(torch.complex(magnitude * real, magnitude * imaginary))
            parts.append(audio[..., (start - before) * hop : (end - before) * hop])
        return torch.cat(parts, dim=-1)

    def _decoder_reach(self) -> int:
        """Latent frames on either side that decoded audio depends on: kernels of 7, and half a window."""
        layers = len(self.decoder.backbone.blocks) + 1
        return 3 * layers + math.ceil(self.n_fft / 2 / self.hop_length)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (B, A, S) -> its reconstruction (B, A, hop (S // hop))."""
        return self.decode(self.encode(audio))


def turn(audio: Tensor) -> Tensor:
    """Left and right (B, 2, S) -> their sum and difference over the root of 2, or back: it undoes itself."""
    left, right = audio.unbind(dim=1)
    return torch.stack((left + right, left - right), dim=1) / 2**0.5


def levels(spectrum: Tensor) -> Tensor:
    """Complex spectrum (B, F, T) -> decades of magnitude above silence, not negative."""
    return torch.log10(spectrum.abs().clamp_min(AUDIBLE_MAGNITUDE) / AUDIBLE_MAGNITUDE)
