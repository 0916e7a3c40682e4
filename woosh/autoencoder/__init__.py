"""Sound <-> latents."""

from woosh.autoencoder.network import WooshAutoencoder

__all__ = ["WooshAutoencoder"]
