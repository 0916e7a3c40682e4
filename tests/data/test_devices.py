"""Devices by rule: their curves, and that nothing is heard before the sound."""

import numpy as np
import pytest

from woosh.data.devices import CURVES, curve_levels, device_response


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_responses_have_their_curve_and_the_least_delay(name: str, rate: int) -> None:
    response = device_response(name, rate)
    spectrum = np.abs(np.fft.rfft(response))
    frequencies = np.fft.rfftfreq(len(response), 1 / rate)
    wanted = curve_levels(name, frequencies)
    heard = (wanted > -40) & (frequencies > 50) & (frequencies < 0.45 * rate)
    found = 20 * np.log10(spectrum[heard])
    assert np.abs(found - wanted[heard]).max() < 1.5
    energy = np.cumsum(response**2) / np.sum(response**2)
    assert np.searchsorted(energy, 0.5) < 0.02 * rate  # half of it within 20 ms


def test_telephones_pass_speech_alone() -> None:
    levels = curve_levels("telephone", np.array([50, 100, 1000, 3000, 4000, 20_000]))
    assert levels.tolist() == [-60, -60, 0, 0, -60, -60]


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="no device 'telefone'; there are telephone"):
        device_response("telefone", 48_000)
