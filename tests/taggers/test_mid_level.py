"""Features from the middle of a network: how many, what they are, and that a batch equals its clips."""

import pytest
import torch
from torch import Tensor

from tests.toys import randomise
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.mid_level import mid_level_features
from woosh.taggers.mobilenet import MobileNet


def log_mel(count: int = 2, bands: int = 128) -> Tensor:
    return torch.randn(count, 1, bands, 70, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("width", "bands", "size"),
    [
        (1.0, 128, 600),  # 128 + 40 + 112 + 160 + 160
        (0.4, 128, 320),  # 128 + 16 + 48 + 64 + 64
        (0.1, 128, 128 + 8 + 16 + 16 + 16),
        (2.0, 128, 128 + 80 + 224 + 320 + 320),
        (1.0, 40, 512),
    ],
)
@pytest.mark.parametrize("kind", [MobileNet, DynamicMobileNet])
def test_there_are_as_many_as_published(
    kind: type[MobileNet | DynamicMobileNet], width: float, bands: int, size: int
) -> None:
    with torch.device("meta"):
        network = kind(width).eval().to("meta")  # a dynamic one's constants are on the CPU
        features = mid_level_features(network, log_mel(3, bands).to("meta"))
    assert features.shape == (3, size)


@pytest.mark.parametrize("kind", [MobileNet, DynamicMobileNet])
def test_they_are_the_means_of_the_bands_and_of_what_the_blocks_make(
    kind: type[MobileNet | DynamicMobileNet],
) -> None:
    network, mel = randomise(kind(0.1), 1), log_mel()
    blocks = network.features[1:-1] if isinstance(network, MobileNet) else network.layers
    heard: dict[int, Tensor] = {}
    for number, block in enumerate(blocks, start=1):

        def keep(_module: object, _given: object, made: Tensor, number: int = number) -> None:
            heard[number] = made[0] if isinstance(made, tuple) else made

        block.register_forward_hook(keep)
    with torch.no_grad():
        features = mid_level_features(network, mel)
        singles = torch.cat([mid_level_features(network, clip[None]) for clip in mel])
        network(mel)
    expected = [mel.mean(dim=3)[:, 0], *(heard[n].mean(dim=(2, 3)) for n in (5, 11, 13, 15))]
    torch.testing.assert_close(features, torch.cat(expected, dim=1), rtol=0, atol=1e-5)
    torch.testing.assert_close(singles, features, rtol=0, atol=1e-5)
