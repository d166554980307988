"""Prove that two artifacts hold the same tensors and documents, with our own parser."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from modelinspect.core.artifact import Artifact, Document, DocumentKind
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.names import OPTIMIZER_WEIGHTS
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, Role, Tensor
from modelinspect.errors import FormatError, ModelInspectError
from modelinspect.measure.blocks import Block, Reading, UnmeasurableError
from modelinspect.measure.digest import Digester
from modelinspect.measure.readers import blocks
from modelinspect.sources.files import FileSet

_SLOTS = f"/{OPTIMIZER_WEIGHTS}/"
_ASSEMBLED_MOST = 256 * MIB
"""Tensors whose elements come in no order are put together in memory up to this size."""


class UnprovedError(ModelInspectError):
    """What should be equal is not, or could not be compared; nothing is written."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a tensor holds; ``digest`` is the SHA-256 of its dense elements, None where our parser cannot read
    them as numbers.
    """

    dtype: str
    shape: tuple[int, ...]
    digest: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared: ``equal`` of ``tensors`` have the same name, type, shape and elements.

    ``unread`` of them our parser does not read as numbers (strings); the independent reader compared those.
    ``dropped`` tensors were allowed to go. ``witnesses`` are the independent readers, with the number of
    things that each compared.
    """

    tensors: int
    equal: int
    unread: int
    dropped: int
    documents: int
    documents_equal: int
    documents_changed: int
    witnesses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What all tensors of an artifact hold, by path; ``aliases`` are other names of the same bytes.

    In HDF5 an alias is an absolute path, which ends with the path that the tensor would have had; Keras 2
    adds the number of an output to it (``:0``).
    """

    tensors: Mapping[str, Content]
    aliases: Mapping[str, Content]

    def get(self, name: str) -> tuple[str, Content] | None:
        """Return a tensor's key and content by its name or one of its other names."""
        if name in self.tensors:
            return name, self.tensors[name]
        for key in (name, f"/{name}"):
            if key in self.aliases:
                return key, self.aliases[key]
        endings = (f"/{name}", f"/{name}:0")
        return next(
            (
                (key, content)
                for key, content in self.aliases.items()
                if (key in _slots(name) if key.startswith(_SLOTS) else key.endswith(endings))
            ),
            None,
        )

    @property
    def count(self) -> int:
        """The number of names."""
        return len(self.tensors) + len(self.aliases)


def _slots(name: str) -> tuple[str, ...]:
    """Return where Keras 2 puts an optimizer's slot, whose name ends as that of its weight does."""
    place = f"{_SLOTS}{name.removeprefix('optimizer/')}"
    return place, f"{place}:0"


def contents(
    artifact: Artifact, files: FileSet, limits: Limits, tick: Callable[[int], None] = lambda size: None
) -> Contents:
    """Read every tensor of an artifact. Raises `ModelInspectError`."""
    reading = Reading(files, limits, bytearray())
    found: dict[str, Content] = {}
    aliases: dict[str, Content] = {}
    for tensor in artifact.tensors:
        content = found[tensor.path] = _content(tensor, reading)
        tick(tensor.logical_size)
        aliases |= dict.fromkeys(tensor.aliases, content)
    return Contents(found, aliases)


def documents(artifact: Artifact, files: FileSet) -> Counter[tuple[str, str, str]]:
    """Return kind, label and SHA-256 of every document of an artifact."""
    return Counter((str(each.kind), each.label, _document_digest(each, files)) for each in artifact.documents)


def compare_tensors(
    before: Contents, after: Contents, dropped: Mapping[str, object], renamed: Mapping[str, str]
) -> tuple[int, int]:
    """Compare tensors and return how many are equal, and how many of those our parser could not read.

    Raises `UnprovedError` for the first difference.
    """
    left = {*after.tensors, *after.aliases}
    equal = unread = 0
    for name, old in [*before.tensors.items(), *before.aliases.items()]:
        if name in dropped:
            continue
        match after.get(renamed.get(name, name)):
            case None:
                raise UnprovedError(f"tensor {name} is missing in the result")
            case key, new:
                left.discard(key)
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            raise UnprovedError(
                f"tensor {name} was {old.dtype} {old.shape} and is {new.dtype} {new.shape} in the result"
            )
        known = old.digest is not None and new.digest is not None
        if known and old.digest != new.digest:
            raise UnprovedError(f"tensor {name} has other elements in the result")
        equal += 1
        unread += not known
    if left:
        raise UnprovedError(f"tensor {min(left)} was not in the input")
    return equal, unread


def compare_in_order(before: Contents, after: Contents, dropped: Mapping[str, object]) -> tuple[int, int]:
    """Compare the tensors of artifacts of which one has no names any more. Raises `UnprovedError`.

    Every name counts, aliases too: where one of several tensors with the same bytes was dropped, another one
    is listed with those bytes.
    """
    old = sorted(
        _sortable(content)
        for name, content in [*before.tensors.items(), *before.aliases.items()]
        if name not in dropped
    )
    new = sorted(map(_sortable, [*after.tensors.values(), *after.aliases.values()]))
    if old != new:
        raise UnprovedError("the tensors of the result are not those of the input")
    return len(old), sum(not digest for _, _, digest in old)


def _sortable(content: Content) -> tuple[str, tuple[int, ...], str]:
    return content.dtype, content.shape, content.digest or ""


def compare_reduced(
    artifact: Artifact, before: Contents, after: Contents, changed: Collection[str] = ()
) -> tuple[int, int]:
    """Compare artifacts where training state was dropped, and return how many tensors are equal and how many
    were dropped.

    Every tensor of the model is in the result, under its name or, where its wrapper is gone, with the same
    type, shape and elements; a copy that a wrapper kept may go. The result holds nothing else. ``changed``
    names the tensors that list what was dropped, which are in both and are not counted. Raises
    `UnprovedError`.
    """
    left = {**after.tensors, **after.aliases}
    unmatched: list[tuple[str, Content]] = []
    equal = 0
    for name, old in before.tensors.items():
        if name in changed:
            if left.pop(name, old).dtype != old.dtype or name not in after.tensors:
                raise UnprovedError(f"tensor {name} is missing in the result or differs there")
        elif left.get(name) == old:
            del left[name]
            equal += 1
        else:
            unmatched.append((name, old))
    held = [*after.tensors.values()]
    training = {tensor.path for tensor in artifact.tensors if tensor.role in _TRAINING}
    for name, old in unmatched:
        known = next((key for key, new in left.items() if new == old), None)
        if known is not None and name not in training:
            del left[known]
            equal += 1
        elif name not in training and old not in held:
            raise UnprovedError(f"tensor {name} is missing in the result or differs there")
    if left.keys() - after.aliases.keys():
        raise UnprovedError(f"tensor {min(left)} was not in the input")
    return equal, len(before.tensors) - len(before.tensors.keys() & set(changed)) - equal


_TRAINING = (Role.OPTIMIZER, Role.PRUNING, Role.OTHER)


def _content(tensor: Tensor, reading: Reading) -> Content:
    try:
        return Content(tensor.dtype.name, tensor.shape, _digest(tensor, reading))
    except UnmeasurableError as error:
        return Content(tensor.dtype.name, tensor.shape, None, str(error))


def _digest(tensor: Tensor, reading: Reading) -> str:
    """Return the SHA-256 of a tensor's elements in order, least significant byte first."""
    ordered = Digester(tensor)
    for block in blocks(tensor, reading):
        ordered.add(block)
    digest = ordered.value()
    if digest is not None:
        return digest
    width = tensor.dtype.bits // 8
    if not width or tensor.dtype.bits % 8 or tensor.element_count * width > _ASSEMBLED_MOST:
        raise UnmeasurableError("its elements are stored in no order")
    whole = np.zeros((*tensor.shape, width), dtype=np.uint8)
    covered = 0
    for block in blocks(tensor, reading):
        covered += _place(block, whole, tensor, width)
    if covered != tensor.element_count:
        raise FormatError(f"tensor {tensor.name}: {covered:,} of {tensor.element_count:,} elements were read")
    return hashlib.sha256(whole.data).hexdigest()


def _place(block: Block, whole: Any, tensor: Tensor, width: int) -> int:
    """Put the elements of a block where they belong and return how many they are."""
    if not block.placed or (block.order is ByteOrder.BIG and width > 1):
        raise UnmeasurableError("its elements are stored in no order")
    if block.box is not None:
        place = tuple(
            slice(at, at + length) for at, length in zip(block.box.origin, block.box.shape, strict=True)
        )
        whole[place] = block.data.reshape(*block.box.shape, width)
        return block.count
    flat = whole.reshape(-1, width)
    data = np.tile(block.data.reshape(-1, width), (block.repeat, 1))
    flat[block.first : block.first + len(data)] = data
    return len(data)


def _document_digest(document: Document, files: FileSet) -> str:
    if document.data is not None:
        return hashlib.sha256(document.data).hexdigest()
    if document.kind in (DocumentKind.TFJS_MODEL, DocumentKind.SHARD_MAP):
        return _json_digest(
            files.open_stream(document.stream).read_at(document.span.offset, document.span.size)
        )
    found = hashlib.sha256()
    source = files.open_stream(document.stream)
    for offset, size in _runs(document.span.offset, document.span.size):
        found.update(source.read_at(offset, size))
    return found.hexdigest()


def _json_digest(text: bytes) -> str:
    """Return the SHA-256 of a description in JSON without white space, and of a TensorFlow.js description
    without the names of its weights files.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return hashlib.sha256(text).hexdigest()
    groups = value.get("weightsManifest") if isinstance(value, dict) else value
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict):
            group.pop("paths", None)
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _runs(offset: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, MIB):
        yield offset + start, min(MIB, size - start)
