"""Where the parts of a dataset are: a folder of this machine, or one that fsspec reaches.

A file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from modelinspect.core.replacing import PART, replacing
from modelinspect.errors import MissingExtraError, ModelInspectError, OutputError
from modelinspect.sources.remote import is_remote

_LOCAL = "file://"


class Store(Protocol):
    """Files in folders, by name."""

    location: str

    def names(self, folder: str) -> list[str]:
        """Return the names of the files of a folder, sorted; none where it does not exist.

        Raises `OutputError`.
        """

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises `OutputError`."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all. Raises `OutputError`."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises `OutputError`."""


def open_store(location: str) -> Store:
    """Return the store at a location.

    Raises `OutputError`, and `MissingExtraError` where the location needs a package.
    """
    if is_remote(location) and not location.startswith(_LOCAL):
        return RemoteStore(location)
    return LocalStore(location.removeprefix(_LOCAL))


class LocalStore:
    """A folder of this machine: a file is written under another name, brought to the disk, and renamed."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._folder = Path(location)
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputError(f"{location}: is not a folder")

    def names(self, folder: str) -> list[str]:
        with self._trouble():
            if not (self._folder / folder).is_dir():
                return []
            names = sorted(os.listdir(self._folder / folder))  # noqa: PTH208 - names, not paths
            for name in names:
                if name.startswith(".") and name.endswith(PART):  # a scan that was killed left it
                    (self._folder / folder / name).unlink(missing_ok=True)
            return [name for name in names if not name.startswith(".")]

    def read(self, name: str) -> bytes:
        with self._trouble():
            return (self._folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with self._trouble():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, "wb", sync=True) as file:
                file.write(data)

    def remove(self, name: str) -> None:
        with self._trouble():
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.location}: cannot be written: {error.strerror or error}") from error


class RemoteStore:
    """A folder that fsspec reaches: a file is one put, which object stores show whole or not at all."""

    def __init__(self, location: str) -> None:
        self.location = location
        try:
            core = import_module("fsspec.core")
        except ImportError as error:
            raise MissingExtraError(
                f"{location}: writing remotely needs fsspec; pip install 'modelinspect[remote]'"
            ) from error
        with self._trouble():
            self._system: Any
            self._system, path = core.url_to_fs(location)
            self._folder: str = path.rstrip("/")

    def names(self, folder: str) -> list[str]:
        with self._trouble():
            self._system.invalidate_cache()
            try:
                listed = self._system.ls(f"{self._folder}/{folder}", detail=True)
            except FileNotFoundError:
                return []
            return sorted(entry["name"].rpartition("/")[2] for entry in listed if entry["type"] == "file")

    def read(self, name: str) -> bytes:
        with self._trouble():
            data: bytes = self._system.cat_file(f"{self._folder}/{name}")
            return data

    def write(self, name: str, data: bytes) -> None:
        path = f"{self._folder}/{name}"
        with self._trouble():
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)

    def remove(self, name: str) -> None:
        with self._trouble(), suppress(FileNotFoundError):
            self._system.rm_file(f"{self._folder}/{name}")

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, MemoryError, ModelInspectError):
            raise
        except ImportError as error:
            raise MissingExtraError(
                f"{self.location}: its protocol needs another package: {error}"
            ) from error
        except Exception as error:  # a file system of fsspec raises the errors of whatever library it is on
            raise OutputError(
                f"{self.location}: cannot be written: {type(error).__name__}: {error}"
            ) from error
