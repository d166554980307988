"""Tiny artifacts, as many as a test wants."""

from __future__ import annotations

import json
import struct
from pathlib import Path


def tiny(number: int) -> bytes:
    """Return a safetensors file with one tensor of one element, which is the number."""
    header = json.dumps({"w": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<i", number)


def make(folder: Path, count: int) -> list[str]:
    """Write artifacts into folders of a hundred, and return their locations."""
    locations: list[str] = []
    for number in range(count):
        inner = folder / f"{number // 100:04d}"
        if number % 100 == 0:
            inner.mkdir(parents=True)
        path = inner / f"{number:06d}.safetensors"
        path.write_bytes(tiny(number))
        locations.append(str(path))
    return locations
