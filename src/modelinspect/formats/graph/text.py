"""Claim the bytes of a graph in the text form of protocol buffers.

Each run of text belongs to what is in it: a node, one of its attributes, a signature. Spaces and comments
belong to what is before them. The facts come from the protobuf package's own reading, where the text is not
too long for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Facts
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.protobuf import MessageType, message, message_class
from modelinspect.encodings.protobuf.text import Token, TokenKind, skip_space, tokens, unquote
from modelinspect.encodings.protobuf.wire import NESTING
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.graph.facts import graph_facts
from modelinspect.formats.graph.layout import LAYOUT, RUNS, Label, Step
from modelinspect.formats.graph.messages import MessageWalk
from modelinspect.formats.graph.text_constants import Found, TextConstants
from modelinspect.formats.graph.uses import GraphUses
from modelinspect.sources.files import MemoryFiles

TEXT_FACTS_SIZE = 1 << 20
"""Longer texts are mapped, but their facts are not read."""
_STRING = rb"\s*:?\s*(\"(?:[^\"\\]|\\.){0,4096}\"|'(?:[^'\\]|\\.){0,4096}')"
_NAMES = {
    "name": re.compile(rb"name" + _STRING),
    "key": re.compile(rb"key" + _STRING),
    "signature": re.compile(rb"signature\s*:?\s*[{<]\s*name" + _STRING),
}
_CLOSING = {"{": "}", "<": ">"}


def parse_text(
    site: Site, type_: MessageType, kind: RegionKind, layers: Mapping[int, str]
) -> tuple[Facts, GraphUses]:
    """Claim the whole source as one message in text form; return its facts, and the nodes that say what its
    constants are for.
    """
    limits = site.limits
    limits.allow("the text", site.source.size, limits.structure_size, site.source.name)
    data = site.source.read_at(0, site.source.size)
    try:
        _TextWalk(site, data).walk(type_, kind)
    except FormatError as error:
        site.survive(error)
        return {}, GraphUses()
    return _facts(data, type_, layers) if len(data) <= TEXT_FACTS_SIZE else ({}, GraphUses())


@dataclass(slots=True)
class _Frame:
    """An open message: its type where known, what closes it, and whether its fields have their own regions.

    ``listed`` is the field whose list it is an element of.
    """

    type: MessageType | None
    closing: str
    path: PathId
    kind: RegionKind
    is_open: bool
    listed: str
    counts: dict[str, int]


class _TextWalk:
    """Goes through the tokens with a stack of open messages; a region ends where the owner of the text
    changes.
    """

    def __init__(self, site: Site, data: bytes) -> None:
        self._site = site
        self._data = data
        self._claims = site.claims
        self._tokens = tokens(data, site.source.name)
        self._back: Token | None = None
        self._from = 0
        self._start = 0
        self._kind = RegionKind.CONTAINER
        self._path = site.claims.root
        self._constants = TextConstants(site, data)
        self._holes: list[Found] = []

    def walk(self, type_: MessageType, kind: RegionKind) -> None:
        """Claim the text. Raises `FormatError` where it breaks off; what is before is claimed."""
        frames = [_Frame(type_, "", self._claims.root, kind, True, "", {})]
        place = 0
        try:
            while (token := self._next()) is not None:
                place = token.offset
                frame = frames[-1]
                if token.kind is TokenKind.CLOSE:
                    if token.text != frame.closing:
                        raise self._error(token, f"{token.text} closes nothing")
                    frames.pop()
                    self._holes += self._constants.closed(frame, token.offset)
                    if frame.is_open:
                        self._switch(token.offset, RegionKind.CONTAINER, frame.path)
                    if frame.listed:
                        self._list(frames, frame.listed)
                elif token.kind is TokenKind.NAME or token.text == "[":
                    self._field(frames, token)
                elif token.text not in (",", ";"):
                    raise self._error(token, f"{token.text[:20]} is where a field should begin")
                if len(frames) > NESTING:
                    raise self._error(token, f"messages nest deeper than {NESTING} levels")
            if len(frames) > 1:
                raise FormatError("a message does not end", self._site.source.name, len(self._data))
        except FormatError:
            self._switch(place, RegionKind.CONTAINER, self._claims.root)
            raise
        self._switch(len(self._data), RegionKind.CONTAINER, self._claims.root)

    def _field(self, frames: list[_Frame], token: Token) -> None:
        """Take a field's name and what follows it, up to the end of a scalar or the beginning of a
        message.
        """
        name = token.text
        while token.text == "[" or (name.startswith("[") and token.text != "]"):
            token = self._must(token)
        frame = frames[-1]
        if frame.is_open:
            known = None if frame.type is None else frame.type.by_name.get(name)
            word = name if known is not None else f"field {name}"
            is_node = frame.type is not None and frame.type.name == "tensorflow.NodeDef"
            self._start = token.offset
            self._switch(
                token.offset,
                frame.kind,
                frame.path if is_node else self._claims.paths.child(frame.path, word),
            )
        value = self._must(token)
        if value.text == ":":
            value = self._must(value)
        if value.kind is TokenKind.OPEN:
            frames.append(self._message(frame, name, value, ""))
        elif value.text == "[":
            end = self._list(frames, name, value)
            self._constants.value(frame, name, token.offset, value.offset, end)
        else:
            end = self._scalar(value)
            self._constants.value(frame, name, token.offset, value.offset, end)

    def _list(self, frames: list[_Frame], name: str, opening: Token | None = None) -> int:
        """Go on in a list of values, after its bracket or after one of its messages; return where it ends, or
        the next message begins.
        """
        while True:
            token = self._next()
            if token is None:
                raise FormatError("a list does not end", self._site.source.name, len(self._data))
            if token.text == "]":
                return token.end
            if token.kind is TokenKind.OPEN:
                frames.append(self._message(frames[-1], name, token, name))
                return token.offset
            if token.text != ",":
                self._scalar(token)

    def _scalar(self, token: Token) -> int:
        """Pass a value, a string in pieces as well, and return where it ends."""
        if token.text == "-":
            token = self._must(token)
        if token.kind not in (TokenKind.NAME, TokenKind.NUMBER, TokenKind.STRING):
            raise self._error(token, f"{token.text[:20]} is where a value should")
        while token.kind is TokenKind.STRING:
            following = self._next()
            if following is None:
                return token.end
            if following.kind is not TokenKind.STRING:
                self._back = following
                return token.end
            token = following
        return token.end

    def _message(self, frame: _Frame, name: str, token: Token, listed: str) -> _Frame:
        """Begin a message; ``token`` is its bracket."""
        opened = self._open(frame, name, token, listed)
        if opened.type is not None:
            self._constants.opened(
                opened, opened.type.name, self._name(opened.type, token.end) or "", token.end
            )
        return opened

    def _open(self, frame: _Frame, name: str, token: Token, listed: str) -> _Frame:
        closing = _CLOSING[token.text]
        known = None if frame.type is None else frame.type.by_name.get(name)
        type_ = None if known is None else known.message
        if not frame.is_open or known is None or type_ is None or frame.type is None:
            return _Frame(type_, closing, frame.path, frame.kind, False, listed, {})
        label = LAYOUT.get(frame.type.name, {}).get(name) or Label(frame.kind)
        count = frame.counts[name] = frame.counts.get(name, -1) + 1
        paths = self._claims.paths
        here = paths.child(frame.path, name)
        own = self._name(type_, token.end)
        if frame.type.name == "tensorflow.NodeDef" and name == "attr":
            here = paths.add(frame.path, f"attr {own or ''}")
        elif frame.type.name == "tensorflow.FunctionDef" and name in RUNS.values():
            pass
        elif known.repeated and own is not None:
            here = paths.add(here, own)
        elif known.repeated:
            here = paths.add(frame.path, f"{name}[{count}]")
        is_open = label.step is not Step.CLAIM
        start = (
            token.offset if listed and count else self._start
        )  # the field's name belongs to the first of a list
        self._switch(start, RegionKind.CONTAINER if is_open else label.kind, here)
        return _Frame(type_, closing, here, label.kind, is_open, listed, {})

    def _name(self, type_: MessageType, place: int) -> str | None:
        """Return the name that a message begins with, for its path."""
        first = type_.fields.get(1)
        if first is None or first.name not in _NAMES:
            return None
        found = _NAMES[first.name].match(self._data, skip_space(self._data, place))
        return None if found is None else unquote(found[1]).decode(errors="replace")

    def _switch(self, offset: int, kind: RegionKind, path: PathId) -> None:
        """Give what is before ``offset`` to its owner; what follows has another."""
        if (kind, path) != (self._kind, self._path):
            if offset > self._from:
                self._claim(offset)
            self._kind, self._path = kind, path
        if offset == len(self._data) or self._from == 0 == offset:
            self._claim(offset)

    def _claim(self, offset: int) -> None:
        """Claim the text up to ``offset``, and the elements of constants in it for these."""
        for begin, end, kind, tensor in self._holes:
            self._claims.claim(self._from, begin - self._from, self._kind, self._path)
            self._claims.claim(begin, end - begin, kind, self._path, tensor)
            self._from = end
        self._holes.clear()
        self._claims.claim(self._from, offset - self._from, self._kind, self._path)
        self._from = offset

    def _next(self) -> Token | None:
        token, self._back = self._back, None
        return next(self._tokens, None) if token is None else token

    def _must(self, before: Token) -> Token:
        token = self._next()
        if token is None:
            raise self._error(before, "the text ends within a field")
        return token

    def _error(self, token: Token, problem: str) -> FormatError:
        return FormatError(problem, self._site.source.name, token.offset)


def _facts(data: bytes, type_: MessageType, layers: Mapping[int, str]) -> tuple[Facts, GraphUses]:
    """Read the text with the protobuf package and walk the binary form of what it says."""
    from google.protobuf import text_format

    parsed = message_class(type_.name)()
    try:
        text_format.Parse(data, parsed, allow_unknown_field=True)
        binary = parsed.SerializeToString()
    except (text_format.ParseError, ValueError, RecursionError, OverflowError):
        return {}, GraphUses()
    scratch = Parsing(MemoryFiles({"text": binary}))
    walk = MessageWalk(scratch.open("text"))
    walk.root(message(type_.name), RegionKind.METADATA)
    return graph_facts(walk, layers, has_places=False), walk.nodes.uses
