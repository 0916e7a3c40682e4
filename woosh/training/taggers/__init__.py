"""Training what names sounds: variations of spectrograms."""
