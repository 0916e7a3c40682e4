"""What all networks are made of: diffusers' models, whose constructor is their configuration, without what slows commands.

Importing diffusers brings torch's compiler along, and asking one of its models for its device all that offloads models.
Both take longer than a short sound. Here neither happens before it is of use.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from torch import nn

from woosh.command_line import OWN_PROCESS

__all__ = ["ConfigMixin", "ModelMixin", "register_to_config"]

COMPILER = "torch._dynamo"  # which diffusers does without where it cannot be imported
OFFLOADING = "diffusers.hooks"

hidden = (
    OWN_PROCESS.is_set() and COMPILER not in sys.modules
)  # whoever imports the library may compile
if hidden:
    sys.modules[COMPILER] = None  # type: ignore[assignment]  # says that there is no such module
try:
    from diffusers.configuration_utils import ConfigMixin, register_to_config
    from diffusers.models import modeling_utils
finally:
    if hidden:
        del sys.modules[COMPILER]


class ModelMixin(modeling_utils.ModelMixin):
    """A model of diffusers that asks for its hooks only where something has imported them, and so may have set one."""

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        if OFFLOADING in sys.modules:
            return super().device
        return next(self.parameters()).device

    def to(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]  # diffusers hides the signature
        """Move the network or change its precision, as `torch.nn.Module.to` does."""
        move = super().to if OFFLOADING in sys.modules else partial(nn.Module.to, self)
        return move(*arguments, **options)
