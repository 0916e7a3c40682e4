"""What codecs and rates leave of a sound lies beside it, sample by sample."""

import numpy as np
import pytest

from woosh.data.codecs import CODECS, through_codec

RATE = 32_000


@pytest.mark.parametrize("name", CODECS)
def test_a_tone_comes_back_where_it_was(name: str) -> None:
    """A tone that sets in late: as loud, no earlier or later, and of the same length; a codec's delay is taken off."""
    seconds = np.arange(RATE) / RATE
    audio = 0.4 * np.sin(2 * np.pi * 1000 * seconds) * (seconds >= 0.5)
    heard = through_codec(audio, RATE, name)
    assert heard.shape == audio.shape and heard.dtype == np.float32
    error = heard - audio
    assert np.square(error[20_000:-2_000]).mean() < 0.02 * np.square(audio[20_000:-2_000]).mean()
    assert np.abs(heard[:15_000]).max() < 0.01


@pytest.mark.parametrize(("name", "kept"), [("16 kHz", 7_000), ("8 kHz", 3_500)])
def test_what_is_above_the_band_is_lost(name: str, kept: int) -> None:
    """Noise keeps its level below, and loses 20 dB or more above."""
    audio = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    power = [np.square(np.abs(np.fft.rfft(x))) for x in (audio, through_codec(audio, RATE, name))]
    below, above = slice(200, kept), slice(round(kept * 1.3), None)
    assert power[1][below].sum() == pytest.approx(power[0][below].sum(), rel=0.3)
    assert power[1][above].sum() < 0.01 * power[0][above].sum()


@pytest.mark.parametrize("samples", [1, 40, 1_601])
def test_short_and_silent_sounds_keep_their_length(samples: int) -> None:
    for name in CODECS:
        for audio in (np.zeros(samples), np.full(samples, 2.0)):
            heard = through_codec(audio, RATE, name)
            assert heard.shape == (samples,) and np.isfinite(heard).all()


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ValueError, match="no codec 'aac'; there are mp3, opus, 16 kHz, 8 kHz"):
        through_codec(np.zeros(8), RATE, "aac")
