"""Open, parse and measure an artifact: what every call of the API begins with."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.sources.files import FileSet
from modelinspect.sources.opening import open_location

if TYPE_CHECKING:
    from modelinspect.formats.listing import ModelList
    from modelinspect.measure.facts import Aspect, Measurements
    from modelinspect.measure.free import HiddenReport
    from modelinspect.measure.run import Progress
    from modelinspect.networks.subject import Subject
    from modelinspect.reports.pictures import Pictures


Location = str | os.PathLike[str]
"""A file, a directory or a checkpoint prefix."""
_Value = TypeVar("_Value")


def several(given: Iterable[_Value] | os.PathLike[str]) -> tuple[_Value, ...]:
    """Return the values of an argument as a tuple; one text or path is one value, not its letters."""
    if isinstance(given, str | os.PathLike):
        return (cast("_Value", given),)
    return tuple(given)


def open(location: Location, *, strict: bool = False, limits: Limits | None = None) -> Artifact:
    """Parse an artifact: members, byte maps, tensors. No weights are read and nothing stays open.

    With ``strict``, trouble that would become a diagnostic is raised. Raises `ModelInspectError`.

    >>> import modelinspect as mi
    >>> artifact = mi.open("pruned.h5")
    >>> artifact.format, artifact.size, len(artifact.tensors)
    (<FormatName.KERAS_HDF5: 'keras-hdf5'>, 25656, 4)
    """
    with open_location(location, limits) as files:
        return parse_files(files, strict=strict, limits=limits)


def list_models(location: Location, limits: Limits | None = None) -> ModelList:
    """Return the models of a folder or an archive with several, each with the location that opens it.

    Raises `ModelInspectError`.
    """
    from modelinspect.formats.listing import list_models as find

    with open_location(location, limits) as files:
        return find(files, limits)


def side(
    location: Location | Artifact,
    *,
    measure: bool = True,
    strict: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Subject:
    """Open an artifact and measure what a comparison needs. Raises `ModelInspectError`."""
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        return subject_of(artifact, files, measure=measure, limits=limits, progress=progress)


def subject_of(
    artifact: Artifact, files: FileSet, *, measure: bool, limits: Limits | None, progress: Progress | None
) -> Subject:
    """Measure what comparing and explaining need; without ``measure``, nothing.

    Raises `ModelInspectError`.
    """
    from modelinspect.measure.facts import COMPARING
    from modelinspect.measure.run import measure as measure_all
    from modelinspect.networks.subject import Subject

    if not measure:
        return Subject(artifact, open_files=files, limits=files.limits)
    from modelinspect.networks.channels.removal import find_removal

    measurements = measure_all(artifact, files, limits, progress, COMPARING)
    hidden, removal = (
        hidden_bytes(artifact, files, limits=limits),
        find_removal(artifact, files, measurements, limits),
    )
    return Subject(
        artifact, measurements, hidden=hidden, removal=removal, open_files=files, limits=files.limits
    )


def parse_files(files: FileSet, *, strict: bool = False, limits: Limits | None = None) -> Artifact:
    """Parse an artifact whose files are open. Raises `ModelInspectError`."""
    from modelinspect.formats.registry import parse

    return parse(files, limits, strict=strict)


def measure_files(
    artifact: Artifact,
    files: FileSet,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    aspects: Collection[Aspect] = (),
) -> Measurements:
    """Read the weights of an artifact whose files are open. Raises `ModelInspectError`."""
    from modelinspect.measure.run import measure

    return measure(artifact, files, limits, progress, aspects)


def hidden_bytes(artifact: Artifact, files: FileSet, *, limits: Limits | None = None) -> HiddenReport:
    """Look for bytes that are not zero in the free space of an artifact whose files are open.

    Raises `ModelInspectError`.
    """
    from modelinspect.measure.free import find_hidden

    return find_hidden(artifact, files, limits)


@contextmanager
def opened(
    location: Location | Artifact, *, strict: bool = False, limits: Limits | None = None
) -> Iterator[tuple[Artifact, FileSet]]:
    """Open an artifact and keep its files open, to read bytes of them. Raises `ModelInspectError`."""
    place = location.location if isinstance(location, Artifact) else location
    with open_location(place, limits) as files:
        yield (
            (
                location
                if isinstance(location, Artifact)
                else parse_files(files, strict=strict, limits=limits)
            ),
            files,
        )


def draw(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> Pictures:
    """Draw the bytes of an artifact; ``zeros`` are the counted zero elements by tensor id."""
    from modelinspect.analyses.pictures import draw as draw_all

    return draw_all(artifact, zeros)
