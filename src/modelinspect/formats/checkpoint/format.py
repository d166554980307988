"""Recognize checkpoints, find the files that belong to them, and read a whole bundle into an artifact: index,
shards, tensors with what they are for, facts.

A directory's checkpoints are named in a text file: tensorflow/python/training/checkpoint_state.proto, in
protobuf's text format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts, add_facts, set_fact
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, Role
from modelinspect.encodings.sstable import MAGIC
from modelinspect.errors import FormatError
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.checkpoint.bundle import SHARD, Bundle, duplicates, read_index
from modelinspect.formats.checkpoint.tensors import Placer, read_object_graph
from modelinspect.formats.checkpoint.v1 import is_v1, read_v1
from modelinspect.formats.graph.object_graph import uses
from modelinspect.formats.graph.trackable import Use, read_trackable

INDEX = ".index"
STATE = "checkpoint"
META = ".meta"
_V1_SHARD = re.compile(r"(?P<prefix>.*)-\d{5}-of-(?P<count>\d{5})", re.DOTALL)


class CheckpointFormat:
    """A TensorBundle (index and shards), a directory of them, or a V1 checkpoint (one table file)."""

    name = FormatName.CHECKPOINT
    about = About(
        title="Checkpoint",
        names=(FormatName.CHECKPOINT,),
        files=("`*.index` with `*.data-00000-of-00001`", "a V1 checkpoint (one table)"),
        page="checkpoint.md",
        limitations=("Shards without an index are `unattributed`.",),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether a file is part of a checkpoint, or a directory holds one."""
        name = parsing.primary
        if name is None:
            names = parsing.names()
            if _indexes(parsing, names, _shards(names)):
                return True
            states = [one for one in names if one.rpartition("/")[2] == STATE and _is_state(parsing, one)]
            return bool(states) and any(_is_v1(parsing, one) for one in names)
        if SHARD.fullmatch(name):
            return True
        if name.endswith(INDEX):
            return bool(_indexes(parsing, [name], _shards(parsing.neighbours())))
        return (name == STATE and _is_state(parsing, name)) or _is_v1(parsing, name)

    def parse(self, parsing: Parsing) -> FormatName:
        """Map the files of the checkpoint that the location points to, or all of a directory."""
        name = parsing.primary
        if name is None:
            _parse_directory(parsing)
        elif SHARD.fullmatch(name) or name.endswith(INDEX):
            _parse_prefix(parsing, name, sorted({name, *parsing.neighbours()}))
        elif name == STATE and _is_state(parsing, name):
            _parse_state(parsing, name)
        else:
            read_v1(parsing, _v1_group(name, parsing.neighbours()))
        return self.name


FORMAT = CheckpointFormat()


def _ends_with_magic(parsing: Parsing, name: str) -> bool:
    source = parsing.files.open(name)
    return source.size >= len(MAGIC) and source.read_at(source.size - len(MAGIC), len(MAGIC)) == MAGIC


def _is_v1(parsing: Parsing, name: str) -> bool:
    return _ends_with_magic(parsing, name) and is_v1(parsing, name)


def _shards(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the listed shards by prefix, whatever count they have."""
    found: dict[str, list[str]] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match:
            found.setdefault(match["prefix"], []).append(name)
    return found


def _indexes(parsing: Parsing, names: Sequence[str], shards: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of indexes: tables, or broken ones that shards are beside."""
    named = (name for name in names if name.endswith(INDEX))
    return [name for name in named if name.removesuffix(INDEX) in shards or _ends_with_magic(parsing, name)]


def _v1_group(name: str, names: Sequence[str]) -> list[str]:
    """Return the files of a V1 checkpoint: one, or all shards of its prefix and count."""
    match = _V1_SHARD.fullmatch(name)
    if match is None:
        return [name]
    pattern = re.compile(re.escape(match["prefix"]) + r"-\d{5}-of-" + match["count"])
    return sorted({name, *(one for one in names if pattern.fullmatch(one))})


def _parse_prefix(parsing: Parsing, name: str, names: Sequence[str]) -> None:
    """Map one bundle, of which ``name`` is a file."""
    match = SHARD.fullmatch(name)
    index = f"{match['prefix']}{INDEX}" if match else name
    shards = _shards(names).get(index.removesuffix(INDEX), [])
    if index in names:
        parsing.facts.update(read_bundle(parsing, index, shards).facts)
        return
    for shard in shards:
        parsing.open(shard)
    parsing.open(name).diagnose(
        f"the index {index} is missing: nothing says what the shards hold", severity=Severity.ERROR
    )


def _parse_directory(parsing: Parsing) -> None:
    """Map all checkpoints of a directory, and what lies beside them."""
    names = parsing.names()
    shards = _shards(names)
    indexes = _indexes(parsing, names, shards)
    taken = {*indexes, *(name for group in shards.values() for name in group)}
    old = [name for name in names if name not in taken and not name.endswith(META) and _is_v1(parsing, name)]
    parsing.facts["checkpoints"] = tuple(sorted([*(index.removesuffix(INDEX) for index in indexes), *old]))
    several = len(indexes) + len(old) > 1
    for index in indexes:
        prefix = index.removesuffix(INDEX)
        _merge(
            parsing,
            read_bundle(parsing, index, shards.pop(prefix, []), f"{prefix}:" if several else "").facts,
        )
    for prefix, orphans in sorted(shards.items()):
        for name in orphans:
            parsing.open(name)
        parsing.open(orphans[0]).diagnose(
            f"the index {prefix}{INDEX} is missing: nothing says what the shards hold", 0, Severity.ERROR
        )
    for name in old:
        if name not in taken:
            group = _v1_group(name, old)
            taken.update(group)
            read_v1(parsing, group, f"{name}:" if several else "")
    for name in names:
        if name not in taken:
            _map_other(parsing, name)


def _merge(parsing: Parsing, facts: Facts) -> None:
    """Add the facts of one more checkpoint: counts and lists grow, other facts stay those of the first."""
    for name, fact in facts.items():
        known = parsing.facts.get(name)
        if isinstance(known, tuple) and isinstance(fact, tuple):
            set_fact(parsing.facts, name, known + fact)
        elif isinstance(known, int) and isinstance(fact, int):
            set_fact(parsing.facts, name, known if name == "bundle_version" else known + fact)
        elif isinstance(known, Mapping) and isinstance(fact, Mapping):
            set_fact(parsing.facts, name, {**known, **fact})
        elif name not in parsing.facts:
            add_facts(parsing.facts, {name: cast("Fact", fact)})


def _map_other(parsing: Parsing, name: str) -> None:
    """Label a file of a checkpoint directory that is not a part of a bundle."""
    if name.rpartition("/")[2] == STATE and _is_state(parsing, name):
        parsing.facts.setdefault("latest_checkpoint", _read_state(parsing, name).latest)
        return
    site = parsing.open(name)
    if name.endswith(META):
        # A SavedModel has a checkpoint in it, and its walk over graphs serves here: neither can be loaded
        # before the other.
        from modelinspect.formats.graph.graph_def import parse_graph

        parsing.facts.setdefault("graph", cast("Mapping[str, Fact]", parse_graph(site)))
    else:
        site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path("file"))


def _parse_state(parsing: Parsing, name: str) -> None:
    """Map the text file ``checkpoint`` and the checkpoint that it names as the latest, where that is beside
    it.
    """
    state = _read_state(parsing, name)
    names = parsing.neighbours()
    parsing.facts["latest_checkpoint"] = state.latest
    # The path may be absolute or lead elsewhere: only its last part is looked for, among the listed files.
    index = f"{state.latest.rpartition('/')[2]}{INDEX}"
    if index in names:
        _parse_prefix(parsing, index, names)


_LATEST = re.compile(rb'^model_checkpoint_path:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_ALL = re.compile(rb'^all_model_checkpoint_paths:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class _State:
    """The path of the latest checkpoint, and those of all that are kept."""

    latest: str
    kept: tuple[str, ...]


def _is_state(parsing: Parsing, name: str) -> bool:
    """Return whether a file begins as the text format of a CheckpointState does."""
    return _LATEST.search(parsing.peek(name, _HEAD)) is not None


def _read_state(parsing: Parsing, name: str) -> _State:
    """Claim the file and return what it says. Raises `LimitError`."""
    site = parsing.open(name)
    site.limits.allow("the state of the checkpoints", site.source.size, site.limits.structure_size, name)
    data = site.source.read_at(0, site.source.size)
    site.claims.claim(0, len(data), RegionKind.METADATA, site.claims.path("CheckpointState"))
    latest = _LATEST.search(data)
    return _State(_text(latest[1]) if latest else "", tuple(_text(path) for path in _ALL.findall(data)))


def _text(escaped: bytes) -> str:
    return re.sub(rb"\\(.)", rb"\1", escaped).decode("utf-8", "backslashreplace")


def read_bundle(parsing: Parsing, index: str, shard_names: Iterable[str], name_prefix: str = "") -> Bundle:
    """Make the files of a TensorBundle members of the artifact, claim all their bytes and add their tensors.

    ``index`` is the name of the index file (``variables/variables.index``); ``shard_names`` are listed files,
    of which those of the same prefix become members too; nothing else is opened, whatever the index names.
    Only the index and the object graph are read, never weights. Roles and layers come from the object graph
    in the bundle (a SavedModel has it there too), else from names as TensorFlow 1 gives them. Trouble is
    diagnosed and survived.

    The result has an entry for each tensor (key, type, shape, span in its shard, CRC-32C, id of the
    artifact's tensor), the bytes of the object graph, and ``facts`` for the caller to add to those of the
    artifact: ``duplicate_tensors`` (groups of names that agree in type, shape, size and CRC),
    ``slot_variables`` (for each slot, average and mask: ``tensor``, ``purpose`` and the tensor that it is
    ``of``), ``variable_names`` (the variables' own names by tensor, ``dense/kernel``),
    ``unreferenced_bytes``, ``shards``, ... Tensors are named by their keys after ``name_prefix``.
    """
    names = tuple(shard_names)
    bundle = read_index(parsing, index, names)
    for name in names:
        match = SHARD.fullmatch(name)
        if match and match["prefix"] == bundle.prefix:
            parsing.open(name)  # also shards that the index does not know: they are on disk under this prefix
    bundle.object_graph = read_object_graph(parsing, bundle)
    known: dict[str, Use] = {}
    nodes = 0
    if bundle.object_graph is not None:
        try:
            graph = read_trackable(bundle.object_graph, index)
            nodes, known = len(graph), uses(graph)
        except FormatError as error:
            parsing.open(index).survive(
                FormatError(f"the object graph cannot be read: {error.problem}", index, None, error.code)
            )
    placer = Placer(parsing, bundle, known, name_prefix)
    placer.place()
    for name in names:
        match = SHARD.fullmatch(name)
        if match and match["prefix"] == bundle.prefix and name not in bundle.shards.values():
            parsing.open(name).diagnose(
                f"this file is not among the {bundle.shard_count:,} shards that the index {index} describes"
            )
    bundle.facts = _facts(parsing, bundle, placer.purposes, name_prefix, nodes)
    return bundle


def _facts(parsing: Parsing, bundle: Bundle, purposes: Mapping[str, Use], prefix: str, nodes: int) -> Facts:
    tensors = {
        entry.tensor: parsing.tensor(entry.tensor) for entry in bundle.entries if entry.tensor is not None
    }
    paths = {index: tensor.path for index, tensor in tensors.items()}
    names = {index: tensor.name for index, tensor in tensors.items()}
    roles = [tensor.role for tensor in tensors.values()]
    slots = tuple(
        {"tensor": prefix + name, "purpose": use.purpose, "of": None if use.of is None else prefix + use.of}
        for name, use in purposes.items()
        if use.of is not None or use.purpose == "average"
    )
    facts: Facts = {
        "shards": bundle.shard_count,
        "bundle_version": bundle.producer,
        "variables": len(tensors),
        "object_graph_nodes": nodes,
        "optimizer_variables": sum(role is Role.OPTIMIZER for role in roles),
        "pruning_variables": sum(role is Role.PRUNING for role in roles),
        "duplicate_tensors": duplicates(bundle.entries, paths, names),
        "slot_variables": slots,
        "unreferenced_bytes": bundle.unreferenced,
    }
    if bundle.byte_order is ByteOrder.BIG:
        facts["byte_order"] = bundle.byte_order.value
    own = {prefix + name: use.name for name, use in purposes.items() if use.name}
    if own:
        facts["variable_names"] = own
    tables = sorted({prefix + name for name, use in purposes.items() if use.purpose == "hash table"})
    if tables:
        facts["hash_tables"] = tuple(tables)
    return facts
