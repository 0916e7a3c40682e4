"""Finished assets: what is done with sounds after, or in place of, one generation from noise."""
