"""Rules about archives and files: bombs, links, ambiguity, names that lead outside, parts that are
missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.encodings.zip_headers import is_unsafe
from modelinspect.errors import Code
from modelinspect.formats.keras.config import read_json
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.configs import configs_of
from modelinspect.rules.unsafe.diagnostics import chosen, with_code
from modelinspect.rules.unsafe.graphs import options_beyond
from modelinspect.rules.unsafe.places import place_of, read_document
from modelinspect.rules.unsafe.readings import other_readings

ARCHIVE_BOMB = Rule(
    "archive-bomb",
    Severity.ERROR,
    "A few bytes that unpack to many take the memory of whoever opens them.",
    with_code(Code.EXPANSION, "do not unpack or load it"),
    advice="do not unpack or load it",
    example="decompressing needs 8,589,934,592 but the limit is 268,435,456",
    group=Group.UNSAFE,
)


_LINK = "put the files themselves there, not links (tarfile unpacks safely with filter='data')"
ARCHIVE_LINK = Rule(
    "archive-link",
    Severity.WARNING,
    "A link can lead out of the model's folder: to files of the machine, or to where something is unpacked.",
    with_code(Code.LINK, _LINK),
    advice=_LINK,
    example="member link is a symbolic link, which is not followed",
    group=Group.UNSAFE,
)


_AMBIGUOUS = "pack it again; do not trust a check of this file"
_told_ambiguous = with_code(Code.AMBIGUOUS, _AMBIGUOUS)


def _find_ambiguous(subject: Subject) -> Iterator[Finding]:
    yield from _told_ambiguous(subject)
    for reading in subject.once(other_readings):
        message = (
            f"it is {subject.artifact.format} to one reader and {reading.format} to another; both were"
            " checked"
        )
        if reading.problem:
            message = (
                f"it is {subject.artifact.format} to one reader; as {reading.format} it cannot be read:"
                f" {reading.problem}"
            )
        yield Finding(message, 0, _AMBIGUOUS, Place(subject.artifact.members[0].name))


AMBIGUOUS_ARCHIVE = Rule(
    "ambiguous-archive",
    Severity.ERROR,
    "What one reader checks and another loads need not be the same file.",
    _find_ambiguous,
    advice=_AMBIGUOUS,
    example="the archive names config.json twice; readers take the last",
    group=Group.UNSAFE,
)


_SIZE = 64 << 20
_REMEDY = "do not unpack or load it; names within a model are relative and stay below its folder"
_members = with_code(Code.OUTSIDE, _REMEDY)


def _find_path_outside(subject: Subject) -> Iterator[Finding]:
    yield from _members(subject)
    for document in subject.artifact.documents:
        if document.kind in (DocumentKind.TFJS_MODEL, DocumentKind.SHARD_MAP):
            value = read_json(read_document(document, subject.files, _SIZE))
            yield from _named(_shards(value), "shard", place_of(document.stream, document.span))
    facts = subject.artifact.facts
    home = Place(subject.artifact.members[0].name) if subject.artifact.members else None
    meta_graphs = facts.get("meta_graphs")
    for graph in meta_graphs if isinstance(meta_graphs, tuple) else ():
        assets = graph.get("assets") if isinstance(graph, Mapping) else None
        yield from _named((str(name) for name in assets) if isinstance(assets, tuple) else (), "asset", home)
    files = facts.get("associated_files")
    yield from _named(files if isinstance(files, Mapping) else (), "associated file", home)


def _named(
    names: Iterator[str] | Mapping[str, object] | tuple[()], what: str, place: Place | None
) -> Iterator[Finding]:
    for name in sorted(set(names)):
        if is_unsafe(name):
            yield Finding(f"{what} {name!r} leads out of the model's folder", 0, _REMEDY, place)


def _shards(value: object) -> Iterator[str]:
    """Yield the shards that a TensorFlow.js manifest or a Keras shard map names."""
    manifest = value.get("weightsManifest") if isinstance(value, Mapping) else value
    for group in manifest if isinstance(manifest, list) else []:
        paths = group.get("paths") if isinstance(group, Mapping) else None
        yield from (path for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()
    weights = value.get("weight_map") if isinstance(value, Mapping) else None
    for shard in weights.values() if isinstance(weights, Mapping) else []:
        yield from (name for name in (shard if isinstance(shard, list) else [shard]) if isinstance(name, str))


PATH_OUTSIDE = Rule(
    "path-outside",
    Severity.ERROR,
    "A name with .. or a leading slash writes or reads where nobody meant it to.",
    _find_path_outside,
    advice="do not unpack or load it; names within a model are relative and stay below its folder",
    example="member '/tmp/absolute' would be unpacked outside its folder",
    group=Group.UNSAFE,
)


_WHOLE = "get it again, whole"
_EACH = "unpack it, and check each model"
_RAISE = "check the rest by hand, or raise the limit: --limit NAME=VALUE"


def _find_incomplete(subject: Subject) -> Iterator[Finding]:
    yield from chosen(
        subject, lambda found: found.severity is Severity.ERROR and found.code is not Code.EXPANSION, _WHOLE
    )
    yield from chosen(
        subject, lambda found: found.severity is not Severity.ERROR and found.code is Code.LIMIT, _RAISE
    )
    yield from chosen(
        subject, lambda found: found.severity is Severity.NOTE and found.code is Code.INCOMPLETE, _EACH
    )
    artifact = subject.artifact
    home = Place(artifact.members[0].name) if artifact.members else None
    lost = artifact.diagnostic_count - len(artifact.diagnostics)
    if lost > 0:
        yield Finding(
            f"{plural(lost, 'more trouble')} while reading was counted and not looked at", 0, _RAISE, home
        )
    if artifact.facts.get("documents_left_out"):
        yield Finding(
            "it holds more configurations, graphs and references than are kept, and not all were checked",
            0,
            _RAISE,
            home,
        )
    if subject.measurements is not None:
        for found in subject.measurements.diagnostics:
            if found.code in (Code.LIMIT, Code.EXPANSION):
                yield Finding(
                    f"{found.problem}: its elements were not read",
                    0,
                    _RAISE,
                    Place(found.member, found.offset),
                )
    beyond = options_beyond(subject)
    if beyond:
        text = (
            f"{beyond:,} bytes of custom options were not searched for the operator that a Flex kernel runs"
        )
        yield Finding(text, beyond, "check the rest by hand", home)
    configs = subject.once(configs_of)
    for unread in configs.unread:
        if unread.is_limit:
            yield Finding(
                f"{unread.problem}, and was not checked to its end",
                unread.place.size or 0,
                _RAISE,
                unread.place,
            )
    if configs.left_out:
        yield Finding(
            f"{plural(configs.left_out, 'finding')} more about configurations than are kept", 0, _RAISE, home
        )


INCOMPLETE = Rule(
    "incomplete",
    Severity.WARNING,
    "What was cut short, left out or beyond a limit was not checked.",
    _find_incomplete,
    advice=_WHOLE,
    example="weights file '../../weights.bin' is not there",
    group=Group.UNSAFE,
)

RULES = (ARCHIVE_BOMB, ARCHIVE_LINK, AMBIGUOUS_ARCHIVE, PATH_OUTSIDE, INCOMPLETE)
