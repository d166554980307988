"""Parse HDF5 files of any writer; the structure decides the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.names import CONFIG_JSON, MODEL_WEIGHTS
from modelinspect.encodings.hdf5.model import Dataset, Hdf5File
from modelinspect.encodings.walk import Walk
from modelinspect.errors import InvariantError
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.hdf5 import read_hdf5
from modelinspect.formats.hdf5.naming import Description, GenericNaming
from modelinspect.formats.keras.config import LayerConfig, compile_config, model_config, read_json
from modelinspect.formats.keras.hdf5_facts import (
    attribute_facts,
    elsewhere_facts,
    legacy_facts,
    parameter_count,
    store_facts,
    structure_facts,
)
from modelinspect.formats.keras.legacy_naming import LegacyNaming
from modelinspect.formats.keras.packed import describe_packed
from modelinspect.formats.keras.store import CONTAINERS, split_path, store_paths
from modelinspect.formats.keras.store_naming import StoreNaming


class Hdf5Format:
    """Every HDF5 file: Keras models and weights by layer name (Keras 1 to 3, tf_keras), Keras 3's weights
    store, and other writers' files.

    They look alike from outside; the structure decides which `FormatName` `parse` returns.
    """

    name = FormatName.KERAS_HDF5
    about = About(
        title="HDF5 of Keras and others",
        names=(FormatName.KERAS_HDF5, FormatName.WEIGHTS_HDF5, FormatName.HDF5),
        files=("`*.h5`", "`*.hdf5`", "`*.weights.h5`"),
        page="hdf5.md",
        limitations=(
            (
                "External links, external storage and the sources of virtual datasets are named and never"
                " opened."
            ),
            "VAX floating-point numbers, and addresses of sizes other than 2, 4 or 8 bytes, are not read.",
            (
                "A version of a structure that HDF5 File Format Specification 3.0 does not have is"
                " `unattributed`, with a diagnostic."
            ),
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the primary file is HDF5."""
        return is_hdf5(parsing)

    def parse(self, parsing: Parsing) -> FormatName:
        """Parse the primary file and return its format's name."""
        return parse_hdf5(parsing)


FORMAT = Hdf5Format()

_CONFIG_SIZE = 64 << 20
_KERAS_ATTRIBUTES = ("model_config", "layer_names", "layer_names0", "nb_layers", "keras_version")


def is_hdf5(parsing: Parsing) -> bool:
    """Return whether the primary file has an HDF5 signature: at byte 0, 512, 1,024 and so on (specification,
    II.A).
    """
    if parsing.primary is None:
        return False
    source = parsing.files.open(parsing.primary)
    offset = 0
    while offset + len(signatures.HDF5) <= source.size:
        if source.read_at(offset, len(signatures.HDF5)) == signatures.HDF5:
            return True
        offset = offset * 2 or 512
    return False


def parse_hdf5(parsing: Parsing) -> FormatName:
    """Parse the primary file and return which of the three formats its structure is of."""
    if parsing.primary is None:
        raise InvariantError("no file to parse")
    site = parsing.open(parsing.primary)
    naming = _Deciding(lambda: _config_beside(parsing))
    file = read_hdf5(site, naming)
    parsing.facts["hdf5"] = structure_facts(file)
    parsing.facts |= attribute_facts(file, site)
    parsing.facts |= elsewhere_facts(file)
    match naming.chosen:
        case LegacyNaming() as legacy:
            layers = legacy.model.walk() if legacy.model is not None else ()
            describe_packed(parsing, range(parsing.tensor_count), {layer.name: layer for layer in layers})
            parsing.facts |= legacy_facts(legacy)
            parsing.facts["parameters"] = parameter_count(parsing)
            return FormatName.KERAS_HDF5
        case StoreNaming() as store:
            describe_packed(
                parsing,
                range(parsing.tensor_count),
                store_paths(store.model) if store.model is not None else {},
            )
            parsing.facts |= store_facts(store)
            if store.model is not None:
                parsing.facts["config_beside"] = CONFIG_JSON
            parsing.facts["parameters"] = parameter_count(parsing)
            return FormatName.WEIGHTS_HDF5
        case _:
            return FormatName.HDF5


class _Deciding:
    """A naming that becomes another one when it has seen the file."""

    def __init__(self, beside: Callable[[], Mapping[str, object] | None]) -> None:
        self._beside = beside
        self.chosen: LegacyNaming | StoreNaming | GenericNaming = GenericNaming()

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Return the kind by only name: the walk may ask before the file is known."""
        return RegionKind.GRAPH if name == "model_config" else RegionKind.METADATA

    def survey(self, file: Hdf5File, walk: Walk) -> None:
        """Choose."""
        self.chosen = _choose(file, self._beside)
        self.chosen.survey(file, walk)

    def describe(self, dataset: Dataset) -> Description:
        """Return what the chosen naming says."""
        return self.chosen.describe(dataset)


def _choose(
    file: Hdf5File, beside: Callable[[], Mapping[str, object] | None]
) -> LegacyNaming | StoreNaming | GenericNaming:
    root = file.root
    weights = file.group(f"/{MODEL_WEIGHTS}")
    for group in (root, weights):
        if group is not None and any(name in group.attributes for name in _KERAS_ATTRIBUTES):
            return LegacyNaming()
    if any(_is_store(dataset) for dataset in file.datasets) or any(
        _is_store_group(group.path) for group in file.groups
    ):
        config = beside()
        model = model_config(config)
        if model is None or not _fits(file, model):
            return StoreNaming()
        return StoreNaming(model, compile_config(config))
    return GenericNaming()


def _fits(file: Hdf5File, model: LayerConfig) -> bool:
    """Return whether a store has the layers of a configuration, and no others; a Sequential model does not
    list its input.
    """
    layers = {path: layer for path, layer in store_paths(model).items() if path.count("/") == 1}
    paths = {group.path.strip("/") for group in file.groups}
    stored = {path for path in paths if path.count("/") == 1 and path.partition("/")[0] == "layers"}
    return stored <= set(layers) and all(
        layer.class_name == "InputLayer" for path, layer in layers.items() if path not in stored
    )


def _config_beside(parsing: Parsing) -> Mapping[str, object] | None:
    """Return the configuration of a model in the folder of the primary file, None where there is none."""
    if not parsing.files.has_neighbour(CONFIG_JSON):
        return None
    source = parsing.files.open(CONFIG_JSON)
    if source.size > min(_CONFIG_SIZE, parsing.limits.structure_size):
        return None
    value = read_json(source.read_at(0, source.size))
    return value if isinstance(value, Mapping) else None


def _is_store(dataset: Dataset) -> bool:
    return split_path(dataset.path) is not None


def _is_store_group(path: str) -> bool:
    """Return whether a group is one of a weights store that holds no variable: ``/layers/flatten/vars``."""
    parts = path.strip("/").split("/")
    return len(parts) > 1 and parts[-1] == "vars" and parts[0] in CONTAINERS
