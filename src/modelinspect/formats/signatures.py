"""Describe what files look like that no format recognizes, and what to do with them."""

from __future__ import annotations

import re

from modelinspect.core import signatures
from modelinspect.formats.base import Parsing
from modelinspect.formats.lookalikes import describe_binary, describe_folder, describe_name, describe_text

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


def describe(parsing: Parsing) -> str:
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
