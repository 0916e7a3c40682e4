"""Sound effects from text.

The public classes are imported on first use, so that ``import woosh`` and the command line stay
quick: nothing here imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from woosh.autoencoder.mel import WooshMelAutoencoder
    from woosh.autoencoder.network import WooshAutoencoder
    from woosh.generation.pipeline import WooshPipeline
    from woosh.generation.text_encoder import WooshTextEncoder
    from woosh.generation.transformer import WooshTransformer

__version__ = "0.7.0"

__all__ = [
    "WooshAutoencoder",
    "WooshMelAutoencoder",
    "WooshPipeline",
    "WooshTextEncoder",
    "WooshTransformer",
    "__version__",
]

_HOMES = {
    "WooshAutoencoder": "woosh.autoencoder.network",
    "WooshMelAutoencoder": "woosh.autoencoder.mel",
    "WooshPipeline": "woosh.generation.pipeline",
    "WooshTextEncoder": "woosh.generation.text_encoder",
    "WooshTransformer": "woosh.generation.transformer",
    # Not ours: diffusers looks for the base class of a saved part in the part's own module, which is this one.
    "ModelMixin": "diffusers.models.modeling_utils",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'woosh' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
