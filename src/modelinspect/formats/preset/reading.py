"""Read the files of a preset, each as what it is, and gather what its documents say: versions, class, how it
was quantized, and which weights stayed float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from posixpath import basename, dirname, join

from modelinspect.core import signatures
from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact, add_facts
from modelinspect.core.names import CONFIG_JSON, METADATA_JSON, TASK_JSON
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.encodings.hdf5.model import Hdf5File
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.hdf5 import read_hdf5
from modelinspect.formats.keras.config import LayerConfig, model_config, read_json
from modelinspect.formats.keras.legacy_naming import LegacyNaming
from modelinspect.formats.keras.packed import describe_packed
from modelinspect.formats.keras.sharded_weights import read_shards
from modelinspect.formats.keras.store_naming import StoreNaming
from modelinspect.formats.preset.members import WEIGHTS, Part, part_of
from modelinspect.formats.safetensors.file import count_parameters, read_safetensors
from modelinspect.formats.safetensors.index import read_index
from modelinspect.formats.tokenizers import (
    is_keras_config,
    read_hugging_face,
    read_sentencepiece,
    read_vocabulary,
)

_Read = Callable[[str, Site], object]
_NAMED = 5
_INDICES = (Part.KERAS_INDEX, Part.SAFETENSORS_INDEX, Part.LEGACY_INDEX)


class PresetReader:
    """A preset on its way to an artifact: indices come first, so the shards they list are read as theirs."""

    def __init__(self, parsing: Parsing) -> None:
        self.parsing = parsing
        self.names = parsing.names()
        self.parts = {name: part_of(name) for name in self.names}
        self.documents: dict[str, object] = {}
        self.tokenizers: dict[str, Fact] = {}

    def run(self) -> None:
        """Read every file once."""
        for name, part in self.parts.items():
            if part in (Part.CONFIG, Part.PREPROCESSING, Part.METADATA):
                self._survive(name, self._read_document)
        facts = self.parsing.facts
        add_facts(facts, _config_facts(self.documents.get(CONFIG_JSON), self.documents.get(METADATA_JSON)))
        self._read_weights()
        for name, part in self.parts.items():
            self._survive(name, self._read_rest(part))
        if self.tokenizers:
            facts["tokenizers"] = dict(self.tokenizers)
        facts["parameters"] = count_parameters(self.parsing)
        left = _stayed_float(
            self.parsing.tensor(TensorId(number)) for number in range(self.parsing.tensor_count)
        )
        if left is not None:
            facts["stayed_float"] = left

    def _survive(self, name: str, read: _Read) -> None:
        """Read a file that no reader has opened yet; trouble is a diagnostic of that file."""
        if name in self.parsing.opened():
            return
        site = self.parsing.open(name)
        try:
            read(name, site)
        except FormatError as error:
            site.survive(error)

    def _read_document(self, name: str, site: Site) -> None:
        """Claim a JSON document whole: settings of layers are graph, anything else is metadata."""
        site.limits.allow(name, site.source.size, site.limits.structure_size, site.source.name)
        value = read_json(site.source.read_at(0, site.source.size)) if name.endswith(".json") else None
        self.documents[name] = value
        graph = self.parts[name] is Part.CONFIG or is_keras_config(value)
        site.claims.claim(
            0, site.source.size, RegionKind.GRAPH if graph else RegionKind.METADATA, site.claims.path(name)
        )
        for label, template in _chat_templates(value):
            site.document(
                DocumentKind.CHAT_TEMPLATE, label=label, data=template.encode("utf-8", "surrogatepass")
            )
        if name.endswith(".jinja"):
            site.document(DocumentKind.CHAT_TEMPLATE, label=name)
        if is_keras_config(value):
            site.document(DocumentKind.KERAS_CONFIG, label=name)
        elif value is None and name.endswith(".json"):
            site.diagnose("it is not JSON, or is nested or long beyond any model's", 0)

    def _read_weights(self) -> None:
        found = sorted(
            (name for name, part in self.parts.items() if part in WEIGHTS),
            key=lambda name: (self.parts[name] not in _INDICES, name),
        )
        readers: dict[Part, _Read] = {
            Part.KERAS_INDEX: self._read_keras_index,
            Part.SAFETENSORS_INDEX: self._read_safetensors_index,
            Part.LEGACY_INDEX: self._read_legacy_index,
            Part.KERAS_WEIGHTS: self._read_keras_weights,
            Part.LEGACY_WEIGHTS: self._read_legacy_weights,
            Part.SAFETENSORS: self._read_safetensors,
        }
        for name in found:
            self._survive(name, readers[self.parts[name]])
        if found:
            self.parsing.facts["weight_files"] = tuple(found)
        describe_packed(
            self.parsing, range(self.parsing.tensor_count), _policies_of(self.documents.get(CONFIG_JSON))
        )
        self._tell_apart()

    def _tell_apart(self) -> None:
        """Put the file before the name of a tensor that another file has too: those of a task are numbered as
        those of its model are.
        """
        seen: dict[str, str] = {}
        for number in map(TensorId, range(self.parsing.tensor_count)):
            tensor = self.parsing.tensor(number)
            member = tensor.extents[0].member if tensor.extents else ""
            if seen.setdefault(tensor.name, member) != member:
                self.parsing.replace_tensor(number, replace(tensor, name=f"{member}:{tensor.name}"))

    def _model(self, name: str) -> LayerConfig | None:
        """Return the configuration that the weights of a file belong to: that of the task, or of the
        model.
        """
        task = basename(name).startswith("task.")
        return model_config(self.documents.get(join(dirname(name), TASK_JSON if task else CONFIG_JSON)))

    def _read_keras_weights(self, name: str, site: Site) -> None:
        read_hdf5(site, StoreNaming(self._model(name)))

    def _read_keras_index(self, name: str, _: Site) -> None:
        read_shards(self.parsing, name, self.names, self._model(name))

    def _read_safetensors(self, _: str, site: Site) -> None:
        read_safetensors(site)

    def _read_safetensors_index(self, name: str, site: Site) -> None:
        read_index(self.parsing, site, name, self.names)

    def _read_legacy_weights(self, _: str, site: Site) -> Hdf5File:
        return read_hdf5(site, LegacyNaming())

    def _read_legacy_index(self, name: str, site: Site) -> None:
        """Read the index of transformers' HDF5 shards, the shards, and whether each holds what the index
        looks for in it.
        """
        self._read_document(name, site)
        site.document(DocumentKind.SHARD_MAP)
        value = self.documents[name]
        weight_map = value.get("weight_map") if isinstance(value, Mapping) else None
        wanted: dict[str, list[str]] = {}
        for key, shard in weight_map.items() if isinstance(weight_map, Mapping) else ():
            if isinstance(shard, str):
                wanted.setdefault(shard, []).append(key)
        for shard, keys in sorted(wanted.items()):
            place = join(dirname(name), shard)
            if place not in self.parts:
                site.diagnose(f"shard {shard!r} is missing", None, Severity.ERROR, Code.INCOMPLETE)
                continue
            try:
                file = self._read_legacy_weights(place, self.parsing.open(place))
            except FormatError as error:
                self.parsing.open(place).survive(error)
                continue
            self._check_keys(site, shard, keys, {dataset.path.strip("/") for dataset in file.datasets})

    def _check_keys(self, site: Site, shard: str, keys: Iterable[str], held: set[str]) -> None:
        """Report keys that a shard does not hold; transformers leaves out the first part of a name where
        there are several.
        """
        lost = sorted(key for key in keys if key not in held and key.partition("/")[2] not in held)
        if lost:
            listed = ", ".join(lost[:_NAMED]) + (", …" if len(lost) > _NAMED else "")
            problem = (
                f"shard {shard!r} does not hold {len(lost):,} of the tensors that the index looks for in it:"
                f" {listed}"
            )
            site.diagnose(problem, None, Severity.ERROR, Code.INCOMPLETE)

    def _read_rest(self, part: Part) -> _Read:
        match part:
            case Part.TOKENIZER_JSON:
                return self._read_tokenizer
            case Part.SENTENCEPIECE:
                return lambda name, site: self.tokenizers.update(
                    {name: read_sentencepiece(site, site.claims.path(name))}
                )
            case Part.VOCABULARY:
                return lambda name, site: self.tokenizers.update(
                    {name: read_vocabulary(site, site.claims.path(name))}
                )
            case Part.FOREIGN:
                return self._leave
            case _:
                return lambda name, site: site.claims.claim(
                    0, site.source.size, RegionKind.ASSET, site.claims.path(name)
                )

    def _read_tokenizer(self, name: str, site: Site) -> None:
        """Read ``tokenizer.json``, which is a layer's configuration to KerasHub and the whole tokenizer to
        Hugging Face.
        """
        if signatures.KERAS_CONFIG in site.source.read_at(0, min(site.source.size, 4096)):
            self._read_document(name, site)
        else:
            self.tokenizers[name] = read_hugging_face(site, site.claims.path(name))

    def _leave(self, name: str, site: Site) -> None:
        """Leave the weights of another framework unattributed, and say so."""
        site.diagnose("weights of another framework, which are not read", 0, Severity.NOTE, Code.UNSUPPORTED)
        others = self.parsing.facts.get("also_holds")
        self.parsing.facts["also_holds"] = (*(others if isinstance(others, tuple) else ()), name)


_SHOWN = 20
_TEXT = 200
_METADATA = ("keras_version", "keras_hub_version", "keras_nlp_version", "date_saved")
_HUGGING_FACE = ("model_type", "torch_dtype", "dtype", "transformers_version")


def _config_facts(config: object, metadata: object) -> dict[str, Fact]:
    """Return the facts of ``config.json`` and ``metadata.json``, of KerasHub or of Hugging Face."""
    facts: dict[str, Fact] = {}
    if isinstance(metadata, Mapping):
        facts |= _texts(metadata, _METADATA)
        count = metadata.get("parameter_count")
        if isinstance(count, int):
            facts["declared_parameters"] = count
    if not isinstance(config, Mapping):
        return facts
    settings = config.get("config")
    if isinstance(config.get("class_name"), str) and isinstance(settings, Mapping):
        facts["model_class"] = str(config["class_name"])[:_TEXT]
        facts |= {"model_name": name[:_TEXT]} if isinstance(name := settings.get("name"), str) else {}
        modes = _policy_modes(settings.get("dtype"))
        return facts | ({"quantized_layers": modes} if modes else {})
    facts |= _texts(config, _HUGGING_FACE)
    architectures = config.get("architectures")
    if isinstance(architectures, list):
        facts["model_class"] = ", ".join(str(one)[:_TEXT] for one in architectures[:_SHOWN])
    quantization = config.get("quantization_config")
    if isinstance(quantization, Mapping):
        listed = {
            key: value
            for key, value in quantization.items()
            if isinstance(value, str | int | float) and len(str(value)) < _TEXT
        }
        facts["quantization"] = dict(sorted(listed.items())[:_SHOWN])
    return facts


def _texts(values: Mapping[str, object], keys: Iterable[str]) -> dict[str, Fact]:
    return {key: value[:_TEXT] for key in keys if isinstance(value := values.get(key), str)}


def _policy_modes(policy: object) -> dict[str, Fact]:
    """Return the layers that a DTypePolicyMap quantizes, each with its mode; one policy for all layers is
    under the empty name.
    """
    settings = policy.get("config") if isinstance(policy, Mapping) else None
    if not isinstance(settings, Mapping):
        return {}
    if isinstance(mode := settings.get("mode"), str):
        return {"": mode[:_TEXT]}
    found: dict[str, Fact] = {}
    policies = settings.get("policy_map")
    for layer, one in policies.items() if isinstance(policies, Mapping) else ():
        inner = one.get("config") if isinstance(one, Mapping) else None
        mode = inner.get("mode") if isinstance(inner, Mapping) else None
        if isinstance(layer, str) and isinstance(mode, str):
            found[layer] = mode[:_TEXT]
    return found


def _policies_of(config: object) -> dict[str, LayerConfig]:
    """Return what the configuration of a preset says about its quantized layers: one for each policy, by the
    layer's name.
    """
    settings = config.get("config") if isinstance(config, Mapping) else None
    policy = settings.get("dtype") if isinstance(settings, Mapping) else None
    listed = policy.get("config") if isinstance(policy, Mapping) else None
    policies = listed.get("policy_map") if isinstance(listed, Mapping) else None
    if not isinstance(policies, Mapping):
        return {}
    return {
        str(name): LayerConfig(str(name).rpartition("/")[2], "", {"dtype": one})
        for name, one in policies.items()
    }


def _stayed_float(tensors: Iterable[Tensor]) -> dict[str, Fact] | None:
    """Return how many weights of 16 bits or more a quantized model still has; None where no weight is
    narrower.

    Only weights of two axes or more count: biases and norms are not quantized.
    """
    wide: list[Tensor] = []
    narrow: list[Tensor] = []
    for tensor in tensors:
        if tensor.role is Role.WEIGHT and len(tensor.shape) > 1:
            (wide if tensor.dtype.kind is ElementKind.FLOAT and tensor.dtype.bits >= 16 else narrow).append(
                tensor
            )
    if not narrow:
        return None
    wide.sort(key=lambda tensor: (-tensor.stored_size, tensor.name))
    return {
        "tensors": len(wide),
        "bytes": sum(tensor.stored_size for tensor in wide),
        "quantized_bytes": sum(tensor.stored_size for tensor in narrow),
        "largest": tuple(tensor.name for tensor in wide[:_SHOWN]),
    }


def _chat_templates(value: object) -> Iterator[tuple[str, str]]:
    """Yield the templates of a document of Hugging Face, with their labels: one text, texts by name, or a
    list of both.
    """
    found = value.get("chat_template") if isinstance(value, Mapping) else None
    if isinstance(found, str):
        yield "chat_template", found
    elif isinstance(found, Mapping):
        yield from (
            (f"chat_template {name}"[:_TEXT], text) for name, text in found.items() if isinstance(text, str)
        )
    for entry in found if isinstance(found, list) else ():
        text = entry.get("template") if isinstance(entry, Mapping) else None
        if isinstance(text, str):
            yield f"chat_template {entry.get('name')}"[:_TEXT], text
