"""Compare the bodies of functions: two are the same where they differ in only names."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from modelinspect.core.records import dataclass

ROUNDS = 4
"""How deep calls are followed: functions that differ only in what they call further down count as the
same.
"""
_SMALL, _KEPT = 1 << 13, 2_000
"""Bodies of up to so many bytes are compared with so many others before they are hashed."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a function does, as a hash, and the functions that it may call in order."""

    own: bytes
    callees: tuple[str, ...]


class Body:
    """What a function does, node by node, with names replaced by the order in which they come."""

    __slots__ = ("_callees", "_names", "_nodes", "arguments", "results")

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}
        self._nodes: list[tuple[bytes, list[bytes], bytes]] = []
        self._callees: list[str] = []
        self.arguments: list[bytes] = []
        self.results: list[bytes] = []

    def add(
        self, name: bytes, op: bytes, inputs: list[bytes], attributes: bytes, functions: tuple[str, ...]
    ) -> None:
        """Add the next node: its attributes without the functions that they name, and those."""
        self._names[name] = len(self._names)
        if functions:
            self._callees += functions
        self._nodes.append((op, inputs, attributes))

    def digest(self, known_ops: frozenset[bytes], hashes: Hashes) -> Digest:
        """Hash the body.

        An op that is not one of ``known_ops`` may be a function's name: it counts as a call.
        """
        arguments = {name: index for index, name in enumerate(self.arguments)}
        names = self._names
        parts: list[bytes] = []

        def reference(text: bytes) -> bytes:
            if text[:1] == b"^":
                control, text = b"^", text[1:]
            else:
                control = b""
            name, _, output = text.partition(b":")
            number = names.get(name)
            if number is not None:
                return b"%s#%d:%s" % (control, number, output)
            index = arguments.get(name)
            return b"%s$%d:%s" % (control, index, output) if index is not None else control + text

        for op, inputs, attributes in self._nodes:
            if op in known_ops:
                parts.append(op)
            else:
                self._callees.append(op.decode(errors="replace"))
                parts.append(b"call")
            parts += map(reference, inputs)
            parts.append(attributes)
        parts.append(b"results")
        parts += sorted(map(reference, self.results))
        return Digest(hashes.of(parts), tuple(self._callees))


class Hashes:
    """The hashes of bodies; those of small ones are kept, as many are the same."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], bytes] = {}

    def of(self, parts: list[bytes]) -> bytes:
        """Return the hash of a body's parts."""
        if sum(map(len, parts)) > _SMALL:
            return _hash(parts)
        key = tuple(parts)
        known = self._known.get(key)
        if known is None:
            known = _hash(parts)
            if len(self._known) < _KEPT:
                self._known[key] = known
        return known


def same_bodies(digests: Mapping[str, Digest]) -> dict[str, str]:
    """Return for each function a hash that it shares with those of the same body, calls followed."""
    classes = {name: digest.own for name, digest in digests.items()}
    known: dict[tuple[bytes, ...], bytes] = {}
    for _ in range(ROUNDS):
        before, classes = classes, {}
        for name, digest in digests.items():
            key = (digest.own, *(before.get(callee) or callee.encode() for callee in digest.callees))
            found = known.get(key)
            if found is None:
                found = known[key] = _hash(list(key))
            classes[name] = found
    return {name: own.hex() for name, own in classes.items()}


def _hash(parts: list[bytes]) -> bytes:
    """Hash parts with their lengths, so no two lists run together."""
    return blake2b(b"".join([b"%d:%s" % (len(part), part) for part in parts]), digest_size=8).digest()
