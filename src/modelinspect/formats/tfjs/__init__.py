"""Read TensorFlow.js models, layers and graph: ``model.json`` and the weights files that it names."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename

from modelinspect.core.artifact import DocumentKind, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, set_fact
from modelinspect.core.names import TFJS_MANIFEST, TFJS_MODEL
from modelinspect.core.tensors import Role
from modelinspect.encodings.json_keys import top_level_entries
from modelinspect.errors import FormatError
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.keras.config import LayerConfig, model_config, read_json
from modelinspect.formats.keras.roles import role_of
from modelinspect.formats.tfjs.manifest import Group, Weight, all_paths, read_manifest, role_of_weight
from modelinspect.formats.tfjs.shards import place_weights

_KEYS = (b'"weightsManifest"', b'"modelTopology"')
_TOPOLOGY, _MANIFEST, _TRAINING = "modelTopology", "weightsManifest", "trainingConfig"
_FACTS = {"format": "tfjs_format", "generatedBy": "generated_by", "convertedBy": "converted_by"}
_SEARCHED_FILES = 16
_NESTING = 12


class Tfjs:
    """Models that the TensorFlow.js converter or TensorFlow.js itself writes."""

    name = FormatName.TFJS
    about = About(
        title="TensorFlow.js",
        names=(FormatName.TFJS,),
        files=("`model.json` with `*.bin`", "`weights_manifest.json` (before 1.0)"),
        page="tfjs.md",
        limitations=("A weight file between two missing ones cannot be placed and is `unattributed`.",),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether a model.json, or the manifest of old converters, is there, or names the primary
        file.
        """
        return _description(parsing) is not None

    def parse(self, parsing: Parsing) -> FormatName:
        """Map the description and the weights files that it names."""
        name = _description(parsing) or ""
        site = parsing.open(name)
        value = _load(site)
        site.document(DocumentKind.TFJS_MODEL)
        available = {*parsing.names(), *parsing.neighbours(), name}
        if isinstance(value, list):
            site.claims.claim(0, site.source.size, RegionKind.METADATA, site.claims.path(_MANIFEST))
            manifest: object = value
            layers = None
            _claim_old_graph(parsing, available)
        else:
            description = value if isinstance(value, Mapping) else {}
            _claim_json(site)
            _add_facts(parsing, description)
            manifest = description.get(_MANIFEST, [])
            layers = _layers(description)
        groups, errors = read_manifest(manifest, site.claims.member)
        for error in errors:
            site.survive(error)
        _place(parsing, groups, available, site, layers)
        _claim_others(parsing)
        return self.name


FORMAT = Tfjs()


def _description(parsing: Parsing) -> str | None:
    """Return the name of the JSON file that describes the model."""
    if parsing.primary is None:
        names = [name for name in parsing.names() if "/" not in name and name.endswith(".json")]
        names.sort(key=lambda name: (name != TFJS_MODEL, name))
        return next((name for name in names[:_SEARCHED_FILES] if _is_description(parsing, name)), None)
    primary = parsing.primary
    if primary.endswith(".json"):
        return primary if _is_description(parsing, primary) else None
    if primary.endswith((".bin", "tensorflowjs_model.pb")) or "-shard" in primary:
        names = sorted(
            (name for name in parsing.neighbours() if name.endswith(".json")),
            key=lambda name: (name != TFJS_MODEL, name),
        )
        return next((name for name in names[:_SEARCHED_FILES] if _names_file(parsing, name, primary)), None)
    return None


def _is_description(parsing: Parsing, name: str) -> bool:
    head = parsing.peek(name, 64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"["):
        return name.endswith(TFJS_MANIFEST)
    if not head.startswith(b"{"):
        return False
    source = parsing.files.open(name)
    if source.size > parsing.limits.structure_size:
        return False
    text = source.read_at(0, source.size)
    return all(key in text for key in _KEYS) or (
        basename(name) == TFJS_MODEL and any(key in text for key in _KEYS)
    )


def _names_file(parsing: Parsing, description: str, name: str) -> bool:
    """Return whether a description names a weights file of the model, or is the manifest beside its graph."""
    if not _is_description(parsing, description):
        return False
    if name.endswith(".pb"):
        return description.endswith(TFJS_MANIFEST)
    source = parsing.files.open(description)
    value = read_json(source.read_at(0, source.size))
    manifest = value.get(_MANIFEST) if isinstance(value, Mapping) else value
    return name in all_paths(read_manifest(manifest, description)[0])


def _load(site: Site) -> object:
    site.limits.allow(site.source.name, site.source.size, site.limits.structure_size, site.claims.member)
    value = read_json(site.source.read_at(0, site.source.size))
    if not isinstance(value, Mapping | list):
        raise FormatError("it is not readable as JSON", site.claims.member, 0)
    return value


def _claim_json(site: Site) -> None:
    """Claim what is under each key of the description; braces and commas between are its framing."""
    text = site.source.read_at(0, site.source.size)
    path = site.claims.path
    for entry in top_level_entries(text):
        kind = RegionKind.GRAPH if entry.key == _TOPOLOGY else RegionKind.METADATA
        site.claims.claim(entry.span.offset, entry.span.size, kind, path(entry.key))
    site.claims.fill(0, len(text), RegionKind.CONTAINER, path("JSON"))


def _add_facts(parsing: Parsing, description: Mapping[str, object]) -> None:
    for key, fact in _FACTS.items():
        value = description.get(key)
        if isinstance(value, str):
            set_fact(parsing.facts, fact, value)
    topology = description.get(_TOPOLOGY)
    if isinstance(topology, Mapping):
        version = topology.get("keras_version")
        if isinstance(version, str):
            parsing.facts["keras_version"] = version
        nodes = topology.get("node")
        if isinstance(nodes, list):
            ops = sorted({str(node.get("op")) for node in nodes if isinstance(node, Mapping)})
            parsing.facts["node_count"] = len(nodes)
            parsing.facts["ops"] = tuple(ops)
    metadata = description.get("userDefinedMetadata")
    signature = description.get(
        "signature", metadata.get("signature") if isinstance(metadata, Mapping) else None
    )
    if isinstance(signature, Mapping):
        parsing.facts["signature"] = _fact(signature, 0)


def _fact(value: object, depth: int) -> Fact:
    if depth > _NESTING:
        return None
    if isinstance(value, Mapping):
        return {str(key): _fact(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_fact(item, depth + 1) for item in value)
    return value if isinstance(value, bool | int | float | str) else None


def _layers(description: Mapping[str, object]) -> dict[str, LayerConfig] | None:
    """Return a layers model's layers by name; None for a graph model."""
    topology = description.get(_TOPOLOGY)
    if not isinstance(topology, Mapping) or "node" in topology:
        return None
    wrapped = topology.get("model_config")
    model = model_config(wrapped if isinstance(wrapped, Mapping) else topology)
    return {layer.name: layer for layer in model.walk()} if model is not None else {}


def _place(
    parsing: Parsing,
    groups: list[Group],
    available: set[str],
    site: Site,
    layers: dict[str, LayerConfig] | None,
) -> None:
    def role(weight: Weight) -> Role:
        owner, _, variable = weight.name.rpartition("/")
        config = (layers or {}).get(owner.rpartition("/")[2])
        return role_of_weight(
            weight, role_of(variable, config.class_name if config else ""), is_graph=layers is None
        )

    seen: set[str] = set()
    for group in groups:
        repeated = [path for path in group.paths if path in seen]
        if repeated or len(set(group.paths)) < len(group.paths):
            site.diagnose(
                f"the manifest names a weights file twice: {', '.join(repeated or group.paths)[:200]}"
            )
            continue
        seen.update(group.paths)
        place_weights(parsing, group, available, site, role)
    quantized = {
        weight.name: weight.original_dtype
        for group in groups
        for weight in group.weights
        if weight.original_dtype
    }
    if quantized:
        parsing.facts["original_dtypes"] = dict(quantized)


def _claim_old_graph(parsing: Parsing, available: set[str]) -> None:
    """Claim the graph that converters before 1.0 wrote beside the manifest."""
    for name in sorted(available):
        if name.endswith("tensorflowjs_model.pb"):
            site = parsing.open(name)
            site.document(DocumentKind.GRAPH, label="GraphDef")
            site.claims.claim(0, site.source.size, RegionKind.GRAPH, site.claims.path("GraphDef"))


def _claim_others(parsing: Parsing) -> None:
    """Label the files of a folder that the model does not name: what a site serves beside it."""
    if parsing.primary is None:
        opened = set(parsing.opened())
        for name in parsing.names():
            if name not in opened:
                site = parsing.open(name)
                site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(name))
