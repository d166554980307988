"""Every format, and which one an artifact is of; what files look like that no format recognizes, and what to
do with them.
"""

from __future__ import annotations

import re
from importlib import import_module

from modelinspect.core import signatures
from modelinspect.core.artifact import Artifact, DocumentKind
from modelinspect.core.collector import paused_collector
from modelinspect.core.limits import Limits
from modelinspect.errors import UnknownFormatError
from modelinspect.formats.base import Format, Parsing
from modelinspect.formats.lookalikes import describe_binary, describe_folder, describe_name, describe_text
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
    raise UnknownFormatError(f"{parsing.files.location}: {_describe(parsing)}")


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


_PEEK = 1024
_KNOWN = (
    "modelinspect reads Keras (.h5, .keras, .weights.h5), SavedModel, GraphDef, StableHLO, checkpoints,"
    " Orbax, TFLite, LiteRT-LM, TF.js, safetensors, KerasHub presets, Hugging Face folders and HDF5"
)

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, signatures.HDF5, "an HDF5 file that is damaged"),
    (signatures.TFLITE_OFFSET, signatures.TFLITE, "a TFLite model that is damaged"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, signatures.PDF, "a PDF document"),
    (0, signatures.ZIP, "a zip archive without a model in it"),
    (0, signatures.ZIP_END, "an empty zip archive"),
    (0, signatures.GZIP, "a gzip file without a model in it"),
    (0, signatures.BZIP2, "a bzip2 file: decompress it first"),
    (0, signatures.XZ, "an xz file: decompress it first"),
    (0, signatures.ZSTD, "a Zstandard file: decompress it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (signatures.TAR_OFFSET, signatures.TAR, "a tar archive without a model in it"),
    (0, signatures.ELF, "an ELF program or library"),
    (0, signatures.WINDOWS, "a Windows program or library"),
    (0, signatures.NUMPY, "a NumPy array"),
    (0, b"CDF\x01", "a netCDF file"),
    (0, b"CDF\x02", "a netCDF file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"GGUF", "a GGUF model (llama.cpp): gguf-dump of the gguf package lists its tensors"),
    (0, b"lmgg", "a GGML model (llama.cpp before GGUF)"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, not the file itself: git lfs pull fetches it",
    ),
    (0, b"/annex/objects/", "a git-annex pointer, not the file itself: git annex get fetches it"),
    (0, b"<!DOCTYPE html", "an HTML page, perhaps instead of a download"),
    (0, b"<html", "an HTML page, perhaps instead of a download"),
)
_JSON = re.compile(r"\s*(\{\s*[\"}]|\[\s*[\[{\"\d-])")
_UNKNOWN = "a binary file of an unknown kind"


def _describe(parsing: Parsing) -> str:
    """Return in one sentence what the location holds, and what modelinspect reads."""
    if parsing.primary is None:
        return f"{describe_folder(parsing)}; {_KNOWN}"
    return f"looks like {_file(parsing, parsing.primary)}; {_KNOWN}"


def _file(parsing: Parsing, name: str) -> str:
    head = parsing.peek(name, _PEEK)
    if not head:
        return "an empty file"
    for offset, signature, what in _SIGNATURES:
        if head[offset : offset + len(signature)].lower() == signature.lower():
            return what
    if not head.strip(b"\0"):
        return "a file of zeros, perhaps a download that was cut short"
    return describe_name(name) or _by_structure(parsing, name, head)


def _by_structure(parsing: Parsing, name: str, head: bytes) -> str:
    source = parsing.files.open(name)
    binary = describe_binary(source, head)
    if binary is not None:
        return binary
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return _UNKNOWN
        text = head[: error.start].decode("utf-8")
    if any(ord(character) < 0x20 and character not in "\t\r\n\f" for character in text):
        return _UNKNOWN
    described = describe_text(source, text, _model_in)
    return described or ("a JSON file" if _JSON.match(text) else "a text file")


def _model_in(head: bytes) -> str | None:
    """Return what model begins with these bytes, as an array in a program holds it."""
    for offset, signature, what in (
        (signatures.TFLITE_OFFSET, signatures.TFLITE, "a TFLite model"),
        (0, signatures.LITERTLM, "a LiteRT-LM file"),
        (0, signatures.HDF5[:4], "an HDF5 file"),
    ):
        if head[offset : offset + len(signature)] == signature:
            return what
    return None
