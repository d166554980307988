"""Parse TFLite and LiteRT models: flatbuffers, the buffers after them, files beside them, and the archive at
their end.

Sources: schema.fbs and the other schemas that `schema.json` was derived from; flatbuffer_export.cc for the
layout above 2 GB.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.formats.base import About, Parsing


class TfliteFormat:
    """Models that begin with an offset and the identifier TFL3, with a size before them or not."""

    name = FormatName.TFLITE
    about = About(
        title="TFLite and LiteRT",
        names=(FormatName.TFLITE,),
        files=("`*.tflite`", "`*.lite`"),
        page="tflite.md",
        limitations=(
            (
                "A field or union member that is newer than the schema in the package is `unattributed`, with"
                " a diagnostic."
            ),
            "Of the types of `TFLM_DECODE` only LUT is read; Huffman, pruning and custom types are named.",
            "Programs for other processors (`compiled`) are one region each, weights included.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the identifier is where a flatbuffer has it."""
        if parsing.primary is None:
            return False
        from flatbuffers.util import BufferHasIdentifier

        head = parsing.peek(parsing.primary, 12)
        if len(head) < 12:
            return head[4:8] == signatures.TFLITE
        sized = head[:1] != b"P" and BufferHasIdentifier(head, 0, signatures.TFLITE, size_prefixed=True)
        return bool(BufferHasIdentifier(head, 0, signatures.TFLITE) or sized)

    def parse(self, parsing: Parsing) -> FormatName:
        """Parse the model."""
        from modelinspect.formats.tflite.parser import ModelParser

        site = parsing.open(parsing.primary or "")
        if site.source.read_at(4, 4) != signatures.TFLITE:
            site.claims.claim(0, 4, RegionKind.CONTAINER, site.claims.path("size prefix"))
            size = int.from_bytes(site.source.read_at(0, 4), "little")
            if size > site.source.size - 4:
                site.diagnose(
                    f"the size before the flatbuffer is {size:,} but {site.source.size - 4:,} bytes follow", 0
                )
            site = site.window(4, site.source.size - 4, site.claims.root)
        ModelParser(site).parse()
        return FormatName.TFLITE


FORMAT = TfliteFormat()
