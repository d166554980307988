"""Reads ``[tool.modelinspect]`` of the nearest pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelinspect.errors import UsageError
from modelinspect.reports.wording import did_you_mean

_LINT = {"select": list, "ignore": list, "fail-on": str}
_CHECK = {"budget": str}
_SIZE = 4 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project wants unless the command line says otherwise; ``folder`` is where its pyproject.toml is."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str | None = None
    budget: str | None = None
    folder: Path = Path()


def read_settings(start: Path) -> Settings:
    """Return the settings of the nearest folder upward that has some. Raises `UsageError` for a key that is none."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _settings(table, path)
    return Settings()


def _table(path: Path) -> Mapping[str, object] | None:
    """Return the table, None where the file has none."""
    try:
        if path.stat().st_size > _SIZE:
            return None
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    tool = value.get("tool")
    table = tool.get("modelinspect") if isinstance(tool, Mapping) else None
    if table is not None and not isinstance(table, Mapping):
        raise UsageError(f"{path}: tool.modelinspect must be a table")
    return table


def _settings(table: Mapping[str, object], path: Path) -> Settings:
    lint = _inner(table, "lint", path)
    check = _inner(table, "check", path)
    top = {key: value for key, value in table.items() if key not in ("lint", "check")}
    _require(top, {**_LINT, **_CHECK}, "tool.modelinspect", path, ("lint", "check"))
    _require(lint, _LINT, "tool.modelinspect.lint", path)
    _require(check, _CHECK, "tool.modelinspect.check", path)
    found = {**top, **lint, **check}
    return Settings(
        select=_names(found.get("select")),
        ignore=_names(found.get("ignore")),
        fail_on=_text(found.get("fail-on")),
        budget=_text(found.get("budget")),
        folder=path.parent,
    )


def _inner(table: Mapping[str, object], key: str, path: Path) -> Mapping[str, object]:
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise UsageError(f"{path}: tool.modelinspect.{key} must be a table")
    return value


def _require(table: Mapping[str, object], keys: Mapping[str, type], where: str, path: Path, more: tuple[str, ...] = ()) -> None:
    for key, value in table.items():
        kind = keys.get(key)
        if kind is None:
            raise UsageError(f"{path}: {where} has no key {key!r}" + did_you_mean(key, [*keys, *more]))
        if not isinstance(value, kind) or (isinstance(value, list) and not all(isinstance(item, str) for item in value)):
            raise UsageError(f"{path}: {where}.{key} must be {'a list of rules' if kind is list else 'text'}")


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
