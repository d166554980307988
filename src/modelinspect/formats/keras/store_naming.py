"""Name the datasets of Keras 3's weights store (``.weights.h5``, within ``.keras`` too)."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role
from modelinspect.encodings.hdf5.model import Dataset, Hdf5File
from modelinspect.encodings.hdf5.values import text_of
from modelinspect.encodings.walk import Walk
from modelinspect.formats.hdf5.elements import elements
from modelinspect.formats.hdf5.naming import Description
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.formats.keras.given_names import GivenNames
from modelinspect.formats.keras.store import layer_of, roles, split_path, store_paths
from modelinspect.formats.keras.variables import Variable


class StoreNaming:
    """Describes variables by their path; a model's configuration, where there is one, gives layers their
    names and classes.

    ``layer_names`` are the names that the file itself notes beside the variables, by store path, after the
    survey.
    """

    def __init__(
        self, model: LayerConfig | None = None, training: Mapping[str, object] | None = None
    ) -> None:
        self.model = model
        self._training = training
        self._given: dict[str, str] = {}
        self._layers: dict[str, str] = {}
        self._configs = store_paths(model) if model is not None else {}
        self._names = {path: layer.name for path, layer in self._configs.items() if path and layer.name}
        self._roles: dict[str, Role] = {}
        self.layer_names: dict[str, str] = {}

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Call every attribute metadata."""
        return RegionKind.METADATA

    def survey(self, file: Hdf5File, walk: Walk) -> None:
        """Learn the variables of each owner and the names that the file notes."""
        owners: dict[str, list[tuple[int, Dataset]]] = {}
        numbered_variables: dict[str, list[Variable]] = {}
        for dataset in file.datasets:
            place = split_path(dataset.path)
            if place is not None:
                owners.setdefault(place[0], []).append((place[1], dataset))
        for owner, numbered in owners.items():
            numbered.sort(key=lambda item: item[0])
            variables = numbered_variables[owner] = [_variable(dataset, walk) for _, dataset in numbered]
            config = self._configs.get(owner) if owner else None
            for (_, dataset), role in zip(
                numbered, roles(owner, variables, config.class_name if config else ""), strict=True
            ):
                self._roles[dataset.path] = role
        for group in file.groups:
            attribute = group.attributes.get("name")
            if attribute is not None and group.path.endswith("/vars"):
                name = text_of(attribute, walk)
                if name is not None:
                    self.layer_names[group.path[: -len("/vars")].strip("/")] = name
        names = GivenNames(numbered_variables, self.model, self._training, self.layer_names)
        given = names.find()
        if self.model is None and self.layer_names:
            self._layers = {owner: names.layer(owner) for owner in owners}
        for owner, numbered in owners.items():
            for number, (_, dataset) in enumerate(numbered):
                if (owner, number) in given:
                    self._given[dataset.path] = given[owner, number]

    def describe(self, dataset: Dataset) -> Description:
        """Name the variable as people know it."""
        place = split_path(dataset.path)
        path = dataset.path.strip("/")
        if place is None:
            return Description(path, Role.OTHER)
        layer = layer_of(place[0], self._names)
        if layer is not None:
            layer = self._layers.get(place[0]) or layer
        return Description(
            self._given.get(dataset.path, path), self._roles.get(dataset.path, Role.WEIGHT), layer, path
        )


def _variable(dataset: Dataset, walk: Walk) -> Variable:
    hint = dataset.attributes.get("dtype")
    return Variable(
        elements(dataset.datatype, text_of(hint, walk) if hint is not None else None).dtype, dataset.shape
    )
