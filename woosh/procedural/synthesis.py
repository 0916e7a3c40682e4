"""Signal building blocks of the procedural sound effects.

Every function takes and returns mono signals of shape (S,) in float64 at 48 kHz, of any scale, and
works on whole arrays. Random parts come from the generator that is handed in.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE = 48_000  # samples per second
WINDOW = 1024  # samples, frame of `shape`

Signal = NDArray[np.floating]


def sample_count(seconds: float) -> int:
    """Number of samples in `seconds`."""
    return round(seconds * RATE)


def clock(samples: int) -> Signal:
    """Times of the samples in seconds, (S,)."""
    return np.arange(samples) / RATE


def fast_length(samples: int) -> int:
    """Smallest length of at least `samples` of the form 2^a or 3 * 2^a, quick to transform."""
    power = 1 << (samples - 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= samples else power


# Sources


def noise(rng: np.random.Generator, samples: int, exponent: float = 0.0) -> Signal:
    """Gaussian noise of unit variance whose power falls as frequency ** -exponent (1 pink, 2 brown).

    Frequencies under 20 Hz stay level, so that steep exponents do not drift.
    """
    white = rng.standard_normal(samples)
    if exponent == 0.0:
        return white
    size = fast_length(samples)
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0)
    coloured = np.fft.irfft(np.fft.rfft(white, size) * frequencies ** (-exponent / 2), size)[
        :samples
    ]
    return coloured / (coloured.std() + 1e-12)


def curve(
    rng: np.random.Generator, samples: int, rate: float, low: float = 0.0, high: float = 1.0
) -> Signal:
    """Smooth random curve in [low, high] with `rate` independent values per second."""
    knots = int(samples / RATE * rate) + 3
    values = rng.uniform(low, high, knots)
    position = np.arange(samples) * (rate / RATE) + rng.uniform()
    index = position.astype(np.int64)
    fraction = position - index
    weight = fraction * fraction * (3 - 2 * fraction)  # smooth step: no corners at the knots
    return values[index] * (1 - weight) + values[index + 1] * weight


def ramp(samples: int, *values: float) -> Signal:
    """Line through equally spaced `values` over the whole length."""
    return np.interp(np.linspace(0, len(values) - 1, samples), np.arange(len(values)), values)


def cycles(frequency: Signal) -> Signal:
    """Phase in cycles of an oscillator with the given instantaneous frequency in Hz."""
    return np.cumsum(frequency) / RATE


def oscillate(phase: Signal, amplitudes: Sequence[float] | Signal, spread: float = 0.0) -> Signal:
    """Periodic wave with harmonic `amplitudes` (first = fundamental), read from a table.

    Args:
        phase: cycles, (S,).
        amplitudes: one per harmonic; the caller keeps the highest one under 24 kHz.
        spread: phases of the harmonics grow by spread * k^2 radians, which blunts the pulse.
    """
    size = 4096
    spectrum = np.zeros(size // 2 + 1, dtype=np.complex128)
    order = np.arange(1, len(amplitudes) + 1)
    spectrum[order] = -0.5j * size * np.asarray(amplitudes) * np.exp(1j * spread * order**2)
    table = np.fft.irfft(spectrum, size)
    position = (phase % 1.0) * size
    index = position.astype(np.int64)
    fraction = position - index
    return table[index % size] * (1 - fraction) + table[(index + 1) % size] * fraction


def rolloff(fundamental: float, tilt: float, highest: float = 16_000.0) -> Signal:
    """Harmonic amplitudes k ** -tilt, as many as stay under `highest` Hz (at most 400)."""
    return np.arange(1, max(2, min(401, int(highest / fundamental)))) ** -tilt


def modes(frequencies: Signal, decays: Signal, amplitudes: Signal, samples: int) -> Signal:
    """Sum of decaying sinusoids.

    Args:
        frequencies: Hz, (M,); those over 20 kHz are left out.
        decays: seconds until each has fallen by 60 dB, (M,).
        amplitudes: (M,).
        samples: length of the result.
    """
    result = np.zeros(samples)
    time = clock(samples)
    for frequency, decay, amplitude in zip(frequencies, decays, amplitudes, strict=True):
        if frequency < 20_000:
            length = min(samples, sample_count(1.3 * decay) + 1)
            part = time[:length]
            wave = np.sin(2 * np.pi * frequency * part)
            result[:length] += amplitude * wave * np.exp(-6.908 / decay * part)
    return result


def burst(
    rng: np.random.Generator, seconds: float, low: float, high: float, attack: float = 0.0005
) -> Signal:
    """Band-passed noise with a short rise and an exponential decay by 60 dB over `seconds`."""
    samples = max(64, sample_count(seconds))
    return bandpass(rng.standard_normal(samples), low, high) * decay(samples, seconds, attack)


def bubble(frequency: float, seconds: float, rise: float = 0.1) -> Signal:
    """A bubble: a decaying sinusoid whose pitch grows by the factor 1 + rise (van den Doel 2005)."""
    samples = sample_count(seconds)
    time = clock(samples)
    phase = frequency * (time + 0.5 * rise * time**2 / seconds)
    return np.sin(2 * np.pi * phase) * decay(samples, seconds, 0.002)


# Envelopes


def decay(samples: int, seconds: float, attack: float = 0.001) -> Signal:
    """Linear rise over `attack` seconds, then an exponential fall by 60 dB in `seconds`."""
    time = clock(samples)
    return np.minimum(time / max(attack, 1 / RATE), 1.0) * np.exp(-6.908 / seconds * time)


def swell(samples: int, peak: float, sharpness: float = 2.0) -> Signal:
    """Bump from 0 over 1 at the fraction `peak` back to 0; a higher sharpness is narrower."""
    position = np.linspace(0, 1, samples)
    warped = np.where(position < peak, position / peak, (1 - position) / (1 - peak))
    return np.sin(0.5 * np.pi * np.clip(warped, 0, 1)) ** sharpness


def gate(samples: int, seconds: float = 0.005) -> Signal:
    """Ones with a raised-cosine rise and fall of `seconds` at both ends."""
    edge = min(sample_count(seconds), samples // 2)
    result = np.ones(samples)
    slope = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / max(edge, 1))
    result[:edge] = slope
    result[samples - edge :] = slope[::-1]
    return result


# Filters


def bandpass(audio: Signal, low: float, high: float, order: int = 1) -> Signal:
    """Butterworth band-pass, `order` poles on each side (Hz)."""
    sections = signal.butter(order, (low, min(high, 23_000)), "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, audio))


def lowpass(audio: Signal, cutoff: float, order: int = 2) -> Signal:
    """Butterworth low-pass (Hz)."""
    sections = signal.butter(order, min(cutoff, 23_000), "lowpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, audio))


def highpass(audio: Signal, cutoff: float, order: int = 2) -> Signal:
    """Butterworth high-pass (Hz)."""
    sections = signal.butter(order, cutoff, "highpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, audio))


def resonate(audio: Signal, frequency: float, width: float) -> Signal:
    """Two-pole resonator at `frequency` with a bandwidth of `width`, both in Hz, gain about 1."""
    radius = np.exp(-np.pi * width / RATE)
    poles = [1.0, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2]
    return np.asarray(signal.lfilter([1 - radius, 0, -(1 - radius)], poles, audio))


def frame_count(samples: int) -> int:
    """Number of frames that `shape` cuts a signal of `samples` into."""
    return -(-samples // (WINDOW // 2)) + 1


def frame_frequencies() -> Signal:
    """Frequencies in Hz of the bins of `shape`, (WINDOW // 2 + 1,)."""
    return np.arange(WINDOW // 2 + 1) * (RATE / WINDOW)


def shape(audio: Signal, gains: Signal) -> Signal:
    """Filter whose response changes with time: (S,) by gains (frame_count(S), WINDOW // 2 + 1).

    Square-root Hann windows with half overlap before and after the spectral product.
    """
    half = WINDOW // 2
    frames = gains.shape[0]
    padded = np.zeros((frames + 1) * half)
    padded[half : half + len(audio)] = audio
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::half] * window
    pieces = np.fft.irfft(np.fft.rfft(pieces, axis=1) * gains, WINDOW, axis=1) * window
    result = np.zeros((frames + 1, half))
    result[:-1] += pieces[:, :half]
    result[1:] += pieces[:, half:]
    return result.reshape(-1)[half : half + len(audio)]


def peaks(centres: Signal, widths: Signal, amplitudes: Signal) -> Signal:
    """Gains for `shape`: a sum of resonances.

    Args:
        centres: Hz, (frames, K).
        widths: Hz, (K,) or (frames, K).
        amplitudes: (K,) or (frames, K).

    Returns:
        (frames, bins).
    """
    distance = (frame_frequencies()[None, None, :] - centres[:, :, None]) * 2
    height = np.broadcast_to(amplitudes, centres.shape)[:, :, None]
    width = np.broadcast_to(widths, centres.shape)[:, :, None]
    return (height / (1 + (distance / width) ** 2)).sum(axis=1)


def sweep_band(audio: Signal, centre: Signal, octaves: float) -> Signal:
    """Band-pass whose `centre` (Hz, (S,)) moves; a Gaussian of `octaves` in log frequency."""
    frames = frame_count(len(audio))
    track = centre[np.linspace(0, len(centre) - 1, frames).astype(np.int64)]
    offset = np.log2(np.maximum(frame_frequencies(), 10.0)[None, :] / track[:, None])
    return shape(audio, np.exp(-0.5 * (offset / octaves) ** 2))


def saturate(audio: Signal, drive: float) -> Signal:
    """Soft clipping of the signal brought to unit peak; a higher `drive` adds more harmonics."""
    return np.tanh(drive * audio / (np.abs(audio).max() + 1e-12))


def tame(audio: Signal, crest: float) -> Signal:
    """Soft limit at `crest` times the root mean square, so that no stray peak sets the level."""
    limit = crest * np.sqrt(np.mean(audio**2)) + 1e-12
    return limit * np.tanh(audio / limit)


# Placing


def mix(samples: int, pieces: Sequence[tuple[float, Signal]]) -> Signal:
    """Sum of (onset in seconds, signal); what reaches past the end is cut."""
    result = np.zeros(samples)
    for onset, piece in pieces:
        start = sample_count(onset)
        length = min(len(piece), samples - start)
        if length > 0:
            result[start : start + length] += piece[:length]
    return result


def scatter(
    rng: np.random.Generator,
    samples: int,
    onsets: Signal,
    weights: Signal,
    grains: Sequence[Signal],
) -> Signal:
    """Many grains at once: each onset (seconds) plays a random one of `grains`, times its weight."""
    choice = rng.integers(len(grains), size=len(onsets))
    return mix(
        samples,
        [
            (onset, weight * grains[number])
            for onset, weight, number in zip(onsets, weights, choice, strict=True)
            if onset >= 0
        ],
    )


def poisson(rng: np.random.Generator, seconds: float, rate: float) -> Signal:
    """Sorted random onsets, on average `rate` per second."""
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


def room(rng: np.random.Generator, audio: Signal, metres: float) -> Signal:
    """Distance: a coloured direct sound, early reflections and exponentially decaying noise.

    The direct sound stays in place; the farther, the duller (air) and the more reverberant.
    """
    sixty = rng.uniform(0.15, 0.4) + 0.8 * min(metres / 80, 1.0)
    length = sample_count(sixty)
    time = clock(length)
    late = rng.standard_normal(length) * np.exp(-6.908 / sixty * time)
    late *= np.minimum(time / 0.02, 1.0)
    response = 0.8 * (metres / (metres + 40)) * late / np.sqrt(np.sum(late**2))
    response[0] += 1.0
    for delay in rng.uniform(0.004, 0.05, 6):
        response[sample_count(delay)] += rng.uniform(-0.2, 0.2) * 0.008 / (0.004 + delay)
    size = fast_length(len(audio) + length)
    # Frequencies as the bilinear transform bends them, so that the filters below stay causal.
    angle = np.minimum(np.pi * np.fft.rfftfreq(size), np.pi / 2 - 1e-6)
    hertz = 1j * np.tan(angle) * RATE / np.pi
    spectrum = (
        np.fft.rfft(audio, size) * np.fft.rfft(response, size) / (1 + hertz * (metres + 8) / 150e3)
    )
    for corner in rng.uniform(200, 6000, 2):  # shelves: every microphone has its colour
        spectrum *= (1 + rng.uniform(0.6, 1.6) * hertz / corner) / (1 + hertz / corner)
    return np.fft.irfft(spectrum, size)[: len(audio)]


def surround(
    rng: np.random.Generator,
    audio: Signal,
    sixty: float,
    wet: float = 0.4,
    floor: float = -55.0,
) -> Signal:
    """The sound in a live place: dry sounds over dead silence are taken for music.

    Args:
        rng: of the tail and of the background.
        audio: the dry sound, (S,).
        sixty: seconds until the reverberation has fallen by 60 dB.
        wet: root of the energy of the reverberation against the dry sound's.
        floor: level of the background noise against the peak, in dB.
    """
    length = sample_count(1.2 * sixty)
    tail = rng.standard_normal(length) * decay(length, sixty, 0.004)
    tail[: sample_count(0.004)] = 0.0  # the nearest wall is over a metre away
    response = wet * tail / np.sqrt(np.sum(tail**2))
    size = fast_length(len(audio) + length)
    echo = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)
    result = audio + echo[: len(audio)]
    return result + 10 ** (floor / 20) * np.abs(result).max() * noise(rng, len(audio), 1.0)
