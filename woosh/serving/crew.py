"""What a server asks of those who make the sounds, be they processes beside it or replicas on other machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from woosh.serving.settings import ServerSettings
from woosh.serving.store import Store


class Crew(Protocol):
    """The workers of a server.

    Attributes:
        restarts: workers that ended by themselves and were started again.
    """

    restarts: int

    @property
    def ready(self) -> int:
        """Workers that take jobs."""
        ...

    def start(self) -> None:
        """Begin; the workers are ready later."""
        ...

    def wake(self) -> None:
        """Tell the workers that a job waits."""
        ...

    def end(self, name: str) -> None:
        """End a worker that says nothing any more."""
        ...

    def stop(self) -> None:
        """End."""
        ...


Hire = Callable[[ServerSettings, Store], Crew]
