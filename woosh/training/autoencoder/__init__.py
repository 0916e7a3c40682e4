"""Training the autoencoder: crops, losses, discriminators, steps."""
