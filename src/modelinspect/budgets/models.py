"""Read a budget of several models, find the models that its patterns name, and write both files from today's
sizes.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from modelinspect.budgets.file import Budget, Lock, make_limit
from modelinspect.core.settings_file import decode, read_settings_text, read_toml
from modelinspect.errors import UsageError
from modelinspect.reports.wording import short_size

_INDEX = ".index"
_ROOM = 1.05
_KEPT_DIGITS = 3
_Size = Annotated[int, Meta(ge=0)]


class ModelBudget(Budget, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the models that a path pattern names may take, each of them."""

    path: Annotated[str, Meta(min_length=1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lock:
            raise ValueError("lock is for all models: write it before the first [[models]]")


class ModelsBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits for several models; patterns are relative to the folder of the file."""

    models: Annotated[tuple[ModelBudget, ...], Meta(min_length=1)]
    lock: str = ""


class _Sizes(Struct, frozen=True):
    size: _Size
    categories: dict[str, _Size] = {}
    compressed: dict[str, _Size] = {}


class _ModelsLock(Struct, frozen=True):
    schema: Literal["modelinspect.lock/2"]
    models: dict[str, _Sizes]


def read_models(path: Path) -> ModelsBudget | None:
    """Return a budget of several models, None where the file is one of a single model.

    Raises `UsageError`.
    """
    table = read_toml(path)
    return decode(table, ModelsBudget, str(path), make_limit) if "models" in table else None


def models_lock_path(path: Path, budget: ModelsBudget) -> Path:
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
