"""Networks that name what they hear, and the spectrograms that they see."""
