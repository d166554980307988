"""Shrink TFLite models: equal constants share a buffer, nothing unreachable stays, tables are packed."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelinspect.core.collector import paused_collector
from modelinspect.core.limits import MIB
from modelinspect.core.names import (
    CONVERSION_METADATA,
    MIN_RUNTIME_VERSION,
    MODEL_METADATA,
    REDUCED_PRECISION,
)
from modelinspect.encodings.zip import find_end_record
from modelinspect.formats.tflite.lookup import DECODE
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.rewrite import ZIP_ERRORS, as_file
from modelinspect.reports.wording import plural
from modelinspect.shrinking.flat_tree import Items, Numbers, Record, TreeReader, share
from modelinspect.shrinking.flat_writing import write_tree
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.tflite_witness import compare_models
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_APART = frozenset(
    {"Model", "SubGraph", "Tensor", "Operator", "OperatorCode", "Buffer", "Metadata", "SignatureDef"}
) | {"Buffer.data"}
"""Tables and vectors that stand for themselves, even where two are equal; `share_buffers` decides about the
bytes of buffers.
"""
_KNOWN_METADATA = frozenset({MIN_RUNTIME_VERSION, CONVERSION_METADATA, MODEL_METADATA, REDUCED_PRECISION})
"""Metadata that name no tensor by its number."""

_INT8, _DENSIFY = 9, 124
"""TensorType.INT8 and BuiltinOperator.DENSIFY (tensorflow/compiler/mlir/lite/schema/schema.fbs)."""
_CUSTOM_QUANTIZATION = 1
"""Kinds of quantization after this one name tensors of scales by their numbers."""


def shrink_tflite(job: Job) -> Witness:
    """Write a model again. Raises `NotShrinkableError`."""
    with paused_collector():
        return _shrink(job)


def _shrink(job: Job) -> Witness:
    name, work = job.primary, job.work
    source = job.files.open(name)
    reader = TreeReader(source, schema("model"), work.limits)
    model = reader.read()
    _check(model, source)
    archive = _archive_start(source, reader.end)
    numbered = _has_unknown_numbers(model)
    unread = [] if numbered else drop_tensors(model, constants=work.drops(Drop.UNREACHABLE))
    work.dropped |= dict.fromkeys(unread, Drop.UNREACHABLE)
    codes = drop_codes(model)
    shared, gone = (0, 0) if numbered else share_buffers(model, source)
    names = strip_names(model) if work.drops(Drop.NAMES) else 0
    model = share(model, _APART)
    target = job.folder / name
    with target.open("wb") as out:
        write_tree(model, schema("model"), out.write, lambda offset, size: _runs(source, offset, size))
    if archive is not None:
        _append(source, target)
    saved = source.size - target.stat().st_size
    work.add(StepName.SHARE_BUFFERS, min(shared, saved), note="equal constants in one buffer")
    work.add(StepName.DROP_UNREACHABLE, min(gone, max(saved - shared, 0)), note=_gone(len(unread), codes))
    work.add(
        StepName.STRIP_NAMES,
        min(names, max(saved - shared - gone, 0)),
        Drop.NAMES,
        "names of tensors and subgraphs",
    )
    work.add(
        StepName.PACK_TABLES,
        saved - shared - gone - names,
        note="tables without gaps; equal strings, shapes and scales once",
    )

    def witness(after: FileSet) -> Mapping[str, int]:
        named = not work.drops(Drop.NAMES)
        with paused_collector():
            count = compare_models(
                source, after.open(name), named=named, numbered=numbered, limits=work.limits
            )
        return {"flatbuffers": count}

    return witness


def _gone(tensors: int, codes: int) -> str:
    return f"buffers, {plural(tensors, 'tensor')} and {plural(codes, 'operator code')} that nothing uses"


def _check(model: Record, source: Source) -> None:
    """Raise `NotShrinkableError` for models whose bytes are not all in their tables."""
    outside = any(buffer.number("offset") > 1 or buffer.number("size") for buffer in model.records("buffers"))
    graphs = model.records("subgraphs")
    if any(_reads_sparse_integers(model, graph) for graph in graphs):
        raise NotShrinkableError(
            f"{source.name}: has operators that compute with sparse int8 weights; the interpreter's kernels"
            " for them read beyond the end of a buffer, so its outputs can depend on what is stored next"
            " to it"
        )
    large = any(
        operator.number("large_custom_options_offset")
        for graph in graphs
        for operator in graph.records("operators")
    )
    if outside or large:
        raise NotShrinkableError(f"{source.name}: keeps buffers after the flatbuffer, by offsets in the file")
    if model.records("external_buffers") or any(
        tensor.number("external_buffer") for graph in graphs for tensor in graph.records("tensors")
    ):
        raise NotShrinkableError(f"{source.name}: keeps buffers in other files")


def _reads_sparse_integers(model: Record, graph: Record) -> bool:
    """Return whether an operator other than DENSIFY reads a sparse tensor of 8-bit integers."""
    tensors, codes = graph.records("tensors"), model.records("operator_codes")
    sparse = {
        index for index, one in enumerate(tensors) if "sparsity" in one.nodes and one.number("type") == _INT8
    }
    for operator in graph.records("operators") if sparse else ():
        index = operator.number("opcode_index")
        code = (
            max(codes[index].number("builtin_code"), codes[index].number("deprecated_builtin_code"))
            if index < len(codes)
            else -1
        )
        if code != _DENSIFY and not sparse.isdisjoint(operator.numbers("inputs")):
            return True
    return False


def _archive_start(source: Source, end: int) -> int | None:
    """Return where an archive of files begins after the model, None where there is none.

    Raises `NotShrinkableError` for other bytes.
    """
    start: int | None = None
    if find_end_record(source) is not None:
        try:
            with zipfile.ZipFile(as_file(source)) as archive:
                start = min((info.header_offset for info in archive.infolist()), default=None)
        except ZIP_ERRORS as error:
            raise NotShrinkableError(
                f"{source.name}: zipfile does not read the archive after the model: {error}"
            ) from error
    stop = source.size if start is None else start
    if stop < end:
        raise NotShrinkableError(f"{source.name}: the archive overlaps the model")
    if any(any(block) for block in _runs(source, end, stop - end)):
        raise NotShrinkableError(f"{source.name}: {stop - end:,} bytes after the model are not part of it")
    return start


def _append(source: Source, target: Path) -> None:
    """Write the files of the archive after the new model, compressed as before."""
    with zipfile.ZipFile(as_file(source)) as old, zipfile.ZipFile(target, "a") as new:
        for info in old.infolist():
            made = zipfile.ZipInfo(info.filename, info.date_time)
            made.external_attr, made.create_system, made.compress_type = (
                info.external_attr,
                info.create_system,
                info.compress_type,
            )
            new.writestr(made, old.read(info), compresslevel=9)


def _has_unknown_numbers(model: Record) -> bool:
    """Return whether something may name tensors or buffers by numbers that are not known here: these must
    stay.
    """
    if any(entry.text("name") not in _KNOWN_METADATA for entry in model.records("metadata")):
        return True
    if any(code.text("custom_code") == DECODE for code in model.records("operator_codes")):
        return True  # equal indices of two tensors may be decoded by different tables
    tensors = [tensor for graph in model.records("subgraphs") for tensor in graph.records("tensors")]
    settings = [tensor.nodes.get("quantization") for tensor in tensors]
    return any(
        isinstance(one, Record) and one.number("details_type") > _CUSTOM_QUANTIZATION for one in settings
    )


def drop_tensors(model: Record, *, constants: bool) -> list[str]:
    """Drop tensors that no operator, subgraph or signature names, and return their names.

    Those that hold bytes go only with ``constants``; names that several have stay, and so do bytes that
    tensors of several forms share.
    """
    buffers = model.records("buffers")
    graphs = model.records("subgraphs")
    counts = Counter(tensor.text("name") for graph in graphs for tensor in graph.records("tensors"))
    dropped: list[str] = []
    forms = _forms([tensor for graph in graphs for tensor in graph.records("tensors")], buffers)

    def stays(tensor: Record) -> bool:
        index = tensor.number("buffer")
        return counts[tensor.text("name")] > 1 or bool(
            _size(buffers[index]) and (not constants or len(forms[index]) > 1)
        )

    for number, graph in enumerate(graphs):
        signatures = [
            each for each in model.records("signature_defs") if each.number("subgraph_index") == number
        ]
        maps = [entry for each in signatures for entry in (*each.records("inputs"), *each.records("outputs"))]
        operators = graph.records("operators")
        used = {entry.number("tensor_index") for entry in maps} | {
            *graph.numbers("inputs"),
            *graph.numbers("outputs"),
        }
        used |= {
            index
            for op in operators
            for key in ("inputs", "outputs", "intermediates")
            for index in op.numbers(key)
        }
        tensors = graph.records("tensors")
        kept = [index for index, one in enumerate(tensors) if index in used or stays(one)]
        if len(kept) == len(tensors):
            continue
        dropped += [one.text("name") for index, one in enumerate(tensors) if index not in set(kept)]
        places = {old: new for new, old in enumerate(kept)} | {-1: -1}
        graph.nodes = {**graph.nodes, "tensors": Items([tensors[index] for index in kept])}
        for record, keys in [
            (graph, ("inputs", "outputs")),
            *((op, ("inputs", "outputs", "intermediates")) for op in operators),
        ]:
            for key in keys:
                if record.numbers(key):
                    record.set_numbers(key, [places[index] for index in record.numbers(key)])
        for entry in {id(entry): entry for entry in maps}.values():
            entry.set_number("tensor_index", places[entry.number("tensor_index")])
    return dropped


def drop_codes(model: Record) -> int:
    """Drop operator codes that no operator has and return how many."""
    operators = {id(one): one for graph in model.records("subgraphs") for one in graph.records("operators")}
    codes = model.records("operator_codes")
    used = sorted({operator.number("opcode_index") for operator in operators.values()})
    if len(used) == len(codes) or not used or used[-1] >= len(codes):
        return 0
    places = {old: new for new, old in enumerate(used)}
    model.nodes = {**model.nodes, "operator_codes": Items([codes[index] for index in used])}
    for operator in operators.values():
        operator.set_number("opcode_index", places[operator.number("opcode_index")])
    return len(codes) - len(used)


def share_buffers(model: Record, source: Source) -> tuple[int, int]:
    """Let equal constants of one type and shape share a buffer and drop buffers that nothing names; return
    the bytes of both.

    Buffer 0 is empty and stays; whatever has no bytes uses it. Buffers of variables are left alone.
    """
    buffers = model.records("buffers")
    tensors = list(
        {id(one): one for graph in model.records("subgraphs") for one in graph.records("tensors")}.values()
    )
    metadata = list({id(one): one for one in model.records("metadata")}.values())
    if not buffers or "data" in buffers[0].nodes:
        return 0, 0
    variables = {tensor.number("buffer") for tensor in tensors if tensor.number("is_variable")}
    described = {one.number("buffer") for one in metadata} | set(model.numbers("metadata_buffer"))
    used = {one.number("buffer") for one in (*tensors, *metadata)} | set(model.numbers("metadata_buffer"))
    if max(used, default=0) >= len(buffers):
        raise NotShrinkableError(f"{source.name}: names a buffer that does not exist")
    forms = _forms(tensors, buffers)
    first: dict[object, int] = {}
    places = {0: 0}
    kept = [buffers[0]]
    shared = 0
    for index in sorted(used - {0}):
        key: object = (
            _content(buffers[index], source) if "data" in buffers[index].nodes else 0
        )  # it has no bytes
        if key == 0 and index not in variables:
            places[index] = 0
            continue
        key = (index in described, frozenset(forms.get(index, ())), key)
        known = first.get(key) if index not in variables else None
        if known is None:
            known = len(kept)
            kept.append(buffers[index])
            if index not in variables:
                first[key] = known
        else:
            shared += _size(buffers[index]) if buffers[index] is not kept[known] else 0
        places[index] = known
    for one in (*tensors, *metadata):
        one.set_number("buffer", places[one.number("buffer")])
    if model.numbers("metadata_buffer"):
        model.set_numbers("metadata_buffer", [places[index] for index in model.numbers("metadata_buffer")])
    model.nodes = {**model.nodes, "buffers": Items(list(kept))}
    return shared, sum(_size(buffer) for index, buffer in enumerate(buffers) if index not in used)


def strip_names(model: Record) -> int:
    """Drop the names of tensors and subgraphs and the description; return the bytes of the texts."""
    gone = 0
    graphs = model.records("subgraphs")
    for record, key in [(model, "description"), *((graph, "name") for graph in graphs)]:
        gone += len(record.text(key))
        record.nodes.pop(key, None)
    for graph in graphs:
        for tensor in graph.records("tensors"):
            gone += len(tensor.text("name"))
            tensor.nodes.pop("name", None)
    return gone


def _forms(tensors: list[Record], buffers: list[Record]) -> dict[int, set[tuple[int, tuple[int, ...]]]]:
    """Return the types and shapes of the tensors that name each buffer that has data."""
    found: dict[int, set[tuple[int, tuple[int, ...]]]] = {}
    for tensor in tensors:
        index = tensor.number("buffer")
        if index < len(buffers) and "data" in buffers[index].nodes:
            found.setdefault(index, set()).add((tensor.number("type"), tuple(tensor.numbers("shape"))))
    return found


def _size(buffer: Record) -> int:
    node = buffer.nodes.get("data")
    return node.size if isinstance(node, Numbers) else 0


def _content(buffer: Record, source: Source) -> tuple[int, str]:
    node = buffer.nodes["data"]
    found = hashlib.sha256()
    if isinstance(node, Numbers):
        for block in [node.data] if node.data is not None else _runs(source, node.offset, node.size):
            found.update(block)
    return _size(buffer), found.hexdigest()


def _runs(source: Source, offset: int, size: int) -> Iterator[bytes]:
    for at in range(0, size, MIB):
        yield source.read_at(offset + at, min(MIB, size - at))
