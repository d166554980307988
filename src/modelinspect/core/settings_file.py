"""Decode the settings files that people write: budgets, a project's table, a study's recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import EnumType
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import fields

from modelinspect.core.suggestions import did_you_mean
from modelinspect.errors import UsageError

Hook = Callable[[type, Any], Any]
"""Makes a value of a type that msgspec does not know; raises `ValueError` that says what to write instead."""

_LARGEST = 4 << 20
_T = TypeVar("_T")


class _Fault(NamedTuple):
    where: str
    problem: str


def read_settings_text(path: Path) -> str:
    """Return the text of a settings file.

    Raises `UsageError` where it is not there, not text, or over 4 MiB.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: is too large for a settings file")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read: it is not text in UTF-8") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table of a TOML file. Raises `UsageError`."""
    import tomllib  # most runs have no settings

    text = read_settings_text(path)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error


def decode(value: object, kind: type[_T], name: str, hook: Hook | None = None, at: str = "") -> _T:
    """Convert plain values into a `msgspec.Struct` that forbids unknown fields.

    ``at`` is the key under which the value is, where it is not the whole file. Raises `UsageError`, which
    names the file, the key and what is wrong there.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        fault = _find(value, kind, at, hook) or _Fault(at, str(error))
        raise UsageError(
            f"{name}: {fault.where} {fault.problem}" if fault.where else f"{name}: {fault.problem}"
        ) from error


def unknown_key(key: object, known: Sequence[str]) -> str:
    """Say that a table has no such key, and which one may be meant."""
    others = f"; it may have {', '.join(known)}" if known else ""
    return f"has no key {key!r}{did_you_mean(str(key), known) or others}"


def _find(value: object, kind: Any, where: str, hook: Hook | None) -> _Fault | None:
    """Return the innermost place at which a value does not fit its type."""
    kind = _without_none(kind)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _find_in_struct(value, kind, where, hook)
    if origin is dict:
        keys, items = get_args(kind)
        return _find_in_table(value, keys, items, where, hook)
    if origin is tuple and get_args(kind)[-1] is Ellipsis:
        if not isinstance(value, list | tuple):
            return _Fault(where, "must be an array")
        faults = (
            _find(item, get_args(kind)[0], f"{where}[{index}]", hook) for index, item in enumerate(value)
        )
        return next(filter(None, faults), None)
    problem = _problem(value, kind, hook)
    return _Fault(where, f"is {_shown(value)}; {problem[:1].lower()}{problem[1:]}") if problem else None


def _find_in_struct(
    value: object, kind: type[msgspec.Struct], where: str, hook: Hook | None
) -> _Fault | None:
    if not isinstance(value, Mapping):
        return _Fault(where, "must be a table")
    kinds = {field.encode_name: field for field in fields(kind)}
    for key, item in value.items():
        if key not in kinds:
            return _Fault(where, unknown_key(key, list(kinds)))
        fault = _find(item, kinds[key].type, _below(where, key), hook)
        if fault is not None:
            return fault
    missing = [key for key, field in kinds.items() if field.required and key not in value]
    if missing:
        return _Fault(where, f"needs {', '.join(missing)}")
    problem = _problem(value, kind, hook)
    return _Fault(where, problem) if problem else None


def _find_in_table(value: object, keys: Any, kind: Any, where: str, hook: Hook | None) -> _Fault | None:
    if not isinstance(value, Mapping):
        return _Fault(where, "must be a table")
    for key, item in value.items():
        if _problem(key, keys, hook):
            return _Fault(where, unknown_key(key, [str(choice) for choice in _choices(keys)]))
        fault = _find(item, kind, _below(where, key), hook)
        if fault is not None:
            return fault
    return None


def _problem(value: object, kind: Any, hook: Hook | None) -> str:
    try:
        msgspec.convert(value, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _without_none(kind: Any) -> Any:
    """Return the type that a setting has where it is given."""
    if get_origin(kind) in (Union, UnionType):
        given = [one for one in get_args(kind) if one not in (NoneType, msgspec.UnsetType)]
        return given[0] if len(given) == 1 else kind
    return kind


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return what a key may be: the members of an enum, or the values of a Literal."""
    return tuple(kind) if isinstance(kind, EnumType) else get_args(kind)


def _below(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
