"""The distances of reconstructions, of known changes and as a script."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import evaluate_autoencoder
from tests.sounds import tone
from woosh.autoencoder import WooshAutoencoder


class Identity:
    """An autoencoder that changes nothing but the level."""

    hop_length, n_fft = 480, 960

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return audio

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return 0.1 * latents


@pytest.mark.parametrize("samples", [10, 481, 4801])
def test_autoencoder_evaluation_measures_a_known_change(samples: int) -> None:
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    mel, stft, ratio = evaluate_autoencoder.measure(Identity(), noise)
    if samples > 480:  # zeros, on which nothing changes, fill up shorter clips
        assert mel == pytest.approx(1, abs=0.02) and stft == pytest.approx(1, abs=0.02)
    assert ratio == 100
    assert math.isnan(evaluate_autoencoder.measure(Identity(), torch.zeros(samples))[2])


def test_autoencoder_evaluation_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = WooshAutoencoder(
        latent_channels=4, width=8, inner_width=8, encoder_layers=1, decoder_layers=1
    )
    toy.save_pretrained(tmp_path / "toy")
    rows = []
    for name, audio in (
        ("low", tone(200, 0.5).numpy()),
        ("high", tone(3000, 0.5).numpy()),
        ("silence", np.zeros(2000)),
    ):
        soundfile.write(tmp_path / f"{name}.wav", audio, 48_000)
        row = {"file": f"{name}.wav", "captions": ["a tone"], "seconds": len(audio) / 48_000}
        rows.append(json.dumps(row | {"split": "validation"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows))
    options = ["--model", str(tmp_path / "toy"), "--data", str(tmp_path)]
    evaluate_autoencoder.main([*options, "--json", str(tmp_path / "a.json")])
    result = json.loads((tmp_path / "a.json").read_text())
    assert len(result["clips"]) == result["summary"]["all"]["clips"] == 3
    assert result["summary"]["all"]["silent"] == 1
    assert math.isfinite(result["summary"]["all"]["SI-SDR"])
    assert "| all | 3 |" in capsys.readouterr().out
