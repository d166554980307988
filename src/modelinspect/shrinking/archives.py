"""Shrink the models inside zip, tar and gzip archives, and pack the archive again around them."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from modelinspect.core.artifact import FormatName
from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass, field, replace
from modelinspect.encodings.gzip import original_name
from modelinspect.formats.archives.format import archived_models
from modelinspect.formats.base import Parsing
from modelinspect.formats.candidates import Candidate
from modelinspect.shrinking.packing import Package, compare_package, open_package
from modelinspect.shrinking.proof import Proof, UnprovedError
from modelinspect.shrinking.steps import (
    LOSSLESS,
    Drop,
    Job,
    Loader,
    NotShrinkableError,
    Options,
    StepName,
    Witness,
)
from modelinspect.shrinking.zip_files import copy_source, deflated_size, remove
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_INDEX = ".index"
_AT_ONCE = 8 * MIB
"""Files up to this size are compressed in both forms to see which takes less; of larger ones the shrunk form
is taken.
"""


@dataclass(frozen=True, slots=True)
class Inner:
    """What shrinking a model inside an archive gave: the new files by their paths on disk, and the proof that
    they hold the same.
    """

    files: Mapping[str, Path]
    proof: Proof
    steps: tuple[str, ...]
    loads_in: tuple[Loader, ...]


ShrinkInner = Callable[[Path, Path, Options], Inner | str]
"""Shrinks the model at a path to another path; returns why it stays where it stays."""


@dataclass(slots=True)
class Wrapped:
    """What `shrink_archive` did: proofs of the models that were shrunk, the programs that load them, and what
    compares the archive.
    """

    witness: Witness
    proofs: list[Proof] = field(default_factory=list)
    loads_in: tuple[Loader, ...] = ()


def shrink_archive(job: Job, shrink_inner: ShrinkInner) -> Wrapped:
    """Write an archive again with smaller models inside. Raises `NotShrinkableError`."""
    source = job.files.open(job.primary)
    scratch = job.folder / ".scratch"
    scratch.mkdir()
    try:
        kinds = job.artifact.facts.get("wrapped_in", ())
        if kinds and kinds[0] == "gzip":
            return _gzip(job, source, scratch, shrink_inner)
        return _files(job, source, scratch, shrink_inner)
    finally:
        remove(scratch)


def _gzip(job: Job, source: Source, scratch: Path, shrink_inner: ShrinkInner) -> Wrapped:
    """Compress what a gzip file holds again, or the smaller form of it."""
    name = _inner_name(job.primary, source)
    original = scratch / name
    _gunzip(source, original, job)
    best = _best(job, original, scratch, shrink_inner, compresses=True)
    chosen = original if best is None else next(iter(best.files.values()))
    target = job.folder / job.primary
    _compress(chosen, target, source, job.work.options.level)
    _record(job, source.size - target.stat().st_size, [] if best is None else [(name, best)])
    expected = _digest(chosen)

    def witness(after: FileSet) -> Mapping[str, int]:
        with gzip.open(job.folder / job.primary) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise UnprovedError(f"{job.primary}: gzip reads other bytes than were compressed")
        return {"gzip": 1}

    return Wrapped(witness, [] if best is None else [best.proof], () if best is None else best.loads_in)


def _inner_name(name: str, source: Source) -> str:
    """Return the name of what a gzip file holds, as its readers call it; it decides how that is read."""
    stem = (
        name.removesuffix(".tgz") + ".tar"
        if name.endswith(".tgz")
        else name.removesuffix(".gz").removesuffix(".gzip")
    )
    if stem == name:
        stem = PurePosixPath(original_name(source)).name or f"{name}.bin"
    return stem


def _gunzip(source: Source, target: Path, job: Job) -> None:
    """Unpack a gzip file within limits. Raises `NotShrinkableError` where it is damaged."""
    packed = target.with_name(f"{target.name}.packed")
    copy_source(source, packed)
    most = min(job.work.limits.decompressed_size, job.work.limits.expansion * source.size + MIB)
    done = 0
    try:
        with gzip.open(packed) as file, target.open("wb") as out:
            while block := file.read(MIB):
                done += len(block)
                job.work.limits.allow("unpacking it", done, most, source.name)
                out.write(block)
                job.work.tick(len(block))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise NotShrinkableError(f"{source.name}: damaged, and left alone: {error}") from error
    packed.unlink()


def _compress(original: Path, target: Path, source: Source, level: int) -> None:
    """Compress a file under the name and time that the old header has."""
    time = int.from_bytes(source.read_at(4, 4), "little")
    with (
        original.open("rb") as file,
        target.open("wb") as out,
        gzip.GzipFile(original_name(source), "wb", level, out, time) as packed,
    ):
        while block := file.read(MIB):
            packed.write(block)


def _files(job: Job, source: Source, scratch: Path, shrink_inner: ShrinkInner) -> Wrapped:
    """Shrink every model in an archive of files and pack them again, each in the old order and way."""
    found = archived_models(Parsing(job.files))
    if found is None or not found.models:
        raise NotShrinkableError(f"{source.name}: holds no model that is written again")
    package = open_package(source, job.work.limits, job.work.options.level, job.work.tick)
    tree = scratch / "tree"
    package.unpack(tree)
    done: list[tuple[str, Inner]] = []
    for number, candidate in enumerate(found.models):
        place = scratch / f"model{number}"
        place.mkdir()
        inner = _best(
            job, tree / _path(candidate), place, shrink_inner, compresses=_compresses(package, candidate)
        )
        if inner is not None:
            _replace(package, candidate, inner)
            done.append((candidate.name or job.primary, inner))
    target = job.folder / job.primary
    package.write(target)
    _record(job, source.size - target.stat().st_size, done)
    expected = {name: _digest(path) for name, path in package.replaced.items()}
    removed = frozenset(package.removed)

    def witness(after: FileSet) -> Mapping[str, int]:
        return compare_package(source, after.open(job.primary), expected, removed)

    loaders = tuple(dict.fromkeys(loader for _, inner in done for loader in inner.loads_in))
    return Wrapped(witness, [inner.proof for _, inner in done], loaders)


def _path(candidate: Candidate) -> str:
    """Return where the model is below the unpacked archive: a folder, a file, or the index of a
    checkpoint.
    """
    primary = candidate.parsing.primary
    if primary is None or candidate.name.endswith(primary):
        return candidate.name
    return str(PurePosixPath(candidate.name).with_name(primary))


def _compresses(package: Package, candidate: Candidate) -> bool:
    """Return whether the archive compresses the model's only file."""
    return candidate.parsing.primary is not None and package.is_compressed(_path(candidate))


def _best(job: Job, path: Path, place: Path, shrink_inner: ShrinkInner, *, compresses: bool) -> Inner | None:
    """Return the form of a model that takes the least in the archive, None where it stays as it is.

    What the archive compresses may take less where HDF5 does not compress it too.
    """
    options = job.work.options
    levels = (
        [options.level, 0]
        if compresses and job.artifact.format in _COMPRESSED_INSIDE and options.level
        else [options.level]
    )
    forms: list[Inner] = []
    for level in levels:
        target = place / f"level{level}"
        target.mkdir()
        made = shrink_inner(path, target / path.name, replace(options, level=level))
        if isinstance(made, Inner):
            forms.append(made)
        elif level == options.level and made:
            job.work.notes.append(f"{path.name} stays as it is: {made}")
    if not forms:
        return None
    if not compresses:
        return forms[0]
    sizes = [_packed(next(iter(form.files.values())), options.level) for form in forms]
    least = min(range(len(forms)), key=lambda number: sizes[number])
    keeps = not options.drop and path.is_file() and path.stat().st_size <= _AT_ONCE
    return None if keeps and _packed(path, options.level) <= sizes[least] else forms[least]


_COMPRESSED_INSIDE = frozenset({FormatName.KERAS_HDF5, FormatName.WEIGHTS_HDF5, FormatName.HDF5})


def _packed(path: Path, level: int) -> int:
    """Return the bytes that a file takes deflated; of a large one, its size."""
    size = path.stat().st_size
    return size if size > _AT_ONCE else min(size, deflated_size(path.read_bytes(), level))


def _replace(package: Package, candidate: Candidate, inner: Inner) -> None:
    """Put a model's new files in the places of its old ones."""
    primary = candidate.parsing.primary
    path = PurePosixPath(_path(candidate))
    if primary is None:
        base, old = f"{path}/" if candidate.name else "", candidate.parsing.files.names()
    elif primary.endswith(_INDEX):
        base = f"{path.parent}/" if path.parent.name else ""
        stem = path.name.removesuffix(_INDEX)
        old = tuple(
            name
            for name in (primary, *candidate.parsing.files.neighbours())
            if name.startswith((f"{stem}.data-", primary))
        )
    else:
        base, old = f"{path.parent}/" if path.parent.name else "", (path.name,)
    package.removed |= {f"{base}{name}" for name in old if name not in inner.files}
    package.replaced |= {f"{base}{name}": new for name, new in inner.files.items()}


def _record(job: Job, saved: int, done: list[tuple[str, Inner]]) -> None:
    note = "; ".join(f"{name}: {', '.join(inner.steps)}" for name, inner in done) or "compressed again"
    drop = sorted(job.work.options.drop)
    level = str(drop[0]) if drop and any(inner.proof.dropped for _, inner in done) else LOSSLESS
    job.work.add(StepName.SHRINK_MEMBERS if done else StepName.GZIP, saved, level, note)
    job.work.changed_documents = Drop.TRAINING in job.work.options.drop


def combine(proofs: list[Proof], witnesses: Mapping[str, int]) -> Proof:
    """Return the proof of an archive: what its models' proofs compared, and what the archive's reader found
    equal.
    """
    readers = dict(witnesses)
    for proof in proofs:
        for reader, count in proof.witnesses.items():
            readers[reader] = readers.get(reader, 0) + count

    def total(values: Iterator[int]) -> int:
        return sum(values)

    return Proof(
        total(proof.tensors for proof in proofs),
        total(proof.equal for proof in proofs),
        total(proof.unread for proof in proofs),
        total(proof.dropped for proof in proofs),
        total(proof.documents for proof in proofs),
        total(proof.documents_equal for proof in proofs),
        total(proof.documents_changed for proof in proofs),
        readers,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
