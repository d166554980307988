"""Pass each file of a SavedModel directory to its parser."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts, add_facts
from modelinspect.core.names import (
    FINGERPRINT_PB,
    KERAS_METADATA_MESSAGE,
    KERAS_METADATA_PB,
    SAVED_MODEL_CPB,
    SAVED_MODEL_PB,
    SAVED_MODEL_PBTXT,
)
from modelinspect.encodings.protobuf import message, parse_message
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.checkpoint import read_bundle
from modelinspect.formats.graph.facts import graph_facts
from modelinspect.formats.graph.messages import MessageWalk
from modelinspect.formats.graph.text import parse_text
from modelinspect.formats.graph.uses import assign_roles
from modelinspect.formats.saved_model.chunked import parse_chunked

MODEL_FILES = (SAVED_MODEL_CPB, SAVED_MODEL_PB, SAVED_MODEL_PBTXT)
"""In the order in which TensorFlow's loader looks for them (tensorflow/cc/saved_model/reader.cc)."""
VARIABLES = "variables/variables"
_MESSAGES = {
    FINGERPRINT_PB: ("FingerprintDef", RegionKind.METADATA),
    KERAS_METADATA_PB: (KERAS_METADATA_MESSAGE, RegionKind.METADATA),
    "debug/saved_model_debug_info.pb": ("GraphDebugInfo", RegionKind.DEBUG),
}
"""Files that are one message each."""
_LAYERS_SIZE = 64 << 20


def parse_directory(parsing: Parsing) -> None:
    """Claim every file, add the tensors, and set the facts."""
    names = (parsing.primary,) if parsing.primary is not None else parsing.names()
    layers = layer_names(parsing) if KERAS_METADATA_PB in names else {}
    model = [name for name in MODEL_FILES if name in names]
    facts: Facts = {}
    for name in reversed(model):  # the file that the loader takes has the last word
        facts |= _graph(parsing.open(name), name, layers)
    parsing.facts.update(facts)
    taken = {*model, *_variables(parsing, names, facts)}
    for name in names:
        if name in _MESSAGES:
            one_message(parsing.open(name), *_MESSAGES[name])
        elif name not in taken:
            site = parsing.open(name)
            folder = name.partition("/")[0] if "/" in name else "file"
            site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(folder))
    if KERAS_METADATA_PB in names:
        parsing.open(KERAS_METADATA_PB).document(DocumentKind.KERAS_METADATA)
        parsing.facts["keras_layers"] = len(layers)


def _graph(site: Site, name: str, layers: dict[int, str]) -> Facts:
    if name == SAVED_MODEL_CPB:
        site.document(DocumentKind.GRAPH, label="Riegeli")
        return parse_chunked(site, message("SavedModel"))
    site.document(
        DocumentKind.GRAPH_TEXT if name == SAVED_MODEL_PBTXT else DocumentKind.GRAPH, label="SavedModel"
    )
    first = site.parsing.tensor_count
    if name == SAVED_MODEL_PBTXT:
        facts, uses = parse_text(site, message("SavedModel"), RegionKind.METADATA, layers)
    else:
        walk = MessageWalk(site)
        walk.root(message("SavedModel"), RegionKind.METADATA)
        facts, uses = graph_facts(walk, layers), walk.nodes.uses
    if facts.get("variable_count") == 0:  # its weights are constants
        assign_roles(site.parsing, uses, first)
    return facts


def _variables(parsing: Parsing, names: Iterable[str], facts: Facts) -> list[str]:
    """Read the checkpoint of the variables; return the files that belong to it."""
    files = [name for name in names if name == f"{VARIABLES}.index" or name.startswith(f"{VARIABLES}.data-")]
    if f"{VARIABLES}.index" in files:
        bundle = read_bundle(parsing, f"{VARIABLES}.index", files)
        add_facts(
            parsing.facts,
            {key: cast("Fact", fact) for key, fact in bundle.facts.items() if key not in parsing.facts},
        )
        return files
    site = parsing.open(next(name for name in MODEL_FILES if name in names))
    if files:
        for name in files:
            parsing.open(name)
        parsing.open(files[0]).diagnose(
            f"{VARIABLES}.index is missing: nothing says what the shards hold", 0, Severity.ERROR
        )
    elif parsing.primary is None and facts.get("variable_count"):
        site.diagnose(
            f"the graph has {facts['variable_count']} variables but there is no {VARIABLES}.index",
            severity=Severity.NOTE,
        )
    return files


def one_message(site: Site, name: str, kind: RegionKind) -> None:
    """Claim a file that is one message, each of its messages a region."""
    MessageWalk(site).root(message(name), kind)


def layer_names(parsing: Parsing) -> dict[int, str]:
    """Return the names of Keras layers by their node in the object graph, as keras_metadata.pb lists them."""
    source = parsing.files.open(KERAS_METADATA_PB)
    if source.size > min(_LAYERS_SIZE, parsing.limits.structure_size):
        return {}
    try:
        metadata = parse_message(KERAS_METADATA_MESSAGE, source.read_at(0, source.size))
    except FormatError:  # the walk over the file says so
        return {}
    names: dict[int, str] = {}
    for node in metadata.nodes:  # type: ignore[attr-defined]
        if not node.identifier.endswith(("layer", "model", "network", "sequential")):
            continue
        try:
            config = json.loads(node.metadata)
        except (ValueError, RecursionError):
            continue
        name = config.get("name") if isinstance(config, dict) else None
        if isinstance(name, str):
            names[node.node_id] = name
    return names
