"""Read a whole bundle into an artifact: index, shards, tensors with what they are for, facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelinspect.core.facts import Facts
from modelinspect.core.tensors import ByteOrder, Role
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint.bundle import SHARD, Bundle, duplicates, read_index
from modelinspect.formats.checkpoint.tensors import Placer, read_object_graph
from modelinspect.formats.graph.object_graph import uses
from modelinspect.formats.graph.trackable import Use, read_trackable


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
