"""Pictures of results."""

from pathlib import Path

import pytest
import torch

from tests.evaluation.test_generation import narrow, toy_autoencoder
from tests.sounds import write_sounds
from woosh.evaluation.autoencoder import evaluate_autoencoder
from woosh.evaluation.generation import evaluate_generation
from woosh.evaluation.plots import plot_autoencoder, plot_generation

image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")


def test_results_are_drawn(tmp_path: Path) -> None:
    generated = write_sounds(tmp_path / "generated", range(20))
    reference = write_sounds(tmp_path / "reference", range(50, 70))
    few = write_sounds(tmp_path / "few", range(2))
    generator = torch.Generator().manual_seed(0)
    for folder, height in ((reference, 960), (few, 960)):
        result = evaluate_generation(generated, folder, [narrow(4), narrow(8)], generator)
        plot_generation(result, tmp_path / "plot.png")
        pixels = image.imread(tmp_path / "plot.png")
        assert pixels.shape[:2] == (height, 1200)
        assert pixels.std() > 0.01
    autoencoder = toy_autoencoder(tmp_path / "model")
    result = evaluate_autoencoder(autoencoder, tmp_path / "model", few)
    plot_autoencoder(result, tmp_path / "plot.png")
    assert image.imread(tmp_path / "plot.png").shape[:2] == (960, 1800)
