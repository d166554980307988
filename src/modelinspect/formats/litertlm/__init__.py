"""Parse LiteRT-LM files (``.litertlm``): a header, and sections of models, weights, tokenizers and metadata
on blocks of 16 KiB.

Sources: ``schema/core`` of google-ai-edge/LiteRT-LM, and the Python package litert-lm-builder.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName
from modelinspect.formats.base import About, Parsing


class LiteRtLmFormat:
    """Files that begin with LITERTLM."""

    name = FormatName.LITERTLM
    about = About(
        title="LiteRT-LM",
        names=(FormatName.LITERTLM,),
        files=("`*.litertlm`",),
        page="litertlm.md",
        limitations=(
            (
                "Messages of text-to-speech and speech recognition models are one region each: their schema"
                " is not published."
            ),
            "Sections of an unknown type stay `unattributed`, with a diagnostic.",
            "A version other than 1 is read as version 1, with a diagnostic.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the primary file begins with the magic."""
        return (
            parsing.primary is not None
            and parsing.peek(parsing.primary, len(signatures.LITERTLM)) == signatures.LITERTLM
        )

    def parse(self, parsing: Parsing) -> FormatName:
        """Parse the header and every section."""
        from modelinspect.formats.litertlm.file import read_file

        read_file(parsing.open(parsing.primary or ""))
        return self.name


FORMAT = LiteRtLmFormat()
