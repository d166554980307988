"""The size of the `.keras` file that Keras 3 saves of a model that it quantized."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from modelinspect.conversion.quantized.config import quantized_config
from modelinspect.conversion.quantized.layers import Mode, Quantized, is_custom, quantized_layers
from modelinspect.core.artifact import Artifact, DocumentKind
from modelinspect.core.names import WEIGHTS_H5
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import DecompressStep, Stream
from modelinspect.formats.keras.config import model_config, read_json
from modelinspect.formats.keras.store import split_path
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.rewrite import Rewriting, rewritten
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import is_of_tested_version

_DOUBT, _DOUBT_OF_LAYER = 4_200, 700
"""What the size of a file that another release wrote may be off by: a block of the HDF5 library, and for each
layer what releases say about it or not.
"""
_COUNTED = re.compile(r"(seed_generator|softmax|dropout)(_\d+)?")
"""Names that Keras makes for parts of layers, counted from the start of the program."""
_PARTS = frozenset(("seed_generator", "softmax", "dropout_layer"))
"""Where a layer keeps these parts."""


@dataclass(frozen=True, slots=True)
class QuantizedFile:
    """The size in bytes, what it may be off by (a fraction of it; None where it is exact), and the layers
    that are quantized.
    """

    size: int
    error: float | None
    layers: tuple[Quantized, ...]


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
    """Whether the configuration is written as Keras writes it."""


def quantized_file(subject: Subject, mode: Mode, keep: Callable[[str], bool]) -> QuantizedFile:
    """Return what Keras saves of a `.keras` file that it loaded and quantized; ``keep`` says which objects of
    the HDF5 file within stay.

    Raises `UnmeasurableError` and `FormatError` where Keras refuses the model, or the size is not known.
    """
    saved = _saved(subject)
    model = model_config(saved.config)
    if model is None:
        raise UnmeasurableError("its configuration describes no model")
    layers = quantized_layers(model, mode, tuple(saved.shapes))
    arrays = {f"/{layer.path}/vars": layer.arrays(mode, saved.shapes[layer.path]) for layer in layers}
    if saved.stream is None:
        raise UnmeasurableError("it has no weights")
    number = id(layers)  # the addresses that Keras writes have as many digits on the same machine
    text = json.dumps(quantized_config(saved.config, mode, number))
    source = subject.files.open_stream(saved.stream)
    now = Rewriting(linked_last=True, through_file=True, by_container=True)
    made = rewritten(source, replace(now, keep=keep, attributes=_Renumbered(), arrays=arrays.get)).size
    size = subject.size - source.size + made - saved.config_size + len(text)

    # Exact where the copy of the file as it is now has its size: the library then lays out both alike.
    is_known = (
        saved.is_plain
        and is_of_tested_version(subject.artifact)
        and not any(is_custom(layer) for layer in model.walk())  # whose configuration may change
    )
    is_exact = is_known and rewritten(source, now).size == source.size
    doubt = _DOUBT + (0 if is_known else _DOUBT_OF_LAYER * sum(1 for _ in model.walk()))
    return QuantizedFile(size, None if is_exact else round(doubt / max(size, 1), 4), tuple(layers))


def _saved(subject: Subject) -> _Saved:
    artifact = subject.artifact
    if not subject.is_file or subject.is_in_archive:
        raise UnmeasurableError("the model is in several files or in an archive")
    if artifact.diagnostics:
        raise UnmeasurableError("the file is damaged, and is not given to the HDF5 library")
    configs = [each for each in artifact.documents if each.kind is DocumentKind.KERAS_CONFIG]
    if artifact.facts.get("weights") != WEIGHTS_H5 or len(configs) != 1:
        raise UnmeasurableError(f"the weights are not in {WEIGHTS_H5}")
    streams, shapes = _variables(artifact)
    document = configs[0]
    steps = [*document.stream.steps, *(step for stream in streams for step in stream.steps)]
    if len(streams) > 1 or any(isinstance(step, DecompressStep) for step in steps):
        raise UnmeasurableError("its members are compressed or not as Keras writes them")
    stored = document.data
    if stored is None:
        limits = subject.limits
        limits.allow("a configuration", document.span.size, limits.structure_size, document.stream.member)
        source = subject.files.open_stream(document.stream)
        stored = source.read_at(document.span.offset, document.span.size)
    config = read_json(stored)
    if not isinstance(config, dict):
        raise UnmeasurableError("its configuration cannot be read")
    is_plain = json.dumps(config).encode() == stored
    return _Saved(config, len(stored), streams.pop() if streams else None, shapes, is_plain)


def _variables(artifact: Artifact) -> tuple[set[Stream], dict[str, list[tuple[int, ...]]]]:
    """Return where variables are stored, and their shapes in order for each owner's path in the store."""
    streams: set[Stream] = set()
    shapes: dict[str, dict[int, tuple[int, ...]]] = {}
    for tensor in artifact.tensors:
        stream = getattr(tensor.payload, "stream", None)
        place = split_path(tensor.path)
        if isinstance(stream, Stream) and place is not None:
            streams.add(stream)
            shapes.setdefault(place[0], {})[place[1]] = tensor.shape
    return streams, {owner: [own[index] for index in sorted(own)] for owner, own in shapes.items()}


class _Renumbered:
    """Gives the parts of layers that Keras names itself the names that they get in a new program."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, path: str, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("name")
        match = _COUNTED.fullmatch(name) if isinstance(name, str) else None
        if match is None or path.removesuffix("/vars").rpartition("/")[2].lstrip("_") not in _PARTS:
            return values
        base = match.group(1)
        count = self._seen[base] = self._seen.get(base, -1) + 1
        return {**values, "name": f"{base}_{count}" if count else base}
