"""Decide which dead channels a network does without, and count the bytes that go with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Storage
from modelinspect.errors import FormatError, LimitError
from modelinspect.measure.blocks import Reading, UnmeasurableError
from modelinspect.measure.facts import Measurements
from modelinspect.networks.channels.builder import Builder
from modelinspect.networks.channels.wires import Bits, Cut, Numbers, Wires
from modelinspect.reports.wording import plural
from modelinspect.sources.files import FileSet

_UNREAD = "nothing that is known reads them"
_LAST = "a layer has one channel at least"


@dataclass(frozen=True, slots=True)
class Saving:
    """What goes with the dead channels of a kernel.

    ``gone`` counts, by axis, the dead slices that can be taken out; ``kept`` why the others cannot. ``own``
    are bytes of the kernel and of the vectors of its layer, ``others`` those of other layers, by their names;
    ``folded`` counts the channels that carry a constant, which goes into a bias after them.
    """

    gone: Mapping[int, int]
    kept: tuple[str, ...]
    own: int
    others: Mapping[str, int]
    folded: int

    @property
    def size(self) -> int:
        """All bytes that go."""
        return self.own + sum(self.others.values())


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kernels of which only the second reads the channels of the first, and some of those go; both have a
    bias.
    """

    kernel: TensorId
    reader: TensorId
    layer: str
    next_layer: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What a network can do without: ``savings`` by kernel, and of each tensor the places that go, by axis.

    ``pairs`` are the simplest case; those between whom most goes come first.
    """

    savings: Mapping[TensorId, Saving]
    places: Mapping[TensorId, Mapping[int, tuple[int, ...]]] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()

    @property
    def size(self) -> int:
        """All bytes that go."""
        return sum(saving.size for saving in self.savings.values())


def find_removal(
    artifact: Artifact, files: FileSet, measurements: Measurements, limits: Limits | None = None
) -> Removal | None:
    """Find the channels that an artifact's network can do without; None where nothing is dead or connections
    are unknown.
    """
    if not any(measure.pattern is not None and any(measure.pattern.dead) for measure in measurements.tensors):
        return None
    builder = Builder(artifact, measurements, Reading(files, files.budgeted(limits), bytearray()))
    # Each reads networks of some formats, whose parsers the other does not need.
    if artifact.format is FormatName.TFLITE:
        from modelinspect.networks.channels.tflite import follow_tflite as follow
    else:
        from modelinspect.networks.channels.keras import follow_keras as follow
    try:
        with np.errstate(all="ignore"):  # variables can be anything
            if not follow(builder):
                return None
    except (FormatError, LimitError, UnmeasurableError):
        return None
    return _decide(builder)


@dataclass(slots=True)
class _Verdict:
    """What was decided of each channel: whether it goes, whose dead slice it is, whether its constant is
    folded, why it stays.
    """

    roots: Numbers
    gone: Bits
    cause: Numbers
    folded: Bits
    reasons: dict[int, str]

    def of(self, cut: Cut) -> Bits:
        """Return which places of a cut are removed."""
        found: Bits = self.gone[self.roots[cut.ids]]
        return found


def _decide(builder: Builder) -> Removal:
    verdict = _judge(builder)
    cuts: dict[TensorId, list[Cut]] = defaultdict(list)
    for cut in builder.wires.cuts:
        cuts[cut.tensor].append(cut)
    sizes: dict[TensorId, Counter[TensorId]] = defaultdict(Counter)
    places: dict[TensorId, dict[int, tuple[int, ...]]] = {}
    for tensor, many in cuts.items():
        axes = {cut.axis % len(builder.artifact.tensors[tensor].shape): cut for cut in many}
        if len(axes) < len(many):  # several layers share what is stored once
            continue
        for kernel, size in _attributed(builder.artifact, tensor, axes, verdict).items():
            sizes[kernel][tensor] += size
        found = {axis: tuple(np.flatnonzero(verdict.of(cut)).tolist()) for axis, cut in axes.items()}
        if any(found.values()):
            places[tensor] = {axis: some for axis, some in found.items() if some}
    savings: dict[TensorId, Saving] = {}
    for tensor, many in cuts.items():
        if builder.artifact.tensors[tensor].storage is not Storage.DENSE:
            continue
        if any(cut.dead is not None and cut.dead.any() for cut in many) or tensor in sizes:
            savings[tensor] = _saving(builder.artifact, tensor, many, sizes.get(tensor, Counter()), verdict)
    return Removal(savings, places, _pairs(builder.wires, cuts, verdict))


def _judge(builder: Builder) -> _Verdict:
    """Find the channels that nobody needs and that are dead slices of a kernel; a layer keeps one at least.

    Kernels that are sparse or compressed store next to nothing of dead slices: theirs do not count.
    """
    wires = builder.wires
    count = len(wires.parents)
    roots = wires.roots(np.arange(count))
    stays, seen, folded = (np.zeros(count, dtype=np.bool_) for _ in range(3))
    reasons: dict[int, str] = {}
    for ids, why in reversed(wires.stops):  # the model's outputs are given last
        _tell(reasons, roots[ids], why)
        stays[roots[ids]] = True
    for reader in wires.readers:
        if reader.wire.ids is None:
            continue
        ids = roots[reader.wire.ids]
        needed, goes, why = reader.needed()
        seen[ids] = True
        stays[ids[needed]] = True
        folded[ids[goes]] = True
        _tell(reasons, ids[needed & reader.wire.fixed], why)
        _tell(reasons, ids[needed & ~reader.wire.fixed], f"{reader.name} reads their channels")
    cause = np.full(count, -1)
    for cut in sorted(wires.cuts, key=lambda cut: not cut.makes):
        if cut.dead is not None and builder.artifact.tensors[cut.tensor].storage is Storage.DENSE:
            dead = roots[cut.ids[cut.dead]]
            cause[dead[cause[dead] < 0]] = cut.tensor
    verdict = _Verdict(roots, ~stays & seen & (cause >= 0), cause, folded, reasons)
    _tell(reasons, np.flatnonzero(~stays & ~seen), _UNREAD)
    for cut in wires.cuts:
        if len(cut.ids) and verdict.of(cut).all():
            verdict.gone[roots[cut.ids[0]]] = False
            _tell(reasons, roots[cut.ids[:1]], _LAST)
    return verdict


def _pairs(wires: Wires, cuts: Mapping[TensorId, list[Cut]], verdict: _Verdict) -> tuple[Pair, ...]:
    """Find kernels that follow one another with nothing between that has a slice for each channel, or changes
    what they carry.
    """
    tensors: dict[int, set[TensorId]] = defaultdict(set)
    for cut in (cut for many in cuts.values() for cut in many):
        for root in np.unique(verdict.roots[cut.ids]).tolist():
            tensors[root].add(cut.tensor)
    found: list[tuple[int, TensorId, TensorId]] = []
    for reader in wires.readers:
        maker, ids = reader.wire.maker, reader.wire.ids
        if maker is None or ids is None or not reader.plain:
            continue
        roots = np.unique(verdict.roots[ids])
        gone = int(verdict.gone[roots].sum())
        if gone and all(
            len(tensors[root]) == 3 for root in roots.tolist()
        ):  # both kernels, and the bias of the first
            found.append((-gone, maker, reader.kernel))
    names = {reader.kernel: reader.name for reader in wires.readers}
    return tuple(
        Pair(maker, kernel, names.get(maker, ""), names[kernel]) for _, maker, kernel in sorted(found)
    )


def _tell(reasons: dict[int, str], roots: Numbers, why: str) -> None:
    for root in roots.tolist():
        reasons.setdefault(root, why)


def _attributed(
    artifact: Artifact, index: TensorId, axes: Mapping[int, Cut], verdict: _Verdict
) -> Counter[TensorId]:
    """Share out the bytes that a tensor loses over the kernels whose dead slices they are: to makers
    first.
    """
    tensor = artifact.tensors[index]
    found: Counter[TensorId] = Counter()
    if tensor.storage is not Storage.DENSE or not tensor.element_count:
        return found
    left = tensor.element_count
    for axis, cut in sorted(axes.items(), key=lambda item: not item[1].makes):
        places = verdict.of(cut)
        each = left // tensor.shape[axis]
        kernels, counts = np.unique(verdict.cause[verdict.roots[cut.ids[places]]], return_counts=True)
        for kernel, times in zip(kernels.tolist(), counts.tolist(), strict=True):
            found[TensorId(kernel)] += each * times
        left -= each * int(places.sum())
    return Counter(
        {kernel: elements * tensor.stored_size // tensor.element_count for kernel, elements in found.items()}
    )


def _saving(
    artifact: Artifact, index: TensorId, cuts: list[Cut], sizes: Counter[TensorId], verdict: _Verdict
) -> Saving:
    kernel = artifact.tensors[index]
    own = 0
    others: Counter[str] = Counter()
    for tensor, size in sizes.items():
        other = artifact.tensors[tensor]
        if tensor == index or (
            kernel.layer is not None and other.layer == kernel.layer and len(other.shape) == 1
        ):
            own += size
        elif size:
            others[other.layer or other.name] += size
    gone: dict[int, int] = {}
    kept: list[str] = []
    folded = 0
    for cut in cuts:
        if cut.dead is None:
            continue
        axis = cut.axis % len(kernel.shape)
        goes = verdict.of(cut) & cut.dead
        gone[axis] = gone.get(axis, 0) + int(goes.sum())
        folded += len(np.unique(verdict.roots[cut.ids[goes]][verdict.folded[verdict.roots[cut.ids[goes]]]]))
        stay = verdict.roots[cut.ids[cut.dead & ~goes]].tolist()
        what = "dead output" if cut.makes else "dead input"
        for why, count in Counter(verdict.reasons.get(root, _UNREAD) for root in stay).items():
            kept.append(f"{plural(count, what)} {'stays' if count == 1 else 'stay'}: {why}")
    return Saving(gone, tuple(dict.fromkeys(kept)), own, dict(others), folded)
