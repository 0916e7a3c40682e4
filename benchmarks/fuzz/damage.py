"""Damage to files: of bytes, of values of JSON, YAML and safetensors headers, and of lines of texts."""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path
from typing import Any

import yaml


def damaged_bytes(data: bytes, source: random.Random) -> bytes:
    """Bytes of which some are changed, lost, doubled or moved."""
    damaged = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5, 20))):
        size = max(1, len(damaged))
        # Half of the places lie in the first kilobyte, where headers are.
        start = source.randrange(min(size, 1024) if source.random() < 0.5 else size)
        length = min(source.choice((1, 2, 4, 8, 64, 1000)), size - start)
        kind = source.randrange(7)
        if kind == 0:
            damaged[start : start + 1] = bytes([source.randrange(256)])
        elif kind == 1:
            extreme = source.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1))
            damaged[start : start + 8] = extreme.to_bytes(8, source.choice(("little", "big")))
        elif kind == 2:
            del damaged[start : start + length]
        elif kind == 3:
            damaged[start:start] = damaged[start : start + length]
        elif kind == 4:
            damaged[start:start] = source.randbytes(length)
        elif kind == 5:
            damaged[start : start + length] = bytes(length)
        else:
            del damaged[start:]
    return bytes(damaged)


EXTREMES: tuple[Any, ...] = (
    None, True, 0, -1, 3, 0.5, 10**6, 1e308, float("nan"), float("inf"), 10**12, 10**400, "", "x" * 5000, "\x1b[31m\u2028\x85",
    "../../etc/passwd", "/etc/passwd", "~nosuch/x", [], {}, [[]], [None], {"a": {}}, "\ud800",
)  # fmt: skip


def damaged_value(value: Any, source: random.Random) -> Any:
    """A value of JSON in which one value, name or member is changed."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        members = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, member in members:
            places.append((node, key))
            collect(member)

    collect(value)
    if not places or source.random() < 0.05:
        return copy.deepcopy(source.choice(EXTREMES))
    node, key = source.choice(places)
    kind = source.randrange(4)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[source.choice(("", "unknown", "__class__", key + "s"))] = node.pop(key)
    else:
        nested: Any = []
        for _ in range(3000 if source.random() < 0.03 else 0):
            nested = [nested]
        node[key] = nested or copy.deepcopy(source.choice(EXTREMES))
    return value


def as_json(value: Any) -> bytes:
    """JSON of any depth and with numbers of any length."""
    sys.set_int_max_str_digits(0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(value).encode()
    finally:
        sys.setrecursionlimit(limit)


def damaged_text(text: str, source: random.Random) -> bytes:
    """Text of which lines are lost, doubled or joined, with marks that not every reader knows, or in another encoding."""
    lines = text.splitlines(keepends=True)
    place = source.randrange(max(1, len(lines)))
    kind = source.randrange(6)
    if kind == 0:
        lines.insert(
            place,
            source.choice(
                ("\n", "\x00\n", "\ufeff", "\u2028", "\x85", "T\xfcr\n", "a" * 10**6 + "\n")
            ),
        )
    elif kind == 1:
        del lines[place : place + 1]
    elif kind == 2:
        lines = lines[: place + 1] * source.choice((2, 1000))
    elif kind == 3:
        return ("T\xfcr" + text).encode("latin-1", "replace")
    elif kind == 4:
        return text.encode(source.choice(("utf-16", "utf-8-sig")))
    else:
        return b""
    return "".join(lines).encode()


def damaged_file(path: Path, source: random.Random) -> bytes:
    """What a file holds after damage that fits its kind, or to its bytes."""
    data = path.read_bytes()
    if source.random() < 0.4:
        return damaged_bytes(data, source)
    if path.suffix == ".json":
        return as_json(damaged_value(json.loads(data), source))
    if path.suffix == ".jsonl" and source.random() < 0.7:
        rows = [json.loads(line) for line in data.splitlines()]
        place = source.randrange(len(rows))
        rows[place] = damaged_value(rows[place], source)
        return b"\n".join(map(as_json, rows)) + b"\n"
    if path.suffix == ".yaml" and source.random() < 0.7:
        return as_json(damaged_value(yaml.safe_load(data), source))
    if path.suffix == ".safetensors":
        size = int.from_bytes(data[:8], "little")
        header = as_json(damaged_value(json.loads(data[8 : 8 + size]), source))
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    if path.suffix in (".txt", ".jsonl", ".yaml"):
        return damaged_text(data.decode(), source)
    return damaged_bytes(data, source)
