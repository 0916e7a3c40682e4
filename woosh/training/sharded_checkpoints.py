"""Checkpoints of several files, as torch.distributed writes them, looked through before its own reader runs.

That reader unpickles the table of contents, `.metadata`, freely, and each value that is no tensor too. Here both are read first
in a way that runs nothing: a pickle that passes does no more in torch's reader.
"""

from __future__ import annotations

import io
import pathlib
import pickle  # noqa: TID251 - the reader below makes what it lists and nothing else
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata

TABLE = ".metadata"  # ends the name of a table of contents
# What a table holds, by module and name, beside numbers, texts, lists and torch's types of numbers.
KNOWN = {
    (made.__module__, made.__qualname__): made
    for made in (
        metadata.BytesStorageMetadata,
        metadata.ChunkStorageMetadata,
        metadata.Metadata,
        metadata.MetadataIndex,
        metadata.StorageMeta,
        metadata.TensorProperties,
        metadata.TensorStorageMetadata,
        metadata._MEM_FORMAT_ENCODING,
        filesystem._StorageInfo,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        torch.Size,
        torch.serialization._get_layout,  # of a layout's name
    )
}


class TableReader(pickle.Unpickler):
    """Unpickles a table of contents and refuses every other thing that a pickle can name."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """See `pickle.Unpickler`."""
        named = KNOWN.get((module_name, global_name))
        if named is None and module_name == "torch":
            named = getattr(torch, global_name, None)
            named = named if isinstance(named, torch.dtype) else None
        if named is None:
            raise ValueError(f"{module_name}.{global_name} is nothing that a checkpoint holds")
        return named


def check_table(path: Path) -> None:
    """Raise unless a table of contents, and the values that are no tensors in the files it names, hold plain data.

    Raises:
        Exception: of nearly every kind, for a table that is damaged; a `ValueError` for one that names anything else.
    """
    with path.open("rb") as file:
        table = TableReader(file).load()
    if type(table) is not metadata.Metadata:
        raise ValueError("it is no table of contents")
    for index, place in table.storage_data.items():
        if Path(place.relative_path).name != place.relative_path:
            raise ValueError(f"{place.relative_path} is not beside it")
        if place.transform_descriptors:
            raise ValueError("its values are in a form that is not read")
        if isinstance(table.state_dict_metadata[index.fqn], metadata.BytesStorageMetadata):
            with (path.parent / place.relative_path).open("rb") as file:
                file.seek(place.offset)
                value = io.BytesIO(file.read(place.length))
            torch.load(value, map_location="cpu", weights_only=True)
