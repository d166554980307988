"""Open the programs in MLIR byte code that nodes carry, such as ``XlaCallModule`` from jax2tf and Keras' JAX
backend.
"""

from __future__ import annotations

from modelinspect.core.facts import Fact
from modelinspect.core.paths import PathId
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.mlir.module import parse_module


class Modules:
    """The programs of one member, and the facts of each."""

    __slots__ = ("_site", "facts")

    def __init__(self, site: Site) -> None:
        self._site = site
        self.facts: list[dict[str, Fact]] = []

    def parse(self, offset: int, size: int, path: PathId, node: str, scope: str) -> int:
        """Claim the program at ``offset`` and return the bytes of its constants.

        ``scope`` is the function's name and a slash, empty for a node of the graph itself.
        """
        inner = self._site.window(offset, size, path)
        try:
            facts = parse_module(inner, f"{scope}{node}/")
        except FormatError as error:
            inner.survive(error)
            return 0
        place: dict[str, Fact] = {
            "node": node,
            "function": scope.removesuffix("/"),
            "offset": offset,
            "size": size,
        }
        self.facts.append(place | facts)
        constant_bytes = facts["constant_bytes"]
        return constant_bytes if isinstance(constant_bytes, int) else 0
