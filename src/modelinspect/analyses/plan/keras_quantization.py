"""Predict the `.keras` file that Keras 3 saves after `quantize("int8")` or `quantize("int4")`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Note, Option, Outcome, Planning
from modelinspect.analyses.plan.stripped_hdf5 import is_no_training
from modelinspect.conversion.quantized.config import quantized_config
from modelinspect.conversion.quantized.layers import Fault, Mode, Quantized, is_custom, quantized_layers
from modelinspect.core.artifact import DocumentKind, FormatName
from modelinspect.core.names import WEIGHTS_H5
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DecompressStep, Role, Stream
from modelinspect.errors import FormatError
from modelinspect.formats.keras.config import model_config, read_json
from modelinspect.formats.keras.store import split_path
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.rewrite import Rewriting, rewritten
from modelinspect.networks.writers import is_of_tested_version, is_whole, keras_module
from modelinspect.remedies.advice import load_lines
from modelinspect.reports.wording import plural

_NAMES = {f"keras-{mode}": mode for mode in Mode}
_DOUBT, _DOUBT_OF_LAYER = 4_200, 700
"""What the size of a file that another release wrote may be off by: a block of the HDF5 library, and for each
layer what releases say about it or not.
"""
_LOADS = "in Keras 3, with load_model; not compiled"
_COUNTED = re.compile(r"(seed_generator|softmax|dropout)(_\d+)?")
"""Names that Keras makes for parts of layers, counted from the start of the program."""


@dataclass(frozen=True, slots=True)
class _Saved:
    """A file as Keras saved it: its configuration, how many bytes that takes, where the weights are, and the
    shapes of the variables of each owner.
    """

    config: dict[str, Any]
    config_size: int
    stream: Stream | None
    """None where there are no weights."""
    shapes: Mapping[str, list[tuple[int, ...]]]
    is_plain: bool


def _find(planning: Planning) -> Iterator[Outcome]:
    if not is_whole(planning.subject.artifact):
        return
    if keras_module(planning.subject.artifact) != "keras":
        yield LeftOut(tuple(_NAMES), "tf_keras has no Model.quantize; Keras 3 has")
        return
    faults: dict[Fault, tuple[list[str], list[Quantized]]] = {}
    for name, mode in _NAMES.items():
        if not planning.wants(name):
            continue
        try:
            outcome, layers = _option(planning, name, mode)
        except (FormatError, UnmeasurableError) as error:
            yield LeftOut((name,), str(error))
            continue
        yield outcome
        for fault in Fault if isinstance(outcome, Option) else ():
            if faulty := [layer for layer in layers if layer.fault is fault]:
                faults.setdefault(fault, ([], faulty))[0].append(name)
    for fault, (names, faulty) in faults.items():
        yield _warning(fault, names, faulty)


def _option(planning: Planning, name: str, mode: Mode) -> tuple[Option | LeftOut, list[Quantized]]:
    """Return the option, and the layers that are quantized."""
    saved = _saved(planning)
    model = model_config(saved.config)
    if model is None:
        raise UnmeasurableError("its configuration describes no model")
    layers = quantized_layers(model, mode, tuple(saved.shapes))
    arrays = {f"/{layer.path}/vars": layer.arrays(mode, saved.shapes[layer.path]) for layer in layers}
    if saved.stream is None:
        raise UnmeasurableError("it has no weights")
    number = id(layers)  # the addresses that Keras writes have as many digits on the same machine
    text = json.dumps(quantized_config(saved.config, mode, number))
    source = planning.subject.files.open_stream(saved.stream)
    now = Rewriting(linked_last=True, through_file=True, by_container=True)
    made = rewritten(
        source, replace(now, keep=is_no_training, attributes=_Renumbered(), arrays=arrays.get)
    ).size
    size = planning.subject.size - source.size + made - saved.config_size + len(text)
    if size >= planning.subject.size and not planning.wanted:
        return LeftOut((name,), f"not smaller: {size:,} bytes"), layers
    # Exact where the copy of the file as it is now has its size: the library then lays out both alike.
    is_exact = (
        saved.is_plain
        and not any(is_custom(layer) for layer in model.walk())  # whose configuration may change
        and is_of_tested_version(planning.subject.artifact)
        and rewritten(source, now).size == source.size
    )
    doubt = _DOUBT + _DOUBT_OF_LAYER * sum(1 for _ in model.walk())
    is_loaded = all(layer.fault is not Fault.NOT_LOADED for layer in layers)
    option = Option(
        name,
        size,
        Basis.EXACT if is_exact else Basis.ESTIMATE,
        False,
        _LOADS if is_loaded else f"with load_weights, into this model after quantize({mode.value!r})",
        _command(planning, name, mode),
        _notes(planning, layers, mode),
        None if is_exact else round(doubt / max(size, 1), 4),
    )
    return option, layers


def _saved(planning: Planning) -> _Saved:
    subject = planning.subject
    artifact = subject.artifact
    if not subject.is_file or subject.is_in_archive:
        raise UnmeasurableError("the model is in several files or in an archive")
    if artifact.diagnostics:
        raise UnmeasurableError("the file is damaged, and is not given to the HDF5 library")
    configs = [each for each in artifact.documents if each.kind is DocumentKind.KERAS_CONFIG]
    if artifact.facts.get("weights") != WEIGHTS_H5 or len(configs) != 1:
        raise UnmeasurableError(f"the weights are not in {WEIGHTS_H5}")
    streams: set[Stream] = set()
    shapes: dict[str, dict[int, tuple[int, ...]]] = {}
    for tensor in artifact.tensors:
        stream = getattr(tensor.payload, "stream", None)
        place = split_path(tensor.path)
        if isinstance(stream, Stream) and place is not None:
            streams.add(stream)
            shapes.setdefault(place[0], {})[place[1]] = tensor.shape
    document = configs[0]
    steps = [*document.stream.steps, *(step for stream in streams for step in stream.steps)]
    if len(streams) > 1 or any(isinstance(step, DecompressStep) for step in steps):
        raise UnmeasurableError("its members are compressed or not as Keras writes them")
    stored = document.data
    if stored is None:
        source = subject.files.open_stream(document.stream)
        subject.limits.allow(
            "a configuration", document.span.size, subject.limits.structure_size, document.stream.member
        )
        stored = source.read_at(document.span.offset, document.span.size)
    config = read_json(stored)
    if not isinstance(config, dict):
        raise UnmeasurableError("its configuration cannot be read")
    ordered = {owner: [own[index] for index in sorted(own)] for owner, own in shapes.items()}
    is_plain = json.dumps(config).encode() == stored
    return _Saved(config, len(stored), streams.pop() if streams else None, ordered, is_plain)


class _Renumbered:
    """Gives the parts of layers that Keras names itself the names that they get in a new program."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, path: str, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("name")
        match = _COUNTED.fullmatch(name) if isinstance(name, str) else None
        owner = path.removesuffix("/vars").rpartition("/")[2].lstrip("_")
        if match is None or owner not in ("seed_generator", "softmax", "dropout_layer"):
            return values
        base = match.group(1)
        count = self._seen[base] = self._seen.get(base, -1) + 1
        return {**values, "name": f"{base}_{count}" if count else base}


def _command(planning: Planning, name: str, mode: Mode) -> str:
    stem = planning.subject.file_name.removesuffix(".keras")
    target = f"{stem}-{name.removeprefix('keras-')}.keras"
    return "\n".join(
        (
            load_lines(planning.subject.artifact),
            f"model.quantize({mode.value!r})",
            f"model.save({target!r})",
        )
    )


def _warning(fault: Fault, names: list[str], layers: list[Quantized]) -> Note:
    warning = f"Do not use {' or '.join(names)} without a test of the result: in Keras 3.15, "
    match fault:
        case Fault.NOT_LOADED:
            return Note(
                f"{warning}load_model refuses the file or restores other weights, because the configuration"
                f" does not say that layers within {_owners(layers)} are quantized."
            )
        case Fault.NOT_SCALED:
            return Note(
                f"{warning}{_owners(layers)} uses the integers of the quantized kernel without their scale,"
                " so the outputs are wrong."
            )


def _owners(layers: list[Quantized]) -> str:
    """Name the layers that hold others, once each."""
    named = (f"{one.owner.name} ({one.owner.class_name})" for one in layers if one.owner is not None)
    owners = list(dict.fromkeys(named))
    return ", ".join(owners[:3]) + (f" and {len(owners) - 3} more" if len(owners) > 3 else "")


def _notes(planning: Planning, layers: list[Quantized], mode: Mode) -> str:
    rounded = (
        "4 bits, in blocks of 128 inputs" if mode is Mode.INT4 else "8 bits, with a scale for each output"
    )
    notes = [
        f"rounds the weights of {plural(len(layers), 'layer')} to {rounded}; other layers stay as they are"
    ]
    if planning.subject.of_role(Role.OPTIMIZER):
        notes.append("without the optimizer, because the command does not compile the model")
    return "; ".join(notes)


FAMILY = Family(tuple(_NAMES), _find, reads_weights=False, formats=frozenset((FormatName.KERAS_ZIP,)))
