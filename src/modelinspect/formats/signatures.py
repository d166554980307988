"""Says what files look like that no format recognises."""

from __future__ import annotations

import re

from modelinspect.formats.base import Parsing

_PEEK = 1024
_KNOWN = "modelinspect reads Keras (.h5, .keras, .weights.h5), SavedModel, checkpoints, GraphDef, TFLite, TF.js and HDF5"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file that is damaged"),
    (4, b"TFL3", "a TFLite model that is damaged"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive without a model in it"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip file without a model in it"),
    (0, b"BZh", "a bzip2 file: decompress it first"),
    (0, b"\xfd7zXZ\x00", "an xz file: decompress it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file: decompress it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (257, b"ustar", "a tar archive without a model in it"),
    (0, b"\x7fELF", "an ELF program or library"),
    (0, b"MZ", "a Windows program or library"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"CDF\x01", "a netCDF file"),
    (0, b"CDF\x02", "a netCDF file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"GGUF", "a GGUF model (llama.cpp)"),
    (0, b"lmgg", "a GGML model"),
    (0, b"SQLite format 3\x00", "an SQLite data base"),
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself: git lfs pull fetches it"),
    (0, b"/annex/objects/", "a git-annex pointer, not the file itself: git annex get fetches it"),
    (0, b"<!DOCTYPE html", "an HTML page, perhaps instead of a download"),
    (0, b"<html", "an HTML page, perhaps instead of a download"),
)

_JSON = re.compile(r"\s*(\{\s*[\"}]|\[\s*[\[{\"\d-])")


def describe(parsing: Parsing) -> str:
    """Return in one sentence what the location holds, and what modelinspect reads."""
    if parsing.primary is None:
        return f"{_directory(parsing)}; {_KNOWN}"
    return f"looks like {_file(parsing, parsing.primary)}; {_KNOWN}"


def _directory(parsing: Parsing) -> str:
    names = parsing.names()
    if not names:
        return "is an empty folder"
    models = [name for name in names if name.endswith((".h5", ".hdf5", ".keras", ".tflite", ".pb", ".index", ".json"))]
    if models:
        return f"is a folder without saved_model.pb; inspect one of its files, such as {models[0]}"
    return f"is a folder of {len(names):,} file{'' if len(names) == 1 else 's'}, none of which is a model"


def _file(parsing: Parsing, name: str) -> str:
    head = parsing.peek(name, _PEEK)
    if not head:
        return "an empty file"
    for offset, signature, what in _SIGNATURES:
        if head[offset : offset + len(signature)].lower() == signature.lower():
            return what
    if not head.strip(b"\0"):
        return "a file of zeros, perhaps a download that was cut short"
    return _by_structure(head)


def _by_structure(head: bytes) -> str:
    if head[:1] == b"\x80" and head[1] in range(2, 6):
        return "a Python pickle (PyTorch's old format, scikit-learn, …), which modelinspect never loads"
    size = int.from_bytes(head[:8], "little")
    if head[8:10] == b'{"' and 2 <= size < 1 << 32:
        return "a safetensors file (PyTorch, Hugging Face)"
    if head[:1] == b"\x08" and head[1] < 16 and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a"):
        return "an ONNX model: convert it, or use onnx tools"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return "a binary file of no kind that is known"
        text = head[: error.start].decode("utf-8")
    if any(ord(character) < 0x20 and character not in "\t\r\n\f" for character in text):
        return "a binary file of no kind that is known"
    return "a JSON file" if _JSON.match(text) else "a text file"
