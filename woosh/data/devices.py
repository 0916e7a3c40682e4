"""Devices and places that sounds come out of or through, as impulse responses made by rule.

Each is a curve of level over frequency, in a straight line between its points over the logarithm of the frequency, and level
beyond them. Telephones pass 300 to 3,400 Hz (ITU-T G.712); the other curves are ours, drawn after what such things do.
"""

from __future__ import annotations

import numpy as np

RESPONSE_SAMPLES = 8192
SILENT = 1e-6  # of the loudest frequency: -120 dB

# Hz and dB.
CURVES: dict[str, tuple[tuple[float, float], ...]] = {
    "telephone": ((100, -60), (200, -30), (300, -3), (400, 0), (3000, 0), (3400, -3), (4000, -60)),
    "radio": ((60, -50), (150, -12), (300, 0), (1000, 2), (3500, 0), (4500, -6), (6000, -50)),
    "megaphone": ((200, -60), (400, -18), (800, 0), (1800, 6), (3000, 3), (4500, -6), (7000, -50)),
    "laptop": ((80, -60), (200, -24), (400, -3), (800, 0), (5000, 2), (12_000, 0), (18_000, -12)),
    "headphones": ((200, -50), (800, -20), (2000, -6), (4000, 0), (8000, 2), (14_000, -6)),
    "wall": ((30, 0), (120, -2), (250, -10), (500, -22), (1000, -34), (2000, -50), (4000, -70)),
    "underwater": ((40, -6), (150, 0), (400, 0), (700, -9), (1200, -24), (2500, -45), (5000, -70)),
}


def curve_levels(name: str, frequencies: np.ndarray) -> np.ndarray:
    """Levels in dB of a device at frequencies (F,) in Hz.

    Raises:
        ValueError: an unknown device.
    """
    if name not in CURVES:
        raise ValueError(f"no device {name!r}; there are {', '.join(CURVES)}")
    points = np.array(CURVES[name])
    return np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(points[:, 0]), points[:, 1])


def device_response(name: str, sample_rate: int) -> np.ndarray:
    """The impulse response of a device (8192,), of least delay: nothing is heard before the sound.

    The least-phase response to a magnitude follows from its cepstrum, whose part before zero is folded over
    (Oppenheim and Schafer, Discrete-Time Signal Processing, chapter 13).

    Raises:
        ValueError: an unknown device.
    """
    size = 4 * RESPONSE_SAMPLES  # longer, so that the cepstrum's ends do not meet
    levels = curve_levels(name, np.fft.rfftfreq(size, 1 / sample_rate))
    magnitudes = np.maximum(10 ** (levels / 20), SILENT)
    cepstrum = np.fft.irfft(np.log(magnitudes))
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:RESPONSE_SAMPLES]
