"""Roll the rows of a ledger up by any keys; the rows still sum to the artifact's size.

The tree of a map's paths is in columns, so what depends on names is found once for each name and not for each
path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from modelinspect.core.bytemap import KINDS, NO_TENSOR
from modelinspect.core.paths import PathId, PathTable
from modelinspect.core.records import dataclass
from modelinspect.core.suggestions import did_you_mean
from modelinspect.core.tensors import Tensor
from modelinspect.errors import InvariantError, SelectionError
from modelinspect.ledger.attribution import Ledger
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.inspect import RollupRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER = re.compile(r"( (0x[0-9a-f]+|\d+)|\[\d+\])$")

_FIELDS = ("node", "function", "node_def", "op", "signature_def", "collection_def", "concrete_functions")
_BLOCKS = ("data block", "index block", "metaindex block")
_NAMED = frozenset((*_FIELDS, *_BLOCKS))
"""What holds many objects, fields of protocol buffers and blocks of a table: the part of a path after them is
the name of one.
"""
_BETWEEN = "snappy"
"""Stands between a block and the name of an entry."""
_WORDS = 4
_BLOCK = 1 << 18
_DENSE = 1 << 20
"""Numbers up to this much above their count are distinguished by counting."""


class Key(StrEnum):
    """What rows can be rolled up by; a structure is a path without the names and numbers of single
    objects.
    """

    CATEGORY = "category"
    MEMBER = "member"
    LAYER = "layer"
    TENSOR = "tensor"
    ROLE = "role"
    DTYPE = "dtype"
    KIND = "kind"
    PATH = "path"
    STRUCTURE = "structure"


def parse_keys(names: Sequence[str]) -> tuple[Key, ...]:
    """Return keys by their names, each once. Raises `SelectionError` for a name that is none."""
    keys: list[Key] = []
    for name in names:
        try:
            key = Key(name)
        except ValueError as error:
            meant = did_you_mean(name, Key)
            raise SelectionError(
                f"there is no key {name!r}{meant or '.'} Keys are {', '.join(Key)}"
            ) from error
        if key not in keys:
            keys.append(key)
    return tuple(keys)


def roll_up(ledger: Ledger, keys: Sequence[Key], top: int | None = None) -> tuple[RollupRow, ...]:
    """Return a row for each combination of the keys' values, largest first.

    A value is None where the key does not apply, such as the layer of a header. With ``top``, that many rows
    are kept and one more, without values, holds the rest.
    """
    columns = [_column(ledger, key) for key in keys]
    groups: NDArray[np.integer[Any]] = np.zeros(len(ledger.sizes), dtype=np.int32)
    for codes, _ in columns:
        bound = int(codes.max(initial=0)) + 1
        if bound * (int(groups.max(initial=0)) + 1) >= 1 << 31:
            groups = groups.astype(np.int64)
        groups *= groups.dtype.type(bound)
        groups += codes.astype(groups.dtype, copy=False)
        groups = _numbered(groups)[1]
    count = int(groups.max(initial=-1)) + 1
    sizes = np.zeros(count, dtype=np.int64)
    regions, first = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for begin in reversed(range(0, len(groups), _BLOCK)):  # where a place is given twice the last one holds
        block = groups[begin : begin + _BLOCK]
        np.add.at(sizes, block, ledger.sizes[begin : begin + _BLOCK])
        regions += np.bincount(block, minlength=count)
        first[block[::-1]] = np.arange(begin, begin + len(block))[::-1]
    rows = [
        RollupRow(
            values=tuple(values[int(codes[place])] for codes, values in columns),
            size=int(sizes[group]),
            rows=int(regions[group]),
        )
        for group, place in enumerate(first.tolist())
    ]
    rows.sort(key=lambda row: (-row.size, [value or "" for value in row.values or ()]))
    if top is not None and len(rows) > top:
        rest = rows[top:]
        rows[top:] = [
            RollupRow(
                values=None,
                size=sum(row.size for row in rest),
                rows=sum(row.rows for row in rest),
                merged=len(rest),
            )
        ]
    if sum(row.size for row in rows) != ledger.artifact.size:
        raise InvariantError(
            f"rows by {', '.join(keys)} do not sum to the {ledger.artifact.size:,} bytes of"
            f" {ledger.artifact.location}"
        )
    return tuple(rows)


def _numbered(values: NDArray[np.integer[Any]]) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Return the distinct values in order, and for each value its place among them; values are not below
    0.
    """
    bound = int(values.max(initial=-1)) + 1
    if bound > len(values) + _DENSE:
        found, places = np.unique(values, return_inverse=True)
        return found, places
    is_there = np.zeros(bound, dtype=np.bool_)  # values are few: to mark them needs no order
    is_there[values] = True
    found = np.flatnonzero(is_there)
    numbers = np.zeros(bound, dtype=np.int32)
    numbers[found] = np.arange(len(found))
    return found, numbers[values]


def _column(ledger: Ledger, key: Key) -> tuple[NDArray[np.integer[Any]], list[str | None]]:
    """Return a code for each row and the value that each code stands for."""
    match key:
        case Key.CATEGORY:
            return ledger.categories, [str(category) for category in CATEGORIES]
        case Key.KIND:
            return ledger.kinds, [str(kind) for kind in KINDS]
        case Key.MEMBER:
            return ledger.members, [member.name for member in ledger.artifact.members]
        case Key.LAYER:
            return _by_tensor(ledger, [tensor.layer for tensor in ledger.artifact.tensors])
        case Key.TENSOR:
            return _by_tensor(ledger, _tensor_names(ledger.artifact.tensors))
        case Key.ROLE:
            return _by_tensor(ledger, [str(tensor.role) for tensor in ledger.artifact.tensors])
        case Key.DTYPE:
            return _by_tensor(ledger, [tensor.dtype.name for tensor in ledger.artifact.tensors])
        case Key.PATH:
            return _by_path(ledger, " / ".join)
        case Key.STRUCTURE:
            return _by_structure(ledger)
        case _:
            assert_never(key)


def _tensor_names(tensors: Sequence[Tensor]) -> list[str | None]:
    """Return the tensors' names, each with its path where several have it."""
    times = Counter(tensor.name for tensor in tensors)
    return [
        tensor.name if times[tensor.name] == 1 else f"{tensor.name} ({tensor.path})" for tensor in tensors
    ]


def _by_tensor(ledger: Ledger, values: list[str | None]) -> tuple[NDArray[np.int64], list[str | None]]:
    names: dict[str | None, int] = {None: 0}
    of_tensor = np.array([names.setdefault(value, len(names)) for value in values] or [0], dtype=np.int64)
    codes = np.where(ledger.tensors == NO_TENSOR, 0, of_tensor[np.maximum(ledger.tensors, 0)])
    return codes, list(names)


def structure(parts: tuple[str, ...]) -> str:
    """Return what kind of structure a path leads to: its first parts without the names and numbers of single
    objects.
    """
    words: list[str] = []
    named = False
    for part in parts:
        word = _NUMBER.sub("", part)
        between = named and part == _BETWEEN
        if between or not (named or part.startswith("/")):
            words.append(word)
        named = between or (not named and word in _NAMED)
        if len(words) == _WORDS:
            break
    return " / ".join(words) or (parts[-1] if parts else "")


def _by_path(
    ledger: Ledger, text: Callable[[tuple[str, ...]], str]
) -> tuple[NDArray[np.int64], list[str | None]]:
    names: dict[str | None, int] = {}
    codes = np.zeros(len(ledger.sizes), dtype=np.int64)
    for index, member in enumerate(ledger.artifact.members):
        rows = np.flatnonzero(ledger.members == index)
        paths, inverse = np.unique(ledger.paths[rows], return_inverse=True)
        table = member.map.path_table
        texts = [text(table.parts(PathId(path))) or None for path in paths.tolist()]
        codes[rows] = np.array(
            [names.setdefault(value, len(names)) for value in texts] or [0], dtype=np.int64
        )[inverse]
    return codes, list(names) or [None]


def _by_structure(ledger: Ledger) -> tuple[NDArray[np.int32], list[str | None]]:
    """Return the same as `structure` of each row's path, at the cost of one pass over the tables of paths."""
    names: dict[str | None, int] = {}
    codes = np.zeros(len(ledger.sizes), dtype=np.int32)
    for index, member in enumerate(ledger.artifact.members):
        structures, texts = structures_of(member.map.path_table)
        blocks = list(_rows(ledger, index))
        is_used = np.zeros(len(texts), dtype=np.bool_)
        for rows in blocks:
            is_used[structures[ledger.paths[rows]]] = True
        numbers = np.zeros(len(texts), dtype=np.int32)
        for number in np.flatnonzero(is_used).tolist():
            numbers[number] = names.setdefault(texts[number] or None, len(names))
        for rows in blocks:
            codes[rows] = numbers[structures[ledger.paths[rows]]]
    return codes, list(names) or [None]


def _rows(ledger: Ledger, member: int) -> Iterator[slice | NDArray[np.intp]]:
    """Yield the rows of a member in blocks, which bound the memory that goes through them takes."""
    for begin in range(0, len(ledger.sizes), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        if len(ledger.artifact.members) == 1:
            yield block
        else:
            found = np.flatnonzero(ledger.members[block] == member)
            if len(found):
                yield found + begin


def structures_of(table: PathTable, tree: PathTree | None = None) -> tuple[NDArray[np.int32], list[str]]:
    """Return for each path the number of its structure, and the structures' texts: what `structure` returns,
    for all paths.

    A path's words are its parent's and one more at most. Paths with the same words and the same place after a
    name are one state, and names that differ in a number are one word: what is known of one is known of all.
    """
    tree, states = tree or path_tree(table, of_objects=False), _States()
    kinds: dict[str, int] = {}
    of_names = np.array([kinds.setdefault(_kind(name), len(kinds)) for name in tree.names], dtype=np.int32)
    kind_names = list(kinds)
    of_paths = np.zeros(len(table), dtype=np.int32)
    wide = np.int32 if len(table) * len(kinds) < 1 << 31 else np.int64  # there are no more states than paths
    for level in tree.levels():
        for begin in range(0, len(level), _BLOCK):
            block = level[begin : begin + _BLOCK]
            pairs = of_paths[tree.parents[block]] * wide(len(kinds)) + of_names[tree.name_codes[block]]
            found, places = _numbered(pairs)
            below = [states.add(pair // len(kinds), kind_names[pair % len(kinds)]) for pair in found.tolist()]
            of_paths[block] = np.array(below, dtype=np.int32)[places]
    return np.array(states.codes, dtype=np.int32)[of_paths], states.texts


def _kind(name: str) -> str:
    """Return what of a name decides the state of a path: names of single objects count whole where nothing
    else is said.
    """
    return name if name.startswith("/") else _NUMBER.sub("", name)


class _States:
    """What the parts of a path come to: its words, its text, and whether the next part is the name of one
    object.
    """

    __slots__ = ("_named", "_numbers", "_states", "_words", "codes", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.codes: list[int] = []
        """The number of each state's text."""
        self._words: list[tuple[str, ...]] = []
        self._named: list[bool] = []
        self._numbers: dict[str, int] = {}
        self._states: dict[tuple[tuple[str, ...], bool, str], int] = {}
        self._state((), False, "")

    def add(self, above: int, name: str) -> int:
        """Return the state of a part below another; its number at the end does not count."""
        words, after_name = self._words[above], self._named[above]
        if len(words) == _WORDS:
            return self._state(words, False, self.texts[self.codes[above]])
        if after_name:
            words = (*words, name) if name == _BETWEEN else words
            return self._state(words, name == _BETWEEN, " / ".join(words))
        if not name.startswith("/"):
            words = (*words, name)
        return self._state(words, not name.startswith("/") and name in _NAMED, " / ".join(words) or name)

    def _state(self, words: tuple[str, ...], named: bool, text: str) -> int:
        state = self._states.get((words, named, text))
        if state is None:
            state = self._states[words, named, text] = len(self.codes)
            self._words.append(words)
            self._named.append(named)
            number = self._numbers.get(text)
            if number is None:
                number = self._numbers[text] = len(self.texts)
                self.texts.append(text)
            self.codes.append(number)
        return state


if TYPE_CHECKING:
    from numpy.typing import NDArray

_OBJECT = "\0"
"""Stands for the name of one object among many, which no structure says."""
_FEW_LEVELS = 32
"""So many levels are looked for one after another, which takes less memory than an order of all paths."""


@dataclass(frozen=True, slots=True)
class PathTree:
    """Paths by number: their parents, how many parts they have, and the place of their last part in
    ``names``.
    """

    names: list[str]
    name_codes: NDArray[np.int32]
    parents: NDArray[np.int32]
    depths: NDArray[np.int16] | NDArray[np.int32]

    def levels(self) -> Iterator[NDArray[np.int32]]:
        """Yield the paths of one part, of two parts and so on."""
        counts = np.bincount(self.depths)
        if len(counts) <= _FEW_LEVELS:
            for depth in range(1, len(counts)):
                yield np.flatnonzero(self.depths == depth).astype(np.int32)
            return
        order = np.argsort(self.depths, kind="stable").astype(np.int32)
        borders = np.cumsum(counts)
        for begin, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            yield order[begin:end]

    def ancestors(self, depth: int) -> NDArray[np.int32]:
        """Return for each path its ancestor of at most ``depth`` parts."""
        ancestors = np.arange(len(self.parents), dtype=np.int32)
        for level in self.levels():
            if len(level) and self.depths[level[0]] > depth:
                ancestors[level] = ancestors[self.parents[level]]
        return ancestors


def path_tree(table: PathTable, *, of_objects: bool = True) -> PathTree:
    """Return a table of paths as columns; without ``of_objects`` all names of objects are `_OBJECT`."""
    names: Iterable[str | None] = table.names if of_objects else table.names.plain
    known = {name: code for code, name in enumerate(dict.fromkeys(names))}
    codes = np.fromiter(map(known.__getitem__, names), dtype=np.int32, count=len(table))
    parents = np.array(table.parents, dtype=np.int32)
    return PathTree([_OBJECT if name is None else name for name in known], codes, parents, _depths(parents))


def _depths(parents: NDArray[np.int32]) -> NDArray[np.int16] | NDArray[np.int32]:
    """Return how many steps lead from each path to the root; each round doubles the steps that are known."""
    depths = np.ones(len(parents), dtype=np.int32)
    depths[0] = 0
    above = parents
    while above.any():
        depths += depths[above]
        above = above[above]
    return depths.astype(np.int16) if depths.max() < 1 << 15 else depths  # short numbers are sorted by digits
