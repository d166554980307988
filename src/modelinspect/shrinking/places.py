"""Where the result of shrinking goes: beside its place first, and there as a whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelinspect.core.records import dataclass
from modelinspect.errors import UsageError
from modelinspect.shrinking import writing
from modelinspect.shrinking.certificate import Record
from modelinspect.sources.files import FileSet

_INDEX, _DATA = ".index", ".data-00000-of-00001"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a result goes: ``output``, or the input's own place; nowhere where both are missing."""

    output: Path | None = None
    in_place: bool = False
    force: bool = False


def check_place(source: Path, files: FileSet, place: Place) -> None:
    """Check that a result may go there. Raises `UsageError` or `OutputError`."""
    if place.output is not None:
        if not place.output.absolute().parent.is_dir():
            raise UsageError(f"{place.output.absolute().parent}: there is no such folder")
        for output in _outputs(files, place.output):
            writing.require_free(
                _input(source, files), output, force=place.force and files.primary is not None
            )
    if place.in_place and files.primary is None and source.is_symlink():
        raise UsageError(f"{source}: is a link to a folder; name the folder itself")


def _input(source: Path, files: FileSet) -> Path:
    """Return the file or folder that is read: a checkpoint may be named by its prefix."""
    return source if files.primary is None else source.parent / files.primary


def _is_prefix(files: FileSet) -> bool:
    """Return whether the input is a checkpoint that is named by its prefix or index: several files beside
    others.
    """
    return files.primary is not None and files.primary.endswith(_INDEX)


def _outputs(files: FileSet, output: Path) -> list[Path]:
    """Return the files that an output consists of, the one that counts last."""
    if not _is_prefix(files):
        return [output]
    base = output.name.removesuffix(_INDEX)
    return [output.with_name(base + ending) for ending in (_DATA, _INDEX)]


def staging_place(source: Path, files: FileSet, place: Place) -> Path:
    """Return the path next to which files are staged: the last step is then a rename."""
    if place.output is not None:
        return place.output.resolve() if place.output.is_file() else place.output.absolute()
    if place.in_place:
        return _input(source, files).resolve()
    return Path(tempfile.gettempdir()) / source.name


def publish(before: Record, after: Record, folder: Path, files: FileSet, place: Place) -> str:
    """Put the result in its place and return where it is."""
    name = files.primary
    if name is None:
        if place.output is not None:
            writing.publish(folder, place.output)
        elif place.in_place:
            proved = {file.name: file.sha256 for file in after.files}
            writing.replace_folder(folder, Path(before.location), writing.folder_digests(folder) | proved)
        return before.location if place.output is None else str(place.output)
    staged = (
        [folder / name.replace(_INDEX, ending) for ending in (_DATA, _INDEX)]
        if _is_prefix(files)
        else [folder / name]
    )
    if place.output is not None:
        writing.publish_files(dict(zip(staged, _outputs(files, place.output), strict=True)))
        return str(place.output)
    if place.in_place:
        original = _input(Path(before.location), files).resolve()
        places = _outputs(files, original)
        hashes = {file.name: file.sha256 for file in after.files}
        old = [
            original.with_name(file.name)
            for file in before.files
            if original.with_name(file.name) not in places
        ]
        expected = {where: hashes[path.name] for path, where in zip(staged, places, strict=True)}
        writing.replace_files(
            dict(zip(staged, places, strict=True)), old if _is_prefix(files) else [], expected
        )
    return before.location


def shown_place(place: Place, shown: str) -> str | None:
    """Return the place to report, None where nothing is written."""
    return shown if place.output is not None or place.in_place else None
