"""Read SavedModels: a directory of a graph, its variables, assets and notes on them.

Specification: tensorflow/python/saved_model/README.md, tensorflow/core/protobuf/saved_model.proto and
meta_graph.proto.
"""

from __future__ import annotations

from modelinspect.core.artifact import FormatName
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.saved_model.directory import MODEL_FILES, parse_directory


class SavedModelFormat:
    """A directory with ``saved_model.pb``, ``.pbtxt`` or ``.cpb``, or that only file."""

    name = FormatName.SAVED_MODEL
    about = About(
        title="SavedModel",
        names=(FormatName.SAVED_MODEL,),
        files=("a folder with `saved_model.pb`, `.pbtxt` or `.cpb`",),
        page="saved_model.md",
        limitations=(
            (
                "Records of a `saved_model.cpb` that are compressed together or transposed are one region,"
                " and their constants are not listed."
            ),
            "Facts of a `.pbtxt` are read up to 1 MiB of text, the values of one constant up to 16 MiB.",
            "StableHLO programs inside text or chunked forms are part of the graph.",
            (
                "Custom operators are known by the list of TensorFlow 2.21: an operator of a later version"
                " counts as custom."
            ),
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether one of the files has a SavedModel's name."""
        if parsing.primary is not None:
            return parsing.primary in MODEL_FILES
        return any(name in MODEL_FILES for name in parsing.names())

    def parse(self, parsing: Parsing) -> FormatName:
        """Claim all files of the directory, add constants and variables as tensors, and say what is known."""
        parse_directory(parsing)
        return self.name


FORMAT = SavedModelFormat()
