"""Recognize the models of other frameworks, and files that only stand for a model, to say what reads them.

Sources: docs/source/pte-file-format.md of pytorch/executorch; caffe2/serialize/inline_container.h of
pytorch/pytorch; onnx.proto of onnx/onnx; Model.proto of apple/coremltools; weight_cache.h of TensorFlow's
XNNPACK delegate; calculator.proto of MediaPipe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from posixpath import basename

from modelinspect.core import signatures
from modelinspect.core.limits import KIB, MIB
from modelinspect.core.names import CONFIG_JSON, FINGERPRINT_PB, KERAS_METADATA_PB, SAVED_MODEL_PB
from modelinspect.formats.base import Parsing
from modelinspect.sources.base import Source

_PICKLE = range(2, 6)
"""Versions of the pickle protocol that begin with their number."""
_ET = re.compile(rb"ET\d\d")
_NEAR = 64 * KIB
"""Where the byte code of a program that jax.export wrote begins at the latest."""
_CACHE_HEADER = 56
_FIRST_NODE = re.compile(
    rb"\x0a[\x00-\xff]{1,2}(?:\x0a[\x00-\x7f][\x20-\x7e]*)?\x12[\x00-\x7f][A-Z]\w*Calculator[\x1a\x22\x2a\x32\x3a]",
    re.DOTALL,
)
_GLANCE = 1024
_GRAPH_TEXT = re.compile(r'\bcalculator\s*:\s*"')
_ARRAY = re.compile(r"(?:unsigned\s+char|uint8_t|char)\s+(?P<name>\w+)\s*\[[^\]]*\][^={]*=\s*\{")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]{1,2}|\d{1,3}")
_ARRAY_LIMIT = 64 * MIB
"""Bytes of text that are read to count the elements of an array."""
_LINK = 512
"""The longest path that a text file of a link may hold."""
_LINKED = re.compile(
    r"(?:\.{1,2}/)+\S+|\S+/blobs/[0-9a-f]{16,}|\S+\.(?:h5|keras|tflite|pb|safetensors|litertlm|task|bin|onnx|gguf)"
)
_MODELS = (
    ".tflite",
    ".keras",
    ".litertlm",
    ".task",
    ".safetensors",
    ".h5",
    ".hdf5",
    ".pb",
    ".index",
    ".pbtxt",
    ".mlirbc",
)
"""What to inspect in a folder that is not a model itself, best first."""


def describe_name(name: str) -> str | None:
    """Return what a file is that its name gives away and its bytes do not."""
    base = basename(name)
    if base in (KERAS_METADATA_PB, FINGERPRINT_PB):
        return f"{base} of a SavedModel: inspect the folder that it is in"
    if base in ("header.pb", "data_spec.pb", "random_forest_header.pb", "gradient_boosted_trees_header.pb"):
        return "a part of a Yggdrasil decision forest (YDF, TF-DF): ydf.load_model reads its folder"
    if base.endswith(".xnnpack_cache"):
        return _XNNPACK
    return None


_XNNPACK = "weights that XNNPACK packed for one device, a cache: inspect the model that it was made from"


def describe_members(members: Collection[str]) -> str | None:
    """Return which framework wrote an archive, None where its members do not say."""
    names = {member.partition("/")[2] for member in members} | set(members)
    if "archive_format" in names and any("models/" in member for member in members):
        return "an exported PyTorch program (.pt2): convert it with litert-torch and inspect the .tflite"
    if "data.pkl" in names and (
        "constants.pkl" in names or any(member.partition("/")[2].startswith("code/") for member in members)
    ):
        return (
            "a TorchScript model, with pickled Python objects, which modelinspect never loads: torch.jit.load"
            " reads it"
        )
    if "data.pkl" in names:
        return (
            "a PyTorch checkpoint, a zip of pickled Python objects, which modelinspect never loads: save its"
            " weights as safetensors"
        )
    if "Manifest.json" in names and any("com.apple.CoreML" in member for member in members):
        return _CORE_ML
    return None


_CORE_ML = "a Core ML model: coremltools reads it"


def describe_binary(source: Source, head: bytes) -> str | None:
    """Return what a binary file is by its first bytes and their structure."""
    if head[:1] == b"\x80" and head[1:2] and head[1] in _PICKLE:
        return "a Python pickle (PyTorch's old format, scikit-learn, …), which modelinspect never loads"
    if _ET.match(head, 4):
        return "an ExecuTorch program (.pte): the executorch package reads it"
    if _is_xnnpack_cache(head, source.size):
        return _XNNPACK
    if head[:1] == b"\x08":
        return _describe_versioned(head)
    if _FIRST_NODE.match(head):
        return _MEDIAPIPE
    if head.startswith(signatures.TFLITE, signatures.TFLITE_OFFSET):
        return None
    start = source.read_at(0, min(_NEAR, source.size)).find(signatures.MLIR)
    if start > 0 and int.from_bytes(head[:4], "little") < start:
        return (
            f"a function that jax.export serialized: its StableHLO begins at byte {start:,}, and that part"
            " can be inspected as .mlirbc"
        )
    return None


def is_foreign_graph(head: bytes) -> bool:
    """Return whether a file that reads as a graph of TensorFlow is another's: its fields have the numbers and
    types of a GraphDef.

    A node of MediaPipe runs a calculator; a Core ML model has a version above 1, which no SavedModel has, or
    fields after its description that no SavedModel has.
    """
    if head[:1] == b"\x08" and head[2:3] == b"\x12":
        return 1 < head[1] < 0x80 or (head[1] == 1 and _has_core_ml_fields(head))
    return (
        _FIRST_NODE.match(head) is not None
        or _GRAPH_TEXT.search(head[:_GLANCE].decode("utf-8", "replace")) is not None
    )


def _has_core_ml_fields(head: bytes) -> bool:
    """Return whether a field of Core ML follows the description: the kinds of models have the numbers 200 to
    3,000, ``isUpdatable`` 10 (Model.proto of coremltools).
    """
    size, at = _number(head, 3)
    number, _ = _number(head, at + size)
    return number >> 3 >= _MODEL_KINDS or number >> 3 == _UPDATABLE


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of protobuf and where it ends; 0 where it is not all there."""
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    return 0, len(data)


_MODEL_KINDS, _UPDATABLE = 200, 10
_MEDIAPIPE = "a MediaPipe graph, which names its models: inspect the .tflite or .task files"


def _describe_versioned(head: bytes) -> str | None:
    """Distinguish ONNX from Core ML: both begin with a version, ONNX goes on with texts, a number, and its
    graph (onnx.proto), Core ML with a description.
    """
    if len(head) < 5 or head[1] > 0x7F:
        return None
    at = 2
    while at < len(head) and head[at] in _ONNX_TEXTS:
        size, begin = _number(head, at + 1)
        text = head[begin : begin + size]
        if not text or not _is_text(text, lines=head[at] == _ONNX_TEXTS[-1]):
            break
        at = begin + size
        if head[at : at + 1] == _ONNX_VERSION:
            _, at = _number(head, at + 1)
    if at >= len(head) or head[at] in (0x3A, 0x42):
        return _ONNX
    if at > 2:
        return _ONNX if head[at] in (0x28, 0x72) else _CORE_ML if _has_core_ml_fields(head) else None
    if head[at] == 0x28:
        return _ONNX if head[_number(head, at + 1)[1] :][:1] in (b"\x32", b"\x3a") else None
    return _CORE_ML if head[at] == 0x12 else None


def _is_text(data: bytes, *, lines: bool) -> bool:
    """Return whether bytes are text; of several lines where ``lines``."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or (lines and each.isspace()) for each in text)


_ONNX_TEXTS, _ONNX_VERSION = (0x12, 0x1A, 0x22, 0x32), b"\x28"
_ONNX = "an ONNX model: onnx2tf converts it, the onnx package reads it"


def _is_xnnpack_cache(head: bytes, size: int) -> bool:
    """Return whether a file is a cache with a header: version 1, 32 bytes of identity, then where its list of
    buffers is.
    """
    if len(head) < _CACHE_HEADER or head[:8] != (1).to_bytes(8, "little"):
        return False
    offset, length = int.from_bytes(head[40:48], "little"), int.from_bytes(head[48:56], "little")
    return offset >= _CACHE_HEADER and length > 0 and offset + length == size


def describe_text(source: Source, head: str, model_in: Callable[[bytes], str | None]) -> str | None:
    """Return what a text file stands for: a link, an array in a program, a graph of MediaPipe."""
    line = head.strip()
    if source.size <= _LINK and _LINKED.fullmatch(line):
        return (
            f"a link that was stored as text, as Git does without symbolic links: it names {line}, inspect"
            " that file"
        )
    if _GRAPH_TEXT.search(head):
        return _MEDIAPIPE
    match = _ARRAY.search(head)
    if match is None:
        return None
    count, first, whole = _elements(source, len(head[: match.end()].encode()))
    what = model_in(first)
    if what is None:
        return f"a program with an array of bytes, {match['name']}, which is not a model"
    size = f"{count:,}" if whole else f"more than {count:,}"
    return (
        f"a C array of {size} bytes, {match['name']}, which is {what}: write the bytes to a file and inspect"
        " that"
    )


def _elements(source: Source, begin: int) -> tuple[int, bytes, bool]:
    """Count the elements of an array up to its closing brace; return the first of them too, and whether all
    were counted.
    """
    data = source.read_at(begin, min(source.size - begin, _ARRAY_LIMIT))
    end = data.find(b"}")
    body = data[:end] if end >= 0 else data
    first = bytes(
        int(match.group(), 0) & 0xFF for _, match in zip(range(16), _NUMBER.finditer(body), strict=False)
    )
    return sum(1 for _ in _NUMBER.finditer(body)), first, end >= 0


def describe_folder(parsing: Parsing) -> str:
    """Return what a folder is that no format recognizes, or which of its files to inspect."""
    names = parsing.names()
    if not names:
        return "is an empty folder"
    bases = {basename(name) for name in names}
    if "Manifest.json" in bases and any("com.apple.CoreML" in name for name in names):
        return f"is {_CORE_ML}"
    if {"header.pb", "data_spec.pb"} <= bases:
        return "is a Yggdrasil decision forest (YDF, TF-DF): ydf.load_model reads it"
    if SAVED_MODEL_PB not in bases and bases & {KERAS_METADATA_PB, FINGERPRINT_PB}:
        return "is a SavedModel without saved_model.pb, which has its graph: get the folder again, whole"
    for suffix in _MODELS:
        found = next((name for name in names if name.endswith(suffix)), None)
        if found is not None:
            return f"is a folder without saved_model.pb; inspect one of its files, such as {found}"
    if any(basename(name).startswith(("pytorch_model", "flax_model")) for name in names):
        return (
            "is a folder with weights of PyTorch or Flax, which modelinspect never loads: save them as"
            " safetensors"
        )
    if CONFIG_JSON in bases:
        return "is a folder with a configuration and no weights that are read"
    return f"is a folder of {len(names):,} file{'' if len(names) == 1 else 's'}, none of which is a model"
