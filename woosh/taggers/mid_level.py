"""General features from the middle of a MobileNet (arXiv 2303.01879).

Its last layers know the classes that it was trained on; the middle ones describe sound, and serve other tasks better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.mobilenet import MobileNet

MID_BLOCKS = (5, 11, 13, 15)  # counted from 1


def mid_level_features(network: MobileNet | DynamicMobileNet, log_mel: Tensor) -> Tensor:
    """Mean of every mel band over time, and of every channel of the blocks `MID_BLOCKS` over bands and time.

    Args:
        network: of any width.
        log_mel: (B, 1, bands, frames) of `woosh.taggers.log_mel.LogMel`.

    Returns:
        (B, D): D is 600 at width 1 with 128 bands, that is 128 + 40 + 112 + 160 + 160.
    """
    maps = network.maps(log_mel)  # of the stem, the blocks, the last convolution
    means = [maps[block].mean(dim=(2, 3)) for block in MID_BLOCKS]
    return torch.cat([log_mel.mean(dim=(1, 3)), *means], dim=1)
