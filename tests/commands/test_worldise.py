"""`woosh worldise`: bands, levels, lengths, channels, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from woosh import cli
from woosh.audio import read_metadata

RATE = 44_100


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Half a second of two channels, the second one half as loud."""
    path = tmp_path / "noise.wav"
    sound = 0.1 * np.random.default_rng(0).standard_normal((RATE // 2, 2)) * [1, 0.5]
    soundfile.write(path, sound, RATE)
    return path


def level(audio: np.ndarray) -> float:
    """In dB."""
    return 10 * np.log10(np.mean(np.square(audio)))


def share(audio: np.ndarray, low: float, high: float) -> float:
    """Of the energy within a band."""
    energy = np.square(np.abs(np.fft.rfft(audio[:, 0])))
    frequencies = np.fft.rfftfreq(len(audio), 1 / RATE)
    return energy[(frequencies >= low) & (frequencies < high)].sum() / energy.sum()


def test_a_telephone_passes_its_band_at_the_sound_s_level(
    noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["worldise", str(noise), "--through", "telephone"]) == 0
    assert capsys.readouterr().out == "noise-telephone.wav  0.50 s\n"
    before, _ = soundfile.read(noise)
    after, rate = soundfile.read("noise-telephone.wav")
    assert rate == RATE and after.shape == before.shape
    assert level(after) == pytest.approx(level(before), abs=0.2)
    balance = level(after[:, 0]) - level(after[:, 1])
    assert balance == pytest.approx(20 * np.log10(2), abs=0.3)
    assert share(after, 200, 4000) > 0.99 > share(before, 200, 4000) + 0.7
    assert read_metadata("noise-telephone.wav")["through"] == "telephone"


def test_a_response_of_a_file_rings_on(noise: Path, tmp_path: Path) -> None:
    response, out = tmp_path / "late.wav", tmp_path / "out.wav"
    soundfile.write(response, np.eye(1, RATE, RATE // 4)[0], RATE)
    assert cli.main(["worldise", str(noise), "--through", str(response), "-o", str(out)]) == 0
    before, _ = soundfile.read(noise)
    after, _ = soundfile.read(out)
    assert len(after) == len(before) + RATE - 1
    late = after[RATE // 4 : RATE // 4 + len(before)]
    np.testing.assert_allclose(late, before, atol=2e-4)


def test_what_cannot_be_heard_through_is_refused(
    noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(100), RATE)
    for through, message in (
        ("telefone", "name one of telephone"),
        (str(silent), "not all of them silent"),
    ):
        assert cli.main(["worldise", str(noise), "--through", through]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["worldise", str(tmp_path / "no.wav"), "--through", "wall"]) == 2
    assert "no audio file" in capsys.readouterr().err
