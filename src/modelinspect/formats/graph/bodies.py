"""Compare the bodies of functions: two are the same where they differ in only names."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from modelinspect.core.records import dataclass

ROUNDS = 4
"""How deep calls are followed: functions that differ only in what they call further down count as the
same.
"""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a function does, as a hash, and the functions that it may call in order."""

    own: bytes
    callees: tuple[str, ...]


class Body:
    """What a function does, node by node, with names replaced by the order in which they come."""

    __slots__ = ("_callees", "_names", "_nodes", "_ops", "arguments", "results")

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}
        self._nodes: list[bytes | int] = []
        self._ops: list[bytes] = []
        self._callees: list[str] = []
        self.arguments: list[bytes] = []
        self.results: list[bytes] = []

    def add(
        self, name: bytes, op: bytes, inputs: list[bytes], attributes: bytes, functions: tuple[str, ...]
    ) -> None:
        """Add the next node: its attributes without the functions that they name, and those."""
        self._names[name] = len(self._names)
        self._callees += functions
        nodes = self._nodes
        nodes.append(len(inputs))
        nodes += inputs
        nodes.append(attributes)
        self._ops.append(op)

    def digest(self, known_ops: frozenset[str]) -> Digest:
        """Hash the body.

        An op that is not one of ``known_ops`` may be a function's name: it counts as a call.
        """
        arguments = {name: index for index, name in enumerate(self.arguments)}
        names = self._names
        parts: list[bytes] = []

        def reference(text: bytes) -> bytes:
            control = b"^" if text.startswith(b"^") else b""
            name, _, output = text[len(control) :].partition(b":")
            number = names.get(name)
            if number is not None:
                return b"%s#%d:%s" % (control, number, output)
            index = arguments.get(name)
            return b"%s$%d:%s" % (control, index, output) if index is not None else text

        rest = iter(self._nodes)
        for op in self._ops:
            text = op.decode(errors="replace")
            if text not in known_ops:
                self._callees.append(text)
                op = b"call"
            parts.append(op)
            count = next(rest)
            parts += [
                reference(item) for item in (next(rest) for _ in range(int(count))) if isinstance(item, bytes)
            ]
            attributes = next(rest)
            parts.append(attributes if isinstance(attributes, bytes) else b"")
        parts.append(b"results")
        parts += sorted(map(reference, self.results))
        return Digest(_hash(parts), tuple(self._callees))


def same_bodies(digests: Mapping[str, Digest]) -> dict[str, str]:
    """Return for each function a hash that it shares with those of the same body, calls followed."""
    classes = {name: digest.own for name, digest in digests.items()}
    for _ in range(ROUNDS):
        classes = {
            name: _hash([digest.own, *(classes.get(callee) or callee.encode() for callee in digest.callees)])
            for name, digest in digests.items()
        }
    return {name: own.hex() for name, own in classes.items()}


def _hash(parts: list[bytes]) -> bytes:
    """Hash parts with their lengths, so no two lists run together."""
    return blake2b(b"".join([b"%d:%s" % (len(part), part) for part in parts]), digest_size=8).digest()
