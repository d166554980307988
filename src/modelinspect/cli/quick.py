"""Read a plain command line without Typer, whose import takes longer than a small inspection.

Typer is what defines the command line: help, errors, completion and everything unusual. This reader knows
only the plain forms (``--name value``, ``--name=value``, ``-n value``, flags, arguments) with values that are
certainly right. For anything else it answers None, and Typer reads the line. Where it answers, it answers as
Typer does: a test compares the two.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from modelinspect.cli.commands import COMMANDS, DEFAULT, module_name
from modelinspect.cli.parameters import Argument, BadValueError, Option, Parameter, declared

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


class _UnusualError(Exception):
    """A line that Typer should read."""


def plain_command(arguments: Sequence[str]) -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """Return the function of a command and its values, None where Typer should read the line."""
    if not arguments:
        return None
    name, *rest = arguments
    if name not in COMMANDS:
        if name.startswith("-") or not Path(name).exists():
            return None
        name, rest = DEFAULT, list(arguments)
    if not rest:
        return None
    function: Callable[..., Any] = import_module(module_name(name)).command
    try:
        return function, values_of(function, rest)
    except (_UnusualError, BadValueError):
        return None


def values_of(function: Callable[..., Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values of the parameters. Raises an error where the line is not plain."""
    values: dict[str, Any] = {}
    options: dict[str, _Named] = {}
    places: list[_Named] = []
    required: set[str] = set()
    for parameter, kind, info in declared(function):
        if parameter.default is inspect.Parameter.empty:
            required.add(parameter.name)
        else:
            values[parameter.name] = parameter.default
        if isinstance(info, Argument):
            places.append(_Named(parameter.name, _without_none(kind), info))
        elif isinstance(info, Option):
            for written in info.names or (f"--{parameter.name.replace('_', '-')}",):
                yes, _, no = written.partition("/")
                options[yes] = _Named(parameter.name, _without_none(kind), info)
                if no:
                    options[no] = _Named(parameter.name, _without_none(kind), info, positive=False)
        else:
            raise _UnusualError
    named, texts = _read_options(arguments, options)
    values |= named | _read_places(texts, places)
    if not required <= values.keys():
        raise _UnusualError
    return values


class _Named:
    """A parameter: its name and type, and whether an option without a value means yes."""

    __slots__ = ("info", "kind", "name", "positive")

    def __init__(self, name: str, kind: Any, info: Parameter, *, positive: bool = True) -> None:
        self.name = name
        self.kind = kind
        self.info = info
        self.positive = positive


def _read_options(
    arguments: Sequence[str], options: Mapping[str, _Named]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values of the options that are given, and the other arguments."""
    values: dict[str, Any] = {}
    texts: list[str] = []
    line = iter(arguments)
    for text in line:
        if text == "-" or not text.startswith("-"):
            texts.append(text)
            continue
        written, equals, value = text.partition("=") if text.startswith("--") else (text, "", "")
        option = options.get(written)
        if option is None:
            raise _UnusualError
        several = get_origin(option.kind) is list
        if (option.name in values and not several) or (option.kind is bool and equals):
            raise _UnusualError
        if option.kind is bool:
            values[option.name] = option.positive
            continue
        if not equals:
            value = next(line, "--")
            if value.startswith("-") and value != "-":
                raise _UnusualError
        if several:
            values[option.name] = [
                *values.get(option.name, ()),
                _value(get_args(option.kind)[0], option.info, value),
            ]
        else:
            values[option.name] = _value(option.kind, option.info, value)
    return values, texts


def _read_places(texts: Sequence[str], places: Iterable[_Named]) -> dict[str, Any]:
    """Return the values of the arguments in their order; one that may be repeated has all that are left."""
    values: dict[str, Any] = {}
    left = list(texts)
    for place in places:
        if get_origin(place.kind) is list:
            if left:
                values[place.name] = [_value(get_args(place.kind)[0], place.info, text) for text in left]
                left = []
        elif left:
            values[place.name] = _value(place.kind, place.info, left.pop(0))
    if left:
        raise _UnusualError
    return values


def _without_none(kind: Any) -> Any:
    """Return the type of a value that is given, for a parameter that may be None."""
    if isinstance(kind, UnionType):
        kinds = [each for each in get_args(kind) if each is not NoneType]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


def _value(kind: Any, info: Parameter, text: str) -> Any:
    """Return a value of a type. Raises an error where the text is not certainly one."""
    if not text:
        raise _UnusualError
    if info.parser is not None:
        return info.parser(text)
    if kind is str:
        return text
    if kind is Path:
        return Path(text)
    if kind is int and _INTEGER.fullmatch(text):
        number = int(text)
        if (info.min is None or number >= info.min) and (info.max is None or number <= info.max):
            return number
    if kind is float and _NUMBER.fullmatch(text):
        return float(text)
    if isinstance(kind, type) and issubclass(kind, Enum) and text in [each.value for each in kind]:
        return kind(text)
    raise _UnusualError
