"""The MobileNet trunk: published counts and names, gradients, batches."""

import pytest
import torch

from tests.paths import SHARED
from woosh.taggers.mobilenet import MobileNet, rounded

KEYS = SHARED / "spec" / "keys" / "mn10_keys.txt"


@pytest.mark.parametrize(
    ("width", "published", "features", "hidden"),
    [(0.4, 983_599, 384, 512), (0.5, 1_431_239, 480, 640), (1.0, 4_876_831, 960, 1280)],
)
def test_parameters_are_the_published_ones_without_the_classifier(
    width: float, published: int, features: int, hidden: int
) -> None:
    model = MobileNet(width)
    classifier = features * hidden + hidden + hidden * 527 + 527
    assert model.feature_width == features
    assert sum(value.numel() for value in model.parameters()) == published - classifier


def test_names_and_shapes_are_the_published_ones() -> None:
    if not KEYS.is_file():
        pytest.skip("no shared list of published names")
    lines = [line for line in KEYS.read_text().splitlines() if not line.startswith("classifier")]
    ours = [f"{n} {tuple(t.shape)}" for n, t in MobileNet().state_dict().items()]
    assert ours == lines


def test_channels_are_rounded_to_eights_but_never_below_nine_tenths() -> None:
    assert [rounded(value) for value in (1, 12, 16.4, 10, 28.8)] == [8, 16, 16, 16, 32]


def test_a_batch_equals_singles_and_every_parameter_gets_a_gradient() -> None:
    model = MobileNet(0.1).eval()
    log_mel = torch.randn(2, 128, 70, generator=torch.Generator().manual_seed(0))
    batch = model(log_mel)
    singles = torch.cat([model(clip[None]) for clip in log_mel])
    assert torch.allclose(batch, singles, atol=1e-5)
    batch.square().sum().backward()
    assert all(value.grad is not None for value in model.parameters())
