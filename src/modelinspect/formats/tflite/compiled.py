"""Name the programs that operators run on another processor: Edge TPU, Ethos-U, NPU byte code."""

from __future__ import annotations

from modelinspect.core.facts import Fact, Facts
from modelinspect.core.records import dataclass
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.model import Model

EDGE_TPU, ETHOS_U = "edgetpu-custom-op", "ethos-u"
"""The custom codes of the operators: of LiteRT's compiler plugins, of Coral's compiler, of Arm's Vela."""
STAMP = "LiteRtStamp"
"""The metadata that says for which processor byte code was compiled (litert/core/build_stamp.h)."""
_STAMP_PART = 125
_ETHOS_MAGIC = b"COP1"
_ETHOS_HEADER = 12
_ETHOS_PRODUCTS = ("Ethos-U55", "Ethos-U65", "Ethos-U85")
_ETHOS_INPUTS = 2
"""The inputs of Vela's operator that are in the file: the command stream, and the weights that it reads."""


@dataclass(slots=True)
class Programs:
    """The compiled programs of a model: bytes by operator, and the processor, once known."""

    sizes: dict[str, int]
    vendor: str = ""
    soc: str = ""
    ethos: str = ""
    """The product that a command stream of an Ethos-U names."""

    def add(self, operator: str, size: int) -> None:
        """Count bytes of a program."""
        self.sizes[operator] = self.sizes.get(operator, 0) + size

    def tell(self, facts: Facts) -> None:
        """Set the fact of the programs, if there are some."""
        if self.sizes:
            facts["compiled_programs"] = tuple(
                self._entry(operator, size) for operator, size in sorted(self.sizes.items())
            )

    def _entry(self, operator: str, size: int) -> dict[str, Fact]:
        vendor, soc = {EDGE_TPU: ("Google", "Edge TPU"), ETHOS_U: ("Arm", self.ethos or "Ethos-U")}.get(
            operator, (self.vendor, self.soc)
        )
        return {"operator": operator, "vendor": vendor, "soc": soc, "bytes": size}


def read_stamp(data: bytes) -> tuple[str, str] | None:
    """Return manufacturer and model of the processor that a stamp names, None where it is none."""
    if len(data) != 2 * _STAMP_PART:
        return None
    parts = [data[:_STAMP_PART].rstrip(b"\0"), data[_STAMP_PART:].rstrip(b"\0")]
    if not all(part.isascii() and part.decode().isprintable() for part in parts):
        return None
    return parts[0].decode(), parts[1].decode()


def ethos_buffers(model: Model) -> set[int]:
    """Return the buffers that operators of Vela read as program: command streams and packed weights."""
    found: set[int] = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.code.custom and operator.code.name == ETHOS_U:
                for index in operator.inputs[:_ETHOS_INPUTS]:
                    row = graph.tensors[index] if 0 <= index < len(graph.tensors) else None
                    if row is not None and not row.external:
                        found.add(row.buffer)
    return found


def ethos_product(site: Site, offset: int, size: int) -> str:
    """Return the product that a command stream names: the first action of the driver's payload is its
    configuration.
    """
    if size < _ETHOS_HEADER:
        return ""
    data = site.source.read_at(offset, _ETHOS_HEADER)
    if data[:4] != _ETHOS_MAGIC or data[4] != 1:
        return ""
    config = int.from_bytes(data[8:12], "little")
    product = config >> 28
    return f"{_ETHOS_PRODUCTS[product]}-{1 << (config & 15)}" if product < len(_ETHOS_PRODUCTS) else ""
