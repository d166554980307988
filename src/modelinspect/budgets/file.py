"""Read a budget, also one of several models with the models that its patterns name, and the lock that growth
is measured against; write both files from today's sizes.

Whatever is wrong with them is a `UsageError`.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from modelinspect.core.settings_file import decode, read_settings_text, read_toml, unknown_key
from modelinspect.errors import UsageError
from modelinspect.measure.compressors import Compressor
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import short_size

COMPRESSORS = {"gzip": Compressor.GZIP, "zstd": Compressor.ZSTD, "brotli": Compressor.BROTLI}
_Size = Annotated[int, Meta(ge=0)]
_GROWING = ("size", *COMPRESSORS, *Category)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*(%|[kKmMgG]?i?[bB]|)\s*")


class Amount:
    """A number of bytes, or a share of something: exactly one of them."""

    __slots__ = ("bytes", "share")

    def __init__(self, bytes: int | None = None, share: float | None = None) -> None:
        self.bytes, self.share = bytes, share

    def of(self, whole: int) -> int:
        """Return the bytes, the share taken of a whole."""
        return self.bytes if self.bytes is not None else int(whole * (self.share or 0.0))


class Share(float):
    """A number from 0 to 1."""


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """What an artifact may take; None and empty mean that nothing is asked."""

    size: Amount | None = None
    efficiency: Share | None = None
    lock: str = ""
    compressed: dict[Literal["gzip", "zstd", "brotli"], Amount] = {}
    categories: dict[Category, Amount] = {}
    layers: dict[str, Amount] = {}
    sparsity: dict[str, Share] = {}
    growth: dict[str, Amount] = {}

    def __post_init__(self) -> None:
        if self.size is not None and self.size.bytes is None:
            raise ValueError("size must be a number of bytes; a share needs something that it is a share of")
        for key in self.growth:
            if key not in _GROWING:
                raise ValueError(f"growth {unknown_key(key, _GROWING)}")
        if not any(
            (
                self.size,
                self.efficiency is not None,
                self.compressed,
                self.categories,
                self.layers,
                self.sparsity,
                self.growth,
            )
        ):
            raise ValueError(f"asks nothing; it may have {', '.join(self.__struct_fields__)}")


class Lock(Struct, frozen=True):
    """The sizes of an artifact when its lock was written."""

    schema: Literal["modelinspect.lock/1"]
    size: _Size
    categories: dict[str, _Size] = {}
    compressed: dict[str, _Size] = {}


def read_budget(path: Path) -> Budget:
    """Read a budget. Raises `UsageError`, also for keys that it cannot have and limits below zero."""
    return make_budget(read_toml(path), str(path))


def make_budget(value: Mapping[str, Any], name: str = "the budget") -> Budget:
    """Make a budget of a table. Raises `UsageError`."""
    return decode(value, Budget, name, make_limit)


def read_lock(path: Path) -> Lock:
    """Read a lock. Raises `UsageError`."""
    if not path.is_file():
        raise UsageError(
            f"{path}: is missing, and growth is measured against it; write it with --update-lock"
        )
    try:
        return msgspec.json.decode(read_settings_text(path), type=Lock)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is not a lock: {error}; write it again with --update-lock") from error


def lock_text(size: int, categories: Mapping[str, int], compressed: Mapping[str, int]) -> str:
    """Return a lock as it is written: the same for the same sizes."""
    lock = Lock("modelinspect.lock/1", size, dict(categories), dict(sorted(compressed.items())))
    return msgspec.json.format(msgspec.json.encode(lock), indent=2).decode() + "\n"


def make_limit(kind: type, value: object) -> Amount | Share:
    """Decode a limit; `ValueError` says how one is written."""
    return _share(value) if kind is Share else _amount(value)


def _amount(value: object) -> Amount:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Amount(bytes=value)
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        negative = not isinstance(value, bool) and str(value).strip().startswith("-")
        raise ValueError(
            "a limit cannot be negative"
            if negative
            else "write bytes, 1.5 MB, 300 KiB, or a share such as 10 %"
        )
    number = float(match[1].replace("_", "").replace(",", ""))
    return (
        Amount(share=number / 100)
        if match[2] == "%"
        else Amount(bytes=int(number * _UNITS[match[2].upper()]))
    )


def _share(value: object) -> Share:
    if isinstance(value, str) and value.strip().endswith("%"):
        value = _amount(value).share
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("it is a share from 0 to 1, or from 0 % to 100 %")
    return Share(value)


_INDEX = ".index"
_ROOM = 1.05
_KEPT_DIGITS = 3


class _ModelBudget(Budget, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the models that a path pattern names may take, each of them."""

    path: Annotated[str, Meta(min_length=1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lock:
            raise ValueError("lock is for all models: write it before the first [[models]]")


class _ModelsBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits for several models; patterns are relative to the folder of the file."""

    models: Annotated[tuple[_ModelBudget, ...], Meta(min_length=1)]
    lock: str = ""


class _Sizes(Struct, frozen=True):
    size: _Size
    categories: dict[str, _Size] = {}
    compressed: dict[str, _Size] = {}


class _ModelsLock(Struct, frozen=True):
    schema: Literal["modelinspect.lock/2"]
    models: dict[str, _Sizes]


def read_models(path: Path) -> _ModelsBudget | None:
    """Return a budget of several models, None where the file is one of a single model.

    Raises `UsageError`.
    """
    table = read_toml(path)
    return decode(table, _ModelsBudget, str(path), make_limit) if "models" in table else None


def models_lock_path(path: Path, budget: _ModelsBudget) -> Path:
    """Return where the lock of all models is: where the budget says, or beside it."""
    return path.parent / budget.lock if budget.lock else path.with_suffix(".lock")


def find_models(folder: Path, pattern: str) -> list[str]:
    """Return what a pattern names, sorted and relative to the folder: files, folders, or prefixes of
    checkpoints.
    """
    found = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not found:
        found = [
            name.removesuffix(_INDEX)
            for name in glob.glob(pattern + _INDEX, root_dir=folder, recursive=True)  # noqa: PTH207
        ]
    return sorted(Path(name).as_posix() for name in found)


def read_models_lock(path: Path) -> dict[str, Lock]:
    """Return the sizes of every locked model, by its path. Raises `UsageError`."""
    if not path.is_file():
        raise UsageError(
            f"{path}: is missing, and growth is measured against it; write it with --update-lock"
        )
    try:
        lock = msgspec.json.decode(read_settings_text(path), type=_ModelsLock)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f"{path}: is not a lock of several models: {error}; write it again with --update-lock"
        ) from error
    return {
        name: Lock("modelinspect.lock/1", one.size, one.categories, one.compressed)
        for name, one in lock.models.items()
    }


def models_lock_text(models: Mapping[str, Lock]) -> str:
    """Return a lock of several models as it is written: sorted, the same for the same sizes."""
    sizes = {
        name: _Sizes(one.size, dict(one.categories), dict(sorted(one.compressed.items())))
        for name, one in sorted(models.items())
    }
    return (
        msgspec.json.format(msgspec.json.encode(_ModelsLock("modelinspect.lock/2", sizes)), indent=2).decode()
        + "\n"
    )


def budget_text(sizes: Iterable[tuple[str, int]]) -> str:
    """Return a budget for models of today's sizes: 5 % of room, and growth of 1 % since the lock.

    Raises `UsageError`.
    """
    parts = [
        "# Written by `modelinspect check --init` from the sizes of that day; change the limits as you"
        " like.\n"
    ]
    for name, size in sizes:
        parts.append(
            f"\n[[models]]\npath = {_quoted(glob.escape(name))}\nsize = {_rounded_up(int(size * _ROOM)):_}"
            f'  # {size:,} bytes ({short_size(size)}) when this was written\ngrowth = {{ size = "1 %" }}\n'
        )
    return "".join(parts)


def relative(location: str | os.PathLike[str], folder: Path) -> str:
    """Return a location as patterns name it: relative to the folder of the budget, with slashes."""
    return Path(os.path.relpath(location, folder)).as_posix()


def _rounded_up(size: int) -> int:
    unit: int = 10 ** max(len(str(size)) - _KEPT_DIGITS, 0)
    return -(-size // unit) * unit


def _quoted(text: str) -> str:
    """Return a TOML string. Raises `UsageError` for names that are not Unicode, which TOML cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!a}: a name that is not Unicode cannot be in a budget") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
