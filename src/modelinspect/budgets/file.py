"""Read a budget, and the lock that growth is measured against.

Whatever is wrong with them is a `UsageError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from modelinspect.core.settings_file import decode, read_settings_text, read_toml, unknown_key
from modelinspect.errors import UsageError
from modelinspect.measure.compressors import Compressor
from modelinspect.reports.categories import Category

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
