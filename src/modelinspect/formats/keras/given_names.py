"""Give the variables of a weights store the names that people gave to their layers.

A store counts layers by class and numbers their variables (``layers/conv2d_34/vars/0``). The names are in the
model's configuration, and Keras 3 notes those of layers beside the variables; the names of variables follow
from the layer's class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelinspect.formats.keras.config import LayerConfig
from modelinspect.formats.keras.slots import (
    Shape,
    class_of_scope,
    optimizer_class,
    optimizer_settings,
    slot_names,
)
from modelinspect.formats.keras.store import CONTAINERS, METRICS, OPTIMIZERS, store_paths
from modelinspect.formats.keras.variables import (
    WRAPPERS,
    Variable,
    cell_name,
    class_in_snake_case,
    part_class,
    plain_class,
    variable_names,
)

Owners = Mapping[str, Sequence[Variable]]
"""The variables of each owner's path, in order."""
_PARTS = (
    *("forward_layer", "backward_layer", "layer", "cell"),
    *("query_dense", "key_dense", "value_dense", "output_dense"),
)
"""Layers that a layer makes, in the order in which it makes them."""
_DEEPEST = 64
"""Owners below more objects keep their paths."""
_DIRECTIONS = {"forward_layer": "forward_", "backward_layer": "backward_"}


class GivenNames:
    """The names of a store's variables by owner; ``noted`` are the names that the file itself has beside
    them, by path.
    """

    def __init__(
        self,
        owners: Owners,
        model: LayerConfig | None = None,
        training: Mapping[str, object] | None = None,
        noted: Mapping[str, str] | None = None,
    ) -> None:
        self._owners = {
            owner: variables for owner, variables in owners.items() if owner.count("/") < _DEEPEST
        }
        self._configs = store_paths(model) if model is not None else {}
        self._training = training
        self._noted = noted or {}
        # tf_keras notes no names beside variables, and calls a depthwise kernel otherwise.
        self._keras = 3 if self._noted or model is None else 2
        self._classes: dict[str, str] = {}

    def find(self) -> dict[tuple[str, int], str]:
        """Return the names by owner and place among the owner's variables; those that are not known are left
        out.
        """
        found: dict[tuple[str, int], str] = {}
        for owner, variables in self._owners.items():
            if owner.partition("/")[0] not in OPTIMIZERS:
                scope = self.layer(owner)
                names = self._variables(owner, variables)
                for place in range(len(variables)):
                    own = names[place] if names is not None else f"vars/{place}"
                    found[owner, place] = f"{scope}/{own}" if scope else own
        for owner, variables in self._owners.items():
            if owner.partition("/")[0] in OPTIMIZERS:
                named = self._slots(owner, variables, found)
                scope = class_of_scope(self._noted.get(owner, "")) or self._optimizer(owner) or owner
                for place in range(len(variables)):
                    found[owner, place] = named[place] if named is not None else f"{scope}/vars/{place}"
        return found

    def _optimizer(self, owner: str) -> str:
        """Return the class of the optimizer in the training configuration, "" for one within or around
        another: a word leaves out what scales the loss.
        """
        within = any(other.startswith(f"{owner}/") for other in self._owners)
        return "" if within or owner.count("/") else optimizer_class(self._training)

    def layer(self, owner: str) -> str:
        """Return the names of the layers that lead to an owner, "" for the model itself."""
        parts = owner.split("/") if owner else []
        names: list[str] = []
        for length in range(1, len(parts) + 1):
            path = "/".join(parts[:length])
            if parts[length - 1] in CONTAINERS or (parts[length - 1] == "cells" and path not in self._noted):
                continue
            config = self._configs.get(path)
            if config is not None and plain_class(config.class_name) in WRAPPERS and length < len(parts):
                continue  # the layer within has the name
            names.append(self._name(path))
        return "/".join(names)

    def _name(self, path: str) -> str:
        """Return the name of the object at a path."""
        noted = self._noted.get(path)
        if noted:
            return noted
        outer, _, part = path.rpartition("/")
        if part in _DIRECTIONS:
            within = self._configs.get(f"{outer}/layer")
            config = self._configs.get(path)
            name = config.name if config is not None else within.name if within is not None else ""
            return f"{_DIRECTIONS[part]}{name.removeprefix(_DIRECTIONS[part])}" if name else part
        config = self._configs.get(path)
        if config is not None and config.name:
            return config.name
        return cell_name(self._class(outer), part) or part

    def _class(self, path: str) -> str:
        """Return the class of the object at a path as far as it is known: from the configuration, the noted
        name, or the path.
        """
        known = self._classes.get(path)
        if known is None:
            known = self._classes[path] = self._find_class(path)
        return known

    def _find_class(self, path: str) -> str:
        config = self._configs.get(path)
        if config is not None:
            return config.class_name
        outer, _, part = path.rpartition("/")
        if part in _DIRECTIONS:
            within = self._configs.get(f"{outer}/layer")
            return within.class_name if within is not None else ""
        noted = self._noted.get(path, "")
        own = cell_name(self._class(outer), part) if outer else None
        for name in (noted, own or "", part):
            bare = name.rstrip("0123456789").rstrip("_")
            found = class_in_snake_case(name) or class_in_snake_case(bare) or part_class(name)
            if found:
                return found
        return ""

    def _variables(self, owner: str, variables: Sequence[Variable]) -> tuple[str, ...] | None:
        config = self._configs.get(owner)
        if config is None and owner.rpartition("/")[2] in _DIRECTIONS:
            config = self._configs.get(f"{owner.rpartition('/')[0]}/layer")
        settings = config or self._maker(owner)
        kind = plain_class(self._class(owner))
        if config is None and settings is not None:  # a cell: its layer has its settings
            settings = LayerConfig("", kind, settings.settings)
        return variable_names(settings, kind, variables, self._keras) if owner else None

    def _maker(self, owner: str) -> LayerConfig | None:
        """Return the recurrent layer that made a cell."""
        outer, _, part = owner.rpartition("/")
        if part != "cell":
            return None
        config = self._configs.get(outer)
        return config or self._configs.get(f"{outer.rpartition('/')[0]}/layer")

    def _slots(
        self, owner: str, variables: Sequence[Variable], found: Mapping[tuple[str, int], str]
    ) -> tuple[str, ...] | None:
        trained = self._trained(found)
        noted = self._noted.get(owner, "")
        kind = optimizer_class(self._training)
        if owner.count("/") or kind not in (noted, class_of_scope(noted)):
            kind = class_of_scope(noted) if noted else kind
        return (
            slot_names(
                kind,
                [variable.shape for variable in variables],
                trained,
                optimizer_settings(self._training, kind),
            )
            if trained is not None and kind
            else None
        )

    def _trained(self, found: Mapping[tuple[str, int], str]) -> list[tuple[str, Shape]] | None:
        """Return the trainable variables in the model's order, None where that is not known."""
        if not self._configs:
            return None
        trained: list[tuple[str, Shape]] = []
        for owner in self._in_order():
            names = self._variables(owner, self._owners[owner])
            if names is None:
                return None
            for place, (name, variable) in enumerate(zip(names, self._owners[owner], strict=True)):
                if name not in _UNTRAINED:
                    trained.append((found[owner, place], variable.shape))
        return trained

    def _in_order(self) -> Iterator[str]:
        """Yield the trainable owners in the order in which a model lists their variables."""
        below = self._tree()
        pending = [""]
        while pending:
            path = pending.pop()
            config = self._configs.get(path)
            if config is not None and config.settings.get("trainable") is False:
                continue
            if path and self._owners.get(path):
                yield path
            pending += reversed(below.get(path, ()))

    def _tree(self) -> dict[str, list[str]]:
        """Return the objects within each, as the configuration lists them, then those that layers make, in
        their order.
        """
        below: dict[str, list[str]] = {}
        for path in self._configs:
            if path:
                below.setdefault(_outer(path), []).append(path)
        listed = {path for path in self._configs if path}
        made: list[str] = []
        for owner in self._owners:
            path = owner
            while path and path not in listed and path.partition("/")[0] not in OPTIMIZERS | METRICS:
                listed.add(path)
                made.append(path)
                path = _outer(path)
        for path in made:
            below.setdefault(_outer(path), []).append(path)
        for children in below.values():
            children.sort(key=_rank)  # stable: layers of a list stay as the configuration has them
        return below


def _outer(path: str) -> str:
    """Return the path of the object that holds one, without the lists in between."""
    outer = path.rpartition("/")[0]
    while outer and outer.rpartition("/")[2] in (*CONTAINERS, "cells"):
        outer = outer.rpartition("/")[0]
    return outer


def _rank(path: str) -> int:
    """Return the place of a layer that another one makes, 0 for one of a list."""
    outer, _, part = path.rpartition("/")
    if outer.rpartition("/")[2] in (*CONTAINERS, "cells"):
        return 0
    bare = part.strip("_")
    return 1 + (_PARTS.index(bare) if bare in _PARTS else len(_PARTS))


_UNTRAINED = frozenset(
    {
        *("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"),
        *("mean", "variance", "count", "vector_u", "seed_generator_state"),
    }
)
