"""Open a location: a file, a folder, a checkpoint prefix, here or on another machine."""

from __future__ import annotations

import os
from pathlib import Path

from modelinspect.core.limits import Limits
from modelinspect.errors import LocationError
from modelinspect.sources.files import FileSet, ModelIn
from modelinspect.sources.local_files import LocalFiles
from modelinspect.sources.standard_input import STANDARD_INPUT, spooled_path


def open_location(location: str | os.PathLike[str], limits: Limits | None = None) -> FileSet:
    """Open a file, a directory or a checkpoint prefix, also one that fsspec reaches (``s3://…``).

    Raises `LocationError`.
    """
    if isinstance(location, ModelIn):
        files = open_location(os.fspath(location), limits)
        files.chosen = location.name if location.is_archived else None
        return files
    text = os.fspath(location)
    if "\0" in text or not text:
        raise LocationError(f"{text!r}: not a path")
    if text == STANDARD_INPUT and (copy := spooled_path()) is not None:
        files = LocalFiles(copy, limits)
        files.location = STANDARD_INPUT
        return files
    if "://" in text:
        from modelinspect.sources.remote import RemoteFiles, is_remote

        if is_remote(text):
            return RemoteFiles(text, limits)
    return LocalFiles(Path(text), limits)
