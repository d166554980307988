"""StableHLO programs as MLIR byte code: their own files (``.mlirbc``, ``.stablehlo``), and the modules within
graphs.
"""

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName
from modelinspect.core.facts import Fact
from modelinspect.errors import FormatError
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.mlir.module import parse_module

__all__ = ["FORMAT"]


class MlirFormat:
    """One file that is one module of MLIR byte code."""

    name = FormatName.MLIR
    about = About(
        title="StableHLO",
        names=(FormatName.MLIR,),
        files=("`*.mlirbc`", "`*.stablehlo`"),
        page="stablehlo.md",
        limitations=(
            "Operations are not decoded: the IR section is one region.",
            "Versions of the byte code after 6: sections are named and not read, with a diagnostic.",
            (
                "Attributes of dialects other than `vhlo` and `builtin`, and those written as text, are"
                " regions without a name."
            ),
            "A constant that is written as text is not a tensor.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the one file begins as MLIR byte code does."""
        return (
            parsing.primary is not None
            and parsing.peek(parsing.primary, len(signatures.MLIR)) == signatures.MLIR
        )

    def parse(self, parsing: Parsing) -> FormatName:
        """Claim the sections, add the constants as tensors, and set the facts."""
        if parsing.primary is None:
            raise FormatError("MLIR byte code is one file, not a directory", parsing.files.location)
        site = parsing.open(parsing.primary)
        place: dict[str, Fact] = {"node": "", "function": "", "offset": 0, "size": site.source.size}
        parsing.facts["stablehlo"] = (place | parse_module(site),)
        return self.name


FORMAT = MlirFormat()
