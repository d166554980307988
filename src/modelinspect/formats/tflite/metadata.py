"""Claim the buffers of a model's metadata and say what they say."""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts
from modelinspect.core.names import CONVERSION_METADATA, MIN_RUNTIME_VERSION, MODEL_METADATA
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema
from modelinspect.encodings.flatbuffers.state import Labels
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.encodings.flatbuffers.walker import walk_flatbuffer
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.tflite.compiled import STAMP, Programs, read_stamp
from modelinspect.formats.tflite.custom import byte_code_note
from modelinspect.formats.tflite.labels import DEBUG, METADATA
from modelinspect.formats.tflite.model import Buffer, Model
from modelinspect.formats.tflite.schema import schema

SHORT = 256
"""Metadata up to so many bytes are shown as text where they are text."""


@dataclass(slots=True)
class Lookups:
    """What other parts of a model need of its metadata: tables of compressed tensors, byte code after the
    flatbuffer.
    """

    tables: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """By subgraph and tensor: the buffer of values, and the bits of an index into it."""
    byte_code: list[tuple[int, int, str]] = field(default_factory=list)
    programs: Programs = field(default_factory=lambda: Programs({}))


def claim_metadata(site: Site, model: Model, paths: dict[int, PathId], facts: Facts) -> Lookups:
    """Claim every metadata buffer once; ``paths`` are those of the buffers' data by offset."""
    lookups = Lookups()
    sizes: dict[str, Fact] = {}
    seen: set[int] = set()
    for name, index in model.metadata:
        buffer = model.buffer(index)
        sizes[name] = buffer.size if buffer is not None else 0
        if buffer is None or index in seen:
            continue
        seen.add(index)
        path = _path(site, buffer, paths, index, name)
        if path is not None:
            _claim(site, name, buffer, path, facts, lookups)
    for index in model.metadata_buffers:
        buffer = model.buffer(index)
        if buffer is not None and index not in seen:
            seen.add(index)
            path = _path(site, buffer, paths, index, "metadata_buffer")
            if path is not None:
                site.claims.claim(buffer.offset, buffer.size, RegionKind.METADATA, path)
    if sizes:
        facts["metadata"] = sizes
    return lookups


def _path(site: Site, buffer: Buffer, paths: dict[int, PathId], index: int, name: str) -> PathId | None:
    if not buffer.outside:
        known = paths.get(buffer.offset)
        return None if known is None else site.claims.paths.child(known, name)
    if buffer.offset + buffer.size > site.source.size:
        return None  # reported with the other buffers that are outside
    return site.claims.path(f"buffers[{index}]", name)


def _claim(site: Site, name: str, buffer: Buffer, path: PathId, facts: Facts, lookups: Lookups) -> None:
    reader = _NESTED.get(name)
    if reader is not None:
        inner = site.window(buffer.offset, buffer.size, path)
        inner.claims.fill(0, buffer.size, reader.labels.default, inner.claims.root)
        try:
            document = walk_flatbuffer(inner.walk, schema(reader.schema), reader.labels, end=buffer.size)
            if document.sound:
                reader.tell(document.root, facts, lookups)
        except FormatError as error:
            inner.survive(error)
        return
    site.claims.claim(
        buffer.offset,
        buffer.size,
        RegionKind.DEBUG if name.startswith("DEBUG") else RegionKind.METADATA,
        path,
    )
    if buffer.size > SHORT:
        return
    data = site.source.read_at(buffer.offset, buffer.size)
    if name == "NPU_BYTE_CODE":
        note = byte_code_note(data)
        if note is not None:
            lookups.byte_code.append((*note, name))
        return
    stamp = read_stamp(data) if name == STAMP else None
    if stamp is not None:
        lookups.programs.vendor, lookups.programs.soc = stamp
        return
    text = data.rstrip(b"\0")
    if text and b"\0" not in text and text.isascii() and text.decode().isprintable():
        if name == MIN_RUNTIME_VERSION:
            facts[MIN_RUNTIME_VERSION] = text.decode()
        else:
            facts["metadata_texts"] = {**facts.get("metadata_texts", {}), name: text.decode()}


def _tell_conversion(root: Table, facts: Facts, _: Lookups) -> None:
    names: Schema = schema("conversion")
    found: dict[str, Fact] = {}
    environment, options = root.table("environment"), root.table("options")
    if environment is not None:
        found["tensorflow_version"] = environment.string("tensorflow_version") or ""
        found["api_version"] = environment.value("api_version")
        found["model_type"] = names.enum_name("ModelType", environment.value("model_type"))
    if options is not None:
        modes = options.numbers("model_optimization_modes")
        found["modes"] = tuple(modes)
        found["mode_names"] = tuple(names.enum_name("ModelOptimizationMode", mode) for mode in modes)
        for name in ("allow_custom_ops", "enable_select_tf_ops", "force_select_tf_ops"):
            found[name] = options.value(name)
        blocks = tuple(table.numbers("values") for table in options.tables("sparsity_block_sizes"))
        if blocks:
            found["sparsity_block_sizes"] = blocks
    facts["conversion"] = found


def _tell_model_metadata(root: Table, facts: Facts, _: Lookups) -> None:
    found: dict[str, Fact] = {}
    for name in ("name", "description", "version", "author", "license", "min_parser_version"):
        text = root.string(name)
        if text:
            found[name] = text
    files = [file.string("name") or "" for file in root.tables("associated_files")]
    for subgraph in root.tables("subgraph_metadata"):
        for tensors in ("input_tensor_metadata", "output_tensor_metadata"):
            for tensor in subgraph.tables(tensors):
                files += [file.string("name") or "" for file in tensor.tables("associated_files")]
    if files:
        found["associated_files"] = tuple(files)
    facts["model_metadata"] = found


def _tell_compression(root: Table, facts: Facts, lookups: Lookups) -> None:
    for place, subgraph in enumerate(root.tables("subgraphs")):
        for tensor in subgraph.tables("lut_tensors"):
            lookups.tables[place, tensor.value("tensor")] = (
                tensor.value("value_buffer"),
                tensor.value("index_bitwidth"),
            )
    facts["compression"] = {"schema_version": root.value("schema_version")}


def _tell_nothing(_: Table, __: Facts, ___: Lookups) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Nested:
    """A metadata buffer that holds its own flatbuffer."""

    schema: str
    labels: Labels
    tell: Callable[[Table, Facts, Lookups], None]


_NESTED = {
    CONVERSION_METADATA: _Nested("conversion", METADATA, _tell_conversion),
    MODEL_METADATA: _Nested("metadata", METADATA, _tell_model_metadata),
    "COMPRESSION_METADATA": _Nested("compression", METADATA, _tell_compression),
    "DEBUG_METADATA": _Nested("debug", DEBUG, _tell_nothing),
    "debug_metadata": _Nested("debug", DEBUG, _tell_nothing),
    "tac_runtime_metadata": _Nested("runtime", METADATA, _tell_nothing),
}
