"""What every report offers: itself as data, as blocks to look at, and as one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from modelinspect.reports.blocks import Block, Table
from modelinspect.reports.pictures import Picture

_ENCODER = json.JSONEncoder(allow_nan=False)
_LEAST, _MOST = 1e-4, 1e15
"""Numbers between these have no exponent in JSON, whichever library writes them."""


class Report(Protocol):
    """What an analysis says.

    A renderer needs nothing but these methods, so it draws every report, also those to come.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values: exactly the object that ``--format json`` writes."""

    def json_lines(self) -> Iterator[str]:
        """Yield the lines of the report's JSON: a line for each key, and for each object in a list."""

    def blocks(self, top: int | None = None) -> Iterator[Block]:
        """Yield what a person should see, in order; long tables show ``top`` rows and the sum of the rest."""

    def table(self) -> Table:
        """Return the one table that a spreadsheet should get, complete."""

    def pictures(self) -> Iterator[Picture]:
        """Yield what a page draws beside the blocks; nothing that is not reported as numbers too."""


class Notebook:
    """How a notebook and ``print`` show a report: a layer above sets it, as reports know no renderer."""

    draw: Callable[[Any], str | None] | None = None
    write: Callable[[Any], str] | None = None


class StructReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema"):
    """A report whose fields are its JSON; ``schema`` names the form and its version."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        plain: dict[str, Any] = _with_lists(msgspec.to_builtins(self))
        return plain

    def json_lines(self) -> Iterator[str]:
        """Yield the lines of the report's JSON; the objects of long lists are made one at a time."""
        config = self.__struct_config__
        plain: dict[str, Any] = {str(config.tag_field): config.tag}
        rows: dict[str, Iterator[str]] = {}
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
                rows[field.encode_name] = map(_encoded, value)
                value = None
            plain[field.encode_name] = _with_lists(msgspec.to_builtins(value))
        return json_lines(plain, rows)

    def pictures(self) -> Iterator[Picture]:
        """Yield what a page draws beside the blocks: nothing, unless the report has something to draw."""
        yield from ()

    def to_arrow(self: Report) -> Any:
        """Return the report's table, complete, as a `pyarrow.Table`. Raises `MissingExtraError`."""
        from modelinspect.reports.frames import arrow_table

        return arrow_table(self.table())

    def to_pandas(self: Report) -> Any:
        """Return the report's table, complete, as a `pandas.DataFrame`. Raises `MissingExtraError`."""
        from modelinspect.reports.frames import data_frame

        return data_frame(self.table())

    def __str__(self) -> str:
        """Return the report as terminal text; its fields where no renderer is set."""
        return repr(self) if Notebook.write is None else Notebook.write(self)

    def _repr_html_(self) -> str | None:
        """Return the report as a notebook shows it, None where that is not available."""
        return None if Notebook.draw is None else Notebook.draw(self)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An object within a report."""

    def to_json(self) -> str:
        """Return the object as one line of JSON."""
        return encode(msgspec.to_builtins(self))


def json_lines(value: Mapping[str, Any], rows: Mapping[str, Iterator[str]] | None = None) -> Iterator[str]:
    """Yield an object as lines; ``rows`` are the encoded items of lists too long to hold, by key."""
    yield "{"
    keys = list(value)
    for key in keys:
        comma = "," if key != keys[-1] else ""
        name = encode(key)
        item = value[key]
        if rows is not None and key in rows:
            yield f"  {name}: ["
            yield from _joined(rows[key])
            yield f"  ]{comma}"
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            yield f"  {name}: ["
            yield from _joined(encode(entry) for entry in item)
            yield f"  ]{comma}"
        elif isinstance(item, dict) and item:
            yield f"  {name}: {{"
            yield from _joined(f"{encode(inner)}: {encode(entry)}" for inner, entry in item.items())
            yield f"  }}{comma}"
        else:
            yield f"  {name}: {encode(item)}{comma}"
    yield "}"


def encode(value: object) -> str:
    """Return a plain value as JSON in ASCII, so names with broken Unicode pass too."""
    return _ENCODER.encode(value)


def encode_quickly(part: msgspec.Struct, *numbers: float | None) -> str:
    """Return what `encode` makes of a part, for one of which there may be 100,000; ``numbers`` are all its
    values that are not whole.

    Strings that JSON in ASCII escapes and numbers with an exponent take the other way: libraries write them
    in different forms.
    """
    for number in numbers:
        if number and not _LEAST <= abs(number) < _MOST:
            return encode(msgspec.to_builtins(part))
    try:
        text = msgspec.json.encode(part)
    except UnicodeEncodeError:  # half of a surrogate pair
        return encode(msgspec.to_builtins(part))
    if text.isascii() and b"\x7f" not in text:
        return msgspec.json.format(text, indent=0).decode()
    return encode(msgspec.to_builtins(part))


def _encoded(part: msgspec.Struct) -> str:
    return part.to_json() if isinstance(part, Part) else encode(msgspec.to_builtins(part))


def _joined(entries: Iterator[str]) -> Iterator[str]:
    last: str | None = None
    for entry in entries:
        if last is not None:
            yield f"    {last},"
        last = entry
    if last is not None:
        yield f"    {last}"


def _with_lists(value: Any) -> Any:
    """Return plain values with lists for tuples, as JSON reads them back."""
    match value:
        case dict():
            return {key: _with_lists(item) for key, item in value.items()}
        case tuple() | list():
            return [_with_lists(item) for item in value]
        case _:
            return value
