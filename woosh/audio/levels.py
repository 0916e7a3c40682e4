"""Levels of sound: peaks and loudness. Arrays are float32 (C, S): channels, samples; full scale is [-1, 1]."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from woosh.audio.true_peak import true_peak

BLOCK_SECONDS = 0.4  # of the loudness meter, ITU-R BS.1770
HOP_SECONDS = 0.1  # between its blocks
OFFSET = -0.691  # LU: a sine of 997 Hz at full scale in one channel reads -3.01 LUFS
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
INTEGRATED_SECONDS = 3.0  # of sounds that are levelled by their integrated loudness; shorter ones by the momentary one
NEAR = 0.1  # LU: so close a target counts as reached
ROUNDS = 4  # of measuring and scaling: the gates let more of a sound through once it is louder

# Of the digital filters that BS.1770 gives for 48 kHz, the analogue ones behind them, for any rate: frequency in Hz and
# quality of both, and gains of the shelf above its frequency and at it.
SHELF = (1681.974450955533, 0.7071752369554196, 1.584864701130855, 1.258720930232562)
HIGH_PASS = (38.13547087602444, 0.5003270373238773)
SETTLED_SECONDS = 0.25  # after which these filters have forgotten what they heard, to 1e-20 of it
PIECE_SECONDS = 10.0  # that are filtered at once
QUICK = 2**14  # samples: multiples are transformed quickly, having no large prime factor


class Levelled(NamedTuple):
    """Audio after loudness normalisation."""

    audio: np.ndarray  # (C, S) float32
    loudness: float  # LUFS reached; -inf for silence
    reached: bool  # whether that is the target, within 0.1 LU


def peak_guard(audio: np.ndarray, ceiling: float = 1.0) -> np.ndarray:
    """Scale audio down so that max |x| is at most `ceiling`; quieter audio is returned as it is."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak <= ceiling else audio * np.float32(ceiling / peak * (1 - 1e-7))


def k_weighting(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Both filters of ITU-R BS.1770, annex 1, at a rate: a shelf for the head and a high pass, by the bilinear transform.

    With k = tan(pi f / rate) and quality q, either is (b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2), where

        a = 1 + k/q + k^2,   a1 = 2 (k^2 - 1) / a,   a2 = (1 - k/q + k^2) / a.

    Returns:
        numerators and denominators, (2, 3) each.
    """
    numerators, denominators = [], []
    for frequency, quality, *gains in (SHELF, HIGH_PASS):
        k = math.tan(math.pi * frequency / sample_rate)
        a = np.array([1 + k / quality + k * k, 2 * (k * k - 1), 1 - k / quality + k * k])
        if gains:
            top, middle = gains
            b = [top + middle * k / quality + k * k, 2 * (k * k - top)]
            b = np.array([*b, top - middle * k / quality + k * k]) / a[0]
        else:
            b = np.array([1.0, -2.0, 1.0])
        numerators.append(b)
        denominators.append(a / a[0])
    return np.stack(numerators), np.stack(denominators)


def k_weighted(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """(C, S) audio as BS.1770 weighs it, float64: filtered by products of spectra, piece by piece."""
    numerators, denominators = k_weighting(sample_rate)
    history, piece = (round(seconds * sample_rate) for seconds in (SETTLED_SECONDS, PIECE_SECONDS))
    size = math.ceil((min(piece, audio.shape[1]) + 2 * history) / QUICK) * QUICK
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(size))  # 1/z at each frequency
    powers = np.stack([np.ones_like(delay), delay, delay * delay])
    response = np.prod((numerators @ powers) / (denominators @ powers), axis=0)
    weighted = np.empty(audio.shape)
    for start in range(0, audio.shape[1], piece):
        begin, end = max(0, start - history), min(start + piece, audio.shape[1])
        spectrum = np.fft.rfft(audio[:, begin:end].astype(np.float64), size)
        filtered = np.fft.irfft(spectrum * response, size)
        weighted[:, start:end] = filtered[:, start - begin : end - begin]
    return weighted


def _block_powers(
    audio: np.ndarray, sample_rate: int, hop: int, seconds: float = BLOCK_SECONDS
) -> np.ndarray:
    """Weighted power of every whole block of so many seconds, the channels added up; one begins every `hop` samples.

    A clip shorter than a block is repeated end to end until it is full: the result is the level while the sound
    lasts, as for a longer sound of the same kind. (Padding with silence instead would call a 40 ms click 10 LU quieter
    than it is, and normalising it would then drive it into the ceiling.)
    """
    block = math.ceil(seconds * sample_rate)
    if audio.shape[1] < block:
        audio = np.tile(audio, math.ceil(block / audio.shape[1]))
    power = np.square(k_weighted(audio, sample_rate)).sum(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(power) - block + 1, hop)
    return np.maximum(sums[starts + block] - sums[starts], 0.0) / block


def _lufs(power: float) -> float:
    return OFFSET + 10 * math.log10(power) if power > 0 else -math.inf


def loudness(audio: np.ndarray, sample_rate: int = 48_000) -> float:
    """Integrated loudness of (C, S) audio in LUFS (ITU-R BS.1770-4), -inf if silent.

    L = -0.691 + 10 log10 of the mean weighted power of the blocks of 400 ms that are louder than -70 LUFS and louder
    than what these together have, less 10 LU. A clip shorter than a block is repeated until it fills one.
    """
    powers = _block_powers(audio, sample_rate, round(HOP_SECONDS * sample_rate))
    for gate in (ABSOLUTE_GATE, None):
        least = _lufs(float(powers.mean())) + RELATIVE_GATE if gate is None else gate
        powers = powers[powers > 10 ** ((least - OFFSET) / 10)]
        if len(powers) == 0:
            return -math.inf
    return _lufs(float(powers.mean()))


def block_loudness(audio: np.ndarray, sample_rate: int, seconds: float) -> np.ndarray:
    """Loudness in LUFS of every stretch of so many seconds, one each 100 ms, (N,); -inf where it is silent."""
    powers = _block_powers(audio, sample_rate, round(HOP_SECONDS * sample_rate), seconds)
    with np.errstate(divide="ignore"):
        return OFFSET + 10 * np.log10(powers)


def momentary_loudness(audio: np.ndarray, sample_rate: int = 48_000) -> float:
    """Largest momentary loudness of (C, S) audio in LUFS (EBU Tech 3341): that of its loudest 400 ms, -inf if silent.

    A clip shorter than 400 ms is repeated until it fills them.
    """
    return _lufs(float(_block_powers(audio, sample_rate, 1).max()))


def levelling_measure(audio: np.ndarray, sample_rate: int = 48_000) -> str:
    """By what loudness a sound is levelled: "integrated" from 3 s on, "momentary" for shorter ones."""
    long = audio.shape[1] >= INTEGRATED_SECONDS * sample_rate
    return "integrated" if long else "momentary"


def levelling_loudness(audio: np.ndarray, sample_rate: int = 48_000) -> float:
    """The loudness that `levelling_measure` names, in LUFS."""
    integrated = levelling_measure(audio, sample_rate) == "integrated"
    return (loudness if integrated else momentary_loudness)(audio, sample_rate)


def normalise_loudness(
    audio: np.ndarray, target: float, sample_rate: int = 48_000, ceiling: float = 1.0
) -> Levelled:
    """Bring (C, S) audio to a loudness, without ever letting its true peak pass the ceiling.

    The loudness is that of `levelling_measure`. Sharp sounds have peaks far above their loudness: where the gain
    needed would pass `ceiling`, the audio is brought to the ceiling instead and the result says what was reached.
    Silence stays as it is.

    Args:
        audio: (C, S).
        target: loudness in LUFS, from -70 (below it the meter hears nothing) to 0.
        sample_rate: in Hz.
        ceiling: largest true peak of the result.

    Raises:
        ValueError: a target outside [-70, 0].
    """
    if not -70 <= target <= 0:
        raise ValueError(f"loudness must be between -70 and 0 LUFS, got {target:g}")
    levelled, measured = audio, levelling_loudness(audio, sample_rate)
    if not math.isfinite(measured):
        return Levelled(audio, -math.inf, False)
    gain = 1.0
    for _ in range(ROUNDS):
        gain *= 10 ** ((target - measured) / 20)
        levelled = audio * np.float32(gain)
        measured = levelling_loudness(levelled, sample_rate)
        if abs(measured - target) <= NEAR / 10:
            break
    guarded = true_peak_guard(levelled, ceiling)
    if guarded is not levelled:
        measured = levelling_loudness(guarded, sample_rate)
    return Levelled(guarded, measured, abs(measured - target) <= NEAR)


def true_peak_guard(audio: np.ndarray, ceiling: float = 1.0) -> np.ndarray:
    """Scale (C, S) audio down so that its true peak is at most `ceiling`; quieter audio is returned as it is."""
    peak = true_peak(audio)
    return audio if peak <= ceiling else audio * np.float32(ceiling / peak * (1 - 1e-6))
