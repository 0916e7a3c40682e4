"""Where a server for agents reads and writes: nowhere but in the folders that whoever started it named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from woosh.outside_files import expanded, is_file, printable
from woosh.whole_files import numbered


@dataclass(frozen=True)
class Places:
    """The folders of a server, all of them absolute and without links.

    Attributes:
        output: the one below which it writes.
        allowed: those below which it reads.
    """

    output: Path
    allowed: tuple[Path, ...]

    def readable(self, name: str) -> Path:
        """The file of that name, links followed; a relative name begins in the folder that the server was started in.

        What lies elsewhere is refused alike, whether it is there or not.

        Raises:
            ValueError: it lies below none of the allowed folders.
            FileNotFoundError: there is no such file.
        """
        try:
            path = expanded(name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # links in a circle, a null character
            raise ValueError(f"'{printable(name)}' is no name of a file") from error
        if not any(path.is_relative_to(folder) for folder in self.allowed):
            folders = ", ".join(map(str, self.allowed))
            raise ValueError(
                f"{printable(str(path))} is outside of what this server reads ({folders}): start it with --allow DIR"
            )
        if not is_file(path):
            raise FileNotFoundError(f"no file {printable(str(path))}")
        return path

    def free(self, stem: str, extension: str) -> Iterator[Path]:
        """Names for a new file, the best first, without end."""
        return numbered(self.output / f"{stem}.{extension}")
