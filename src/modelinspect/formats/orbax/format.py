"""Recognize Orbax checkpoints, and give each of their files to what reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from posixpath import basename, dirname
from typing import Any

from modelinspect.core.artifact import DocumentKind, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.span import Span
from modelinspect.encodings.zarr import V2, V3
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.orbax.arrays import Arrays, whole_site
from modelinspect.formats.orbax.store import MANIFEST, Store

_MARKS = frozenset(("_CHECKPOINT_METADATA", "orbax.checkpoint", "pytree.orbax-checkpoint", MANIFEST))
_TREE = "_METADATA"
_STRINGS = "_strings.json"
_METADATA = frozenset(
    (*_MARKS, _TREE, "_sharding", "commit_success.txt", "descriptor.pbtxt", "_metrics", "metrics")
)
_PROCESS = "ocdbt.process_"
_METADATA_FOLDERS = frozenset(("array_metadatas",))
_DEPTH = 3
_DOCUMENT = 64 << 20


class OrbaxFormat:
    """A folder that Orbax wrote: one step, one item of it, or several steps."""

    name = FormatName.ORBAX
    about = About(
        title="Orbax",
        names=(FormatName.ORBAX,),
        files=("a folder with `_CHECKPOINT_METADATA` or `manifest.ocdbt`",),
        page="orbax.md",
        limitations=(
            (
                "Zeros are not counted in arrays in Fortran order, with filters, with `blosc`, or in nested"
                " shards."
            ),
            (
                "Zeros are not counted in chunks that decode to more than 64 MiB, unless they are hardly"
                " compressed."
            ),
            "A `manifest.ocdbt` given as a single file is not read: name its folder.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether a folder holds a mark of Orbax near its top."""
        if parsing.primary is not None:
            return False
        return any(basename(name) in _MARKS and name.count("/") < _DEPTH for name in parsing.names())

    def parse(self, parsing: Parsing) -> FormatName:
        """Claim every file, add the arrays as tensors, and set the facts."""
        _Checkpoint(parsing).run()
        return self.name


FORMAT = OrbaxFormat()


class _Checkpoint:
    """The files of a location being parsed."""

    def __init__(self, parsing: Parsing) -> None:
        self.parsing = parsing
        self.names = frozenset(parsing.names())
        self.items: dict[str, Fact] = {}
        self.taken: set[str] = set()

    def run(self) -> None:
        folders = sorted(name[: -len(MANIFEST)] for name in self.names if basename(name) == MANIFEST)
        known = frozenset(folders)
        inner = [
            one for one in folders if basename(one.rstrip("/")).startswith(_PROCESS) and _parent(one) in known
        ]
        main = [one for one in folders if one not in inner]
        plain = self._plain_items(known)
        steps = sorted({dirname(folder.rstrip("/")) for folder in (*main, *plain)}, key=_natural)
        self.several = len(steps) > 1
        for folder in main:
            self._database(folder, [one for one in inner if _parent(one) == folder])
        for folder in plain:
            self._plain(folder)
        for name in sorted(self.names):
            if name not in self.taken:
                self._file(name)
        self.parsing.facts["steps"] = tuple(step for step in steps if step)
        self.parsing.facts["items"] = self.items

    def _plain_items(self, databases: frozenset[str]) -> list[str]:
        """Return the folders of arrays that are stored as files: what holds the folder of an array's
        metadata.
        """
        found: set[str] = set()
        for name in self.names:
            if basename(name) in (V2, V3) and "/" in name:
                array = dirname(name)
                folder = f"{dirname(array)}/" if "/" in array else ""
                trees = [one for one in _folders(folder) if one + _TREE in self.names]
                found.add(trees[0] if trees else folder)
        return sorted(folder for folder in found if folder not in databases)

    def _label(self, folder: str) -> str:
        step = dirname(folder.rstrip("/"))
        return f"{step}:" if self.several and step else ""

    def _database(self, folder: str, processes: list[str]) -> None:
        """Read a database, and after it the databases of single processes, whose nodes say again what the
        first says.
        """
        store = Store(self.parsing, folder, self.names)
        store.open()
        values = store.values()
        arrays = Arrays(self.parsing, self._label(folder), self._parts(folder))
        arrays.add(values)
        for node in store.nodes:
            node.claim()
        store.walk_older()
        facts: dict[str, Fact] = {
            "storage": "ocdbt",
            "generations": store.generations,
            "keys": len(values),
            "arrays": arrays.count,
            "nodes": len(store.nodes),
            "array_metadata_bytes": arrays.metadata_size,
        }
        stores = [store]
        for process in processes:
            stores.append(self._process(process))
        facts |= self._claim_dead(
            stores, values_of=store, live=[(v.file, v.offset, v.size) for v in values if v.node is None]
        )
        self.items[folder.rstrip("/") or "."] = facts

    def _process(self, folder: str) -> Store:
        """Claim the nodes of a process's own database; its values belong to the arrays already, or to
        nobody.
        """
        store = Store(self.parsing, folder, self.names)
        store.open()
        for value in store.values():
            if value.node is None:
                store.older.add(value.file, value.offset, value.size)
        for node in store.nodes:
            node.claim()
        store.walk_older()
        return store

    def _claim_dead(
        self, stores: list[Store], values_of: Store, live: list[tuple[str, int, int]]
    ) -> dict[str, Fact]:
        """Label what no live tree leads to in the data files: kept by an older generation, or dead.

        Return how many bytes each is.
        """
        spans: dict[str, set[tuple[int, int]]] = {}
        older: dict[str, set[tuple[int, int]]] = {}
        for name, offset, size in live:
            spans.setdefault(name, set()).add((offset, size))
        for store in stores:
            self.taken.update(name for name in self.names if name.startswith(store.folder + "d/"))
            self.taken.update(name for name in self.names if name.startswith(store.folder + "manifest."))
            for file, found in store.live.spans.items():
                spans.setdefault(file, set()).update(found)
            for file, found in store.older.spans.items():
                older.setdefault(file, set()).update(found)
        kept = dead = 0
        is_whole = all(store.is_whole for store in stores)
        for name in sorted(
            one for store in stores for one in self.names if one.startswith(store.folder + "d/")
        ):
            site = self.parsing.open(name)
            used = _covered(spans.get(name, set()), site.source.size)
            both = _covered(spans.get(name, set()) | older.get(name, set()), site.source.size)
            kept, dead = kept + both - used, dead + site.source.size - both
            for offset, size in older.get(name, ()):
                site.claims.fill(offset, size, RegionKind.FREE, site.claims.path("older generation"))
            if is_whole:
                site.claims.fill(0, site.source.size, RegionKind.FREE, site.claims.path("dead generation"))
        return {"older_generation_bytes": kept, "dead_bytes": dead if is_whole else None}

    def _plain(self, folder: str) -> None:
        """Read arrays that are stored as files."""
        inside = [name for name in sorted(self.names) if name.startswith(folder) and name not in self.taken]
        values = [
            whole_site(self.parsing.open(name), name[len(folder) :])
            for name in inside
            if "/" in name[len(folder) :]
        ]
        values = [value for value in values if value.key.partition("/")[0] not in _METADATA_FOLDERS]
        self.taken.update(folder + value.key for value in values)
        arrays = Arrays(self.parsing, self._label(folder), self._parts(folder))
        arrays.add(values)
        self.items[folder.rstrip("/") or "."] = {
            "storage": "zarr",
            "keys": len(values),
            "arrays": arrays.count,
            "array_metadata_bytes": arrays.metadata_size,
        }

    def _parts(self, folder: str) -> dict[str, tuple[str, ...]]:
        """Return the parts of each array's key, as the tree's metadata lists them: a name may hold a dot."""
        document = self._json(folder + _TREE)
        tree = document.get("tree_metadata") if isinstance(document, dict) else None
        found: dict[str, tuple[str, ...]] = {}
        for entry in tree.values() if isinstance(tree, dict) else ():
            keys = entry.get("key_metadata") if isinstance(entry, dict) else None
            if isinstance(keys, list) and all(isinstance(key, dict) for key in keys):
                parts = tuple(str(key.get("key", "")) for key in keys)
                if parts:
                    found[".".join(parts)] = parts
        return found

    def _json(self, name: str) -> Any:
        if name not in self.names:
            return None
        source = self.parsing.open(name).source
        if source.size > min(_DOCUMENT, self.parsing.limits.structure_size):
            return None
        try:
            return json.loads(source.read_at(0, source.size))
        except (ValueError, RecursionError):
            return None

    def _file(self, name: str) -> None:
        """Claim a file that is one thing: metadata of Orbax, a configuration, or something beside the
        checkpoint.
        """
        site = self.parsing.open(name)
        last = basename(name)
        kind = RegionKind.ASSET
        if last in _METADATA or basename(dirname(name)) in _METADATA_FOLDERS:
            kind = RegionKind.METADATA
        elif last == _STRINGS:
            kind = RegionKind.GRAPH if self._configurations(site, name) else RegionKind.METADATA
        site.claims.claim(0, site.source.size, kind, site.claims.path(last))

    def _configurations(self, site: Site, name: str) -> bool:
        """Keep the Keras configurations among the strings of an item as documents, and return whether there
        are some.
        """
        document = self._json(name)
        found = False
        for key, text in document.items() if isinstance(document, dict) else ():
            try:
                config = json.loads(text) if isinstance(text, str) and text.lstrip().startswith("{") else None
            except (ValueError, RecursionError):
                config = None
            if isinstance(config, Mapping) and "class_name" in config and "config" in config:
                site.document(
                    DocumentKind.KERAS_CONFIG,
                    Span(0, site.source.size),
                    f"{basename(name)}: {key}",
                    text.encode(),
                )
                found = True
        return found


def _parent(folder: str) -> str:
    parent = dirname(folder.rstrip("/"))
    return f"{parent}/" if parent else ""


def _folders(folder: str) -> list[str]:
    """Return a folder and those that it is in, the innermost first."""
    found = [folder]
    while folder:
        folder = _parent(folder)
        found.append(folder)
    return found


def _natural(step: str) -> tuple[int, int, str]:
    """Order steps by their number where they are numbers."""
    last = basename(step)
    return (0, int(last), step) if last.isascii() and last.isdigit() and len(last) < 20 else (1, 0, step)


def _covered(spans: set[tuple[int, int]], size: int) -> int:
    """Return how many bytes spans cover of a file."""
    covered = end = 0
    for offset, length in sorted(spans):
        begin = max(offset, end)
        stop = min(offset + length, size)
        if stop > begin:
            covered += stop - begin
            end = stop
    return covered
