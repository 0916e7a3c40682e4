"""Networks that name what they hear, and the spectrograms that they see."""

from woosh.taggers.published import from_published
from woosh.taggers.tagger import AudioTagger, load_tagger, save_tagger

__all__ = ["AudioTagger", "from_published", "load_tagger", "save_tagger"]
