"""Every format, and which one an artifact is of."""

from __future__ import annotations

from importlib import import_module

from modelinspect.core import signatures
from modelinspect.core.artifact import Artifact, DocumentKind
from modelinspect.core.collector import paused_collector
from modelinspect.core.limits import Limits
from modelinspect.errors import UnknownFormatError
from modelinspect.formats.base import Format, Parsing
from modelinspect.formats.signatures import describe
from modelinspect.sources.files import FileSet

FORMATS: tuple[str, ...] = (
    "modelinspect.formats.litertlm",
    "modelinspect.formats.saved_model",
    "modelinspect.formats.tfjs",
    "modelinspect.formats.preset",  # before Keras archives, whose folders also have a config.json
    "modelinspect.formats.safetensors",  # before those that look for a zip archive at the end of the file
    "modelinspect.formats.keras.archive",
    "modelinspect.formats.keras.sharded_weights",
    "modelinspect.formats.checkpoint",
    "modelinspect.formats.orbax",
    "modelinspect.formats.tflite",  # before archives: a zip of files may be after the model
    # before HDF5: the header of a tar archive looks like a user block
    "modelinspect.formats.archives.format",
    "modelinspect.formats.keras.hdf5_file",
    "modelinspect.formats.mlir",
    "modelinspect.formats.graph.graph_def",
)
"""The modules, in the order in which they are asked; each has a ``FORMAT``."""


_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, signatures.HDF5, "modelinspect.formats.keras.hdf5_file"),
    (0, signatures.LITERTLM, "modelinspect.formats.litertlm"),
    (signatures.TFLITE_OFFSET, signatures.TFLITE, "modelinspect.formats.tflite"),
    (0, signatures.MLIR, "modelinspect.formats.mlir"),
)
"""First bytes that no other format has, and where: the module is asked at once, and the others are not even
loaded.
"""


_CONFIGURATIONS = frozenset((DocumentKind.KERAS_CONFIG, DocumentKind.KERAS_METADATA, DocumentKind.TFJS_MODEL))


def formats() -> list[Format]:
    """Load every format."""
    return [_load(module) for module in FORMATS]


def detect(parsing: Parsing) -> Format:
    """Return the first format that recognises the files. Raises `UnknownFormatError`."""
    for module in (*_certain(parsing), *FORMATS):
        format = _load(module)
        if format.detect(parsing):
            return format
    raise UnknownFormatError(f"{parsing.files.location}: {describe(parsing)}")


def readings(files: FileSet) -> list[Format]:
    """Return the formats by which one file can be opened whole: its beginning may be one model, and its end
    another.
    """
    if files.primary is None:
        return []
    found = [_load(module) for module in _EITHER_END]
    return [format for format in found if format.detect(Parsing(files))]


_EITHER_END = (
    "modelinspect.formats.keras.archive",
    "modelinspect.formats.keras.hdf5_file",
    "modelinspect.formats.tflite",
)


def _certain(parsing: Parsing) -> tuple[str, ...]:
    """Return the module that the first bytes of the primary file call for."""
    if parsing.primary is None:
        return ()
    if parsing.primary.endswith(
        ".keras"
    ):  # Keras opens it by the end of a zip archive, whatever it begins with
        return ("modelinspect.formats.keras.archive",)
    head = parsing.peek(parsing.primary, max(offset + len(beginning) for offset, beginning, _ in _BEGINNINGS))
    return tuple(module for offset, beginning, module in _BEGINNINGS if head.startswith(beginning, offset))


def begins_as_model(parsing: Parsing) -> bool:
    """Return whether the first bytes of the one file are those of a single model, so it is not an archive."""
    return parsing.primary is not None and not parsing.primary.endswith(".keras") and bool(_certain(parsing))


def parse(files: FileSet, limits: Limits | None = None, *, strict: bool = False) -> Artifact:
    """Turn files into facts; no weights are read. Raises `ModelInspectError`."""
    parsing = Parsing(files, limits, strict=strict)
    with paused_collector():
        form = detect(parsing).parse(parsing)
        _divide(parsing)  # before the stored bytes of compressed runs are shared out
        return parsing.finish(form)


def _divide(parsing: Parsing) -> None:
    """Give long values in configurations their own regions."""
    if any(document.kind in _CONFIGURATIONS for document in parsing.documents()):
        from modelinspect.formats.embedded import divide_documents

        divide_documents(parsing)


def _load(module: str) -> Format:
    format: Format = import_module(module).FORMAT
    return format
