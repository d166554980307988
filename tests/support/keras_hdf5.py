"""Parses HDF5 files for the tests of their formats."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location


def parse_path(path: Path) -> Artifact:
    """Parse a file by whatever format recognises it."""
    with open_location(path) as files:
        return parse(files)


def parse_made(fill: Callable[[h5py.File], object], *, name: str = "made.h5", **options: object) -> Artifact:
    """Make a file with h5py in memory and parse it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return parse(MemoryFiles({name: buffer.getvalue()}, name))


def clean(artifact: Artifact) -> bool:
    """Tell whether every byte is known and nothing was in the way."""
    unattributed = sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in artifact.members)
    return not unattributed and not artifact.diagnostics


def roles(artifact: Artifact) -> dict[str, str]:
    """Return the role of each tensor by name."""
    return {tensor.path: tensor.role.value for tensor in artifact.tensors}


def layers(artifact: Artifact) -> dict[str, str | None]:
    """Return the layer of each tensor by name."""
    return {tensor.path: tensor.layer for tensor in artifact.tensors}


def kind_of(artifact: Artifact, data: bytes, needle: bytes) -> RegionKind:
    """Return the kind of the region that holds a text which stands once in the file."""
    assert data.count(needle) == 1
    return artifact.members[0].map.at(data.index(needle)).kind
