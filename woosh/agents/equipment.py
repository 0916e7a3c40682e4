"""What the tools for agents work with: loaded when it is first needed, and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from woosh.agents.places import Places
from woosh.catalogue import DEFAULT_TAGGER, ModelInfo
from woosh.embeddings.tagging import Tagger, load_tagger
from woosh.generation.loading import choose_device, load_model, quiet_libraries
from woosh.search.index import open_index, trusted_model
from woosh.search.library import Library, load_library
from woosh.studio.workshop import Model
from woosh.video.watching import Watcher, load_watcher


@dataclass(frozen=True)
class Choice:
    """What a server for agents was started with.

    Attributes:
        places: where it reads and writes.
        words: the model that makes sounds from words.
        pictures: the one that makes sounds for videos.
        index: of the user's library, if there is one.
        longest: seconds of a sound, at most.
        most: sounds of one call, at most.
        device: where to compute, as `--device` names it.
    """

    places: Places
    words: ModelInfo
    pictures: ModelInfo
    index: Path | None
    longest: float
    most: int
    device: str


class Equipment:
    """The networks of a choice."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        quiet_libraries()

    @cached_property
    def words(self) -> Model:
        """What makes sounds from words."""
        return self._load(self.choice.words)

    @cached_property
    def pictures(self) -> Model:
        """What makes sounds for videos."""
        return self._load(self.choice.pictures)

    @cached_property
    def watcher(self) -> Watcher:
        """What sees a video.

        Raises:
            ValueError: the model for videos has nothing that sees in its folder.
        """
        info = self.choice.pictures
        if info.video_channels is None or info.visual is None:
            raise ValueError(
                f"{info.name} does not see: start the server with another --video-model"
            )
        return load_watcher(info.visual, choose_device(self.choice.device), info.video_channels)

    @cached_property
    def tagger(self) -> Tagger:
        """What names what is heard."""
        return load_tagger(DEFAULT_TAGGER, None, choose_device(self.choice.device))

    def library(self) -> Library:
        """The user's library, as its index is now.

        Raises:
            ValueError: the server was started without one, or its index cannot be used.
            FileNotFoundError: there is no index.
        """
        if self.choice.index is None:
            raise ValueError("this server knows no library: start it with --index DIR")
        index = open_index(self.choice.index)
        if index.weights != self._library.index.weights:
            raise ValueError(f"{index.place} was made anew with another model: restart the server")
        return replace(self._library, index=index)

    @cached_property
    def _library(self) -> Library:
        assert self.choice.index is not None
        index = open_index(self.choice.index)
        model = trusted_model(index, "make it again with a model that is")
        return load_library(index, model, choose_device(self.choice.device))

    def _load(self, info: ModelInfo) -> Model:
        return Model(load_model(info, self.choice.device, "auto"), info)
