"""Finds names that lead out of the folder that an artifact is unpacked or looked for in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.encodings.zip_headers import is_unsafe
from modelinspect.formats.keras.config import read_json
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.places import place_of, read_document
from modelinspect.rules.unsafe.troubles import troubles

_SIZE = 64 << 20
_REMEDY = "do not unpack or load it; names within a model are relative and stay below its folder"
_members = troubles(r"would be unpacked outside its folder", _REMEDY)


def _find(subject: Subject) -> Iterator[Located]:
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


def _named(names: Iterator[str] | Mapping[str, object] | tuple[()], what: str, place: Place | None) -> Iterator[Located]:
    for name in sorted(set(names)):
        if is_unsafe(name):
            yield Located(f"{what} {name!r} leads out of the model's folder", 0, _REMEDY, place)


def _shards(value: object) -> Iterator[str]:
    """Yield the shards that a TensorFlow.js manifest or a Keras shard map names."""
    manifest = value.get("weightsManifest") if isinstance(value, Mapping) else value
    for group in manifest if isinstance(manifest, list) else []:
        paths = group.get("paths") if isinstance(group, Mapping) else None
        yield from (path for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()
    weights = value.get("weight_map") if isinstance(value, Mapping) else None
    for shard in weights.values() if isinstance(weights, Mapping) else []:
        yield from (name for name in (shard if isinstance(shard, list) else [shard]) if isinstance(name, str))


RULE = UnsafeRule(
    "path-outside",
    Severity.ERROR,
    "A name with .. or a leading slash writes or reads where nobody meant it to.",
    _find,
    remedy="do not unpack or load it; names within a model are relative and stay below its folder",
    example="member '/tmp/absolute' would be unpacked outside its folder",
)
