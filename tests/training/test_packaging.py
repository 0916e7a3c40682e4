"""What stands beside weights, and the form in which they are shipped."""

import pytest
import torch
from torch import nn

from woosh.training.packaging import half


def test_half_refuses_what_it_cannot_hold() -> None:
    model = nn.Linear(2, 2)
    assert half(model).weight.dtype == torch.float16
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.bias[0] = 1e6
    with pytest.raises(ValueError, match="bias holds values beyond"):
        half(model)
