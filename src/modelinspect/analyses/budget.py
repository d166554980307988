"""Check an artifact against a budget."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from msgspec.structs import replace

from modelinspect.analyses.summary import zero_counts
from modelinspect.budgets.file import COMPRESSORS, Budget, Lock
from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Role
from modelinspect.ledger.attribution import attribute
from modelinspect.ledger.rollup import Key, roll_up
from modelinspect.measure.compressors import BLOCK, compress_all
from modelinspect.measure.facts import Measurements
from modelinspect.measure.tarball import tar_stream
from modelinspect.networks.subject import Subject
from modelinspect.reports.categories import Category
from modelinspect.reports.check import CheckEntry, CheckReport, LockEntry
from modelinspect.reports.entries import artifact_entry
from modelinspect.reports.wording import percent, plural, short_size
from modelinspect.sources.files import FileSet

_MODEL = frozenset((Role.WEIGHT, Role.STATISTIC, Role.CONSTANT))


def check_artifact(
    artifact: Artifact,
    files: FileSet,
    measurements: Measurements,
    budget: Budget,
    lock: Lock | None,
    name: str = "budget",
    *,
    must_be_locked: bool = False,
) -> CheckReport:
    """Check every limit of a budget; without a lock, growth is not checked, or fails where it
    ``must_be_locked``.
    """
    ledger = attribute(artifact, zero_counts(measurements))
    categories = {str(category): size for category, size in ledger.category_sizes().items()}
    layers = {
        str(row.values[0]): row.size
        for row in roll_up(ledger, (Key.LAYER,))
        if row.values and row.values[0] is not None
    }
    wanted = [name for name in COMPRESSORS if name in budget.compressed or name in budget.growth]
    compressed = compressed_sizes(artifact, files, wanted)
    entries = [
        *_sizes(artifact, budget, categories, compressed),
        *_layers(artifact, budget, layers),
        *_sparsity(artifact, budget, measurements),
        *_efficiency(artifact, budget, measurements),
        *(_growth(artifact, budget, lock, categories, compressed) if lock is not None else ()),
        *(_unlocked(budget) if lock is None and must_be_locked else ()),
    ]
    return CheckReport(
        artifact=artifact_entry(artifact),
        budget=name,
        passed=all(entry.ok for entry in entries),
        checks=tuple(
            entry if entry.ok else replace(entry, remedy=_remedy(entry, artifact.location))
            for entry in entries
        ),
        lock=LockEntry(size=artifact.size, categories=categories, compressed=compressed),
    )


def _remedy(entry: CheckEntry, location: str) -> str:
    """Say what to do about a limit that is exceeded."""
    name = shlex.quote(location)
    if entry.actual is None and entry.check != "growth":
        return "correct the pattern in the budget, or the name of the layer"
    match entry.check, entry.subject:
        case "growth", _:
            return (
                f"modelinspect explain BEFORE {name} shows what grew; where that is intended, --update-lock"
                " accepts it"
            )
        case "category", Category.OPTIMIZER_STATE | Category.PRUNING_STATE:
            return f"modelinspect shrink {name} -o OUT --drop training removes it"
        case "sparsity", _:
            return (
                f"modelinspect tensors {name} lists the zeros of each tensor; prune the layer further, or"
                " lower the limit"
            )
        case "efficiency", _:
            return f"modelinspect {name} shows what takes the other bytes"
        case _:
            return (
                f"modelinspect plan {name} shows how small it could be, and modelinspect shrink {name}"
                " --check what can go without loss"
            )


def compressed_sizes(artifact: Artifact, files: FileSet, names: list[str]) -> dict[str, int]:
    """Return what the whole artifact compresses to: a file as it is, several as a tar archive that is always
    the same.
    """
    if not names:
        return {}
    from modelinspect.analyses.plan.base import Planning  # few budgets limit compressed sizes
    from modelinspect.analyses.plan.transport import gzip_frame

    found = compress_all(_bytes(artifact, files), [COMPRESSORS[name] for name in names])
    return {
        name: (
            found[COMPRESSORS[name]]
            + (gzip_frame(Planning(Subject(artifact, open_files=files))) if name == "gzip" else 0)
        )
        for name in names
    }


def _bytes(artifact: Artifact, files: FileSet) -> Iterator[bytes]:
    if len(artifact.members) == 1:
        return _member(files, artifact.members[0].name)
    return tar_stream((member.name, member.size, _member(files, member.name)) for member in artifact.members)


def _member(files: FileSet, name: str) -> Iterator[bytes]:
    source = files.open(name)
    for start in range(0, source.size, BLOCK):
        yield source.read_at(start, min(BLOCK, source.size - start))


def _both(size: int) -> str:
    """Return a size in bytes and, of large ones, also in the unit that suits it."""
    return plural(size, "byte") if size < 1024 else f"{size:,} bytes ({short_size(size)})"


def _at_most(check: str, subject: str, actual: int, limit: int, what: str) -> CheckEntry:
    over = actual - limit
    text = (
        f"{_both(over)} over the limit of {limit:,}"
        if over > 0
        else f"{_both(-over)} below the limit of {limit:,}"
    )
    return CheckEntry(
        check=check,
        subject=subject,
        unit="bytes",
        actual=actual,
        limit=limit,
        ok=over <= 0,
        message=f"{what} {actual:,} bytes, {text}",
    )


def _sizes(
    artifact: Artifact, budget: Budget, categories: Mapping[str, int], compressed: Mapping[str, int]
) -> Iterator[CheckEntry]:
    if budget.size is not None:
        yield _at_most("size", "", artifact.size, budget.size.of(artifact.size), "the model takes")
    for name, amount in budget.compressed.items():
        what = f"compressed by {COMPRESSORS[name]}, the model takes"
        yield _at_most("compressed", name, compressed[name], amount.of(artifact.size), what)
    for category, amount in budget.categories.items():
        yield _at_most(
            "category", category, categories[category], amount.of(artifact.size), f"{category} takes"
        )


def _layers(artifact: Artifact, budget: Budget, layers: Mapping[str, int]) -> Iterator[CheckEntry]:
    for pattern, amount in budget.layers.items():
        matching = {name: size for name, size in layers.items() if fnmatchcase(name, pattern)}
        limit = amount.of(artifact.size)
        if not matching:
            yield _unmatched("layer", pattern, "bytes", limit, layers)
            continue
        largest = max(matching, key=lambda name: (matching[name], name))
        above = sum(size > limit for size in matching.values())
        entry = _at_most(
            "layer",
            pattern,
            matching[largest],
            limit,
            f"{largest}, the largest of {plural(len(matching), 'layer')}, takes",
        )
        more = f"; {plural(above, 'layer')} in all" if above > 1 else ""
        yield replace(entry, message=f"{entry.message}{more}")


def _sparsity(artifact: Artifact, budget: Budget, measurements: Measurements) -> Iterator[CheckEntry]:
    zeros: dict[str, tuple[int, int]] = {}
    for tensor, measure in zip(artifact.tensors, measurements.tensors, strict=True):
        if (
            tensor.layer is not None
            and tensor.role is Role.WEIGHT
            and len(tensor.shape) > 1
            and measure.zero_count is not None
        ):
            before = zeros.get(tensor.layer, (0, 0))
            zeros[tensor.layer] = before[0] + measure.zero_count, before[1] + tensor.element_count
    shares = {name: zero / count for name, (zero, count) in zeros.items() if count}
    for pattern, floor in budget.sparsity.items():
        matching = {name: share for name, share in shares.items() if fnmatchcase(name, pattern)}
        if not matching:
            yield _unmatched("sparsity", pattern, "share", float(floor), shares)
            continue
        lowest = min(matching, key=lambda name: (matching[name], name))
        zero, count = zeros[lowest]
        below = sum(share < floor for share in matching.values())
        text = (
            f"{percent(zero, count)} of the elements of the kernels of {lowest} are zero, the least of"
            f" {plural(len(matching), 'layer')}"
        )
        rest = f"below the floor of {floor:.1%}" if below else f"at or above the floor of {floor:.1%}"
        more = f"; {plural(below, 'layer')} in all" if below > 1 else ""
        yield CheckEntry(
            check="sparsity",
            subject=pattern,
            unit="share",
            actual=shares[lowest],
            limit=float(floor),
            ok=not below,
            message=f"{text}, {rest}{more}",
        )


def _unmatched(check: str, pattern: str, unit: str, limit: float, names: Mapping[str, object]) -> CheckEntry:
    some = ", ".join(sorted(names)[:5]) or "none"
    kind = "layer with kernels" if check == "sparsity" else "layer"
    message = f"no {kind} matches {pattern!r}, so nothing was checked; there are {some}"
    return CheckEntry(
        check=check, subject=pattern, unit=unit, actual=None, limit=limit, ok=False, message=message
    )


def _efficiency(artifact: Artifact, budget: Budget, measurements: Measurements) -> Iterator[CheckEntry]:
    if budget.efficiency is None:
        return
    bits = unknown = 0
    for tensor, measure in zip(artifact.tensors, measurements.tensors, strict=True):
        if tensor.role in _MODEL and tensor.extents:
            if measure.zero_count is None:
                unknown += 1
            else:
                bits += (tensor.element_count - measure.zero_count) * tensor.dtype.bits
    share = bits / 8 / artifact.size if artifact.size else 0.0
    ok = share >= budget.efficiency
    text = f"{bits // 8:,} bytes of weights that are not zero are {share:.1%} of the artifact"
    rest = f"{'at or above' if ok else 'below'} the floor of {budget.efficiency:.1%}"
    more = f"; {plural(unknown, 'tensor')} could not be measured" if unknown else ""
    yield CheckEntry(
        check="efficiency",
        subject="",
        unit="share",
        actual=share,
        limit=float(budget.efficiency),
        ok=ok,
        message=f"{text}, {rest}{more}",
    )


def _unlocked(budget: Budget) -> Iterator[CheckEntry]:
    for name in budget.growth:
        message = "the lock has no entry for this model; --update-lock adds it"
        yield CheckEntry(
            check="growth", subject=name, unit="bytes", actual=None, limit=0, ok=False, message=message
        )


def _growth(
    artifact: Artifact,
    budget: Budget,
    lock: Lock,
    categories: Mapping[str, int],
    compressed: Mapping[str, int],
) -> Iterator[CheckEntry]:
    now = {"size": artifact.size, **categories, **compressed}
    before: dict[str, int] = {
        "size": lock.size,
        **dict.fromkeys(categories, 0),
        **lock.categories,
        **lock.compressed,
    }
    for name, amount in budget.growth.items():
        if name not in before:
            message = f"the lock has no size compressed by {name}; write it again with --update-lock"
            yield CheckEntry(
                check="growth", subject=name, unit="bytes", actual=None, limit=0, ok=False, message=message
            )
            continue
        allowed = amount.of(before[name])
        delta = now[name] - before[name]
        text = (
            f"{name} was {before[name]:,} bytes and is {now[name]:,}, {delta:+,}; it may grow by {allowed:,}"
        )
        yield CheckEntry(
            check="growth",
            subject=name,
            unit="bytes",
            actual=delta,
            limit=allowed,
            ok=delta <= allowed,
            message=text,
        )
