"""Training the aligner: pairs of captions and sounds, the contrastive loss, steps."""
