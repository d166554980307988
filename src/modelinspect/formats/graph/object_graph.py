"""What each variable is for, from the graph of the objects that hold them.

Where a variable is in its checkpoint key is an accident: the shortest way to it wins, so the weights of a
Keras 3 model are found below ``optimizer/_trainable_variables``. What it is for follows from all ways that
lead to it. Specification: tensorflow/core/protobuf/trackable_object_graph.proto,
tensorflow/python/trackable/base.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from modelinspect.core.names import ATTRIBUTES, VARIABLE_VALUE
from modelinspect.core.tensors import Role
from modelinspect.formats.graph.trackable import Node, Saved, Slot, Use
from modelinspect.formats.keras.roles import role_of
from modelinspect.formats.keras.slots import CLASSES, class_of_scope, slot_name

TABLE_SUFFIXES = ("-keys", "-values")
"""A hash table is saved as two tensors; their keys are that of the table with these after it."""

_OPTIMIZER_EDGES = frozenset({"optimizer", "_optimizer", "inner_optimizer", "base_optimizer"})
_STEP_EDGES = frozenset({"_iterations", "iterations"})
_OLD_STEP_EDGE = "iter"
_OLD_HYPERPARAMETERS = frozenset({"learning_rate", "decay", "momentum", "beta_1", "rho"})
_METRIC_EDGES = frozenset(
    {
        "metrics",
        "layer_metrics",
        "_metrics",
        "_loss_tracker",
        "_compile_metrics",
        "_compile_loss",
        "compiled_metrics",
        "compiled_loss",
    }
)
_WRAPPER_MARKS = frozenset(
    {"pruning_vars", "pruning_step", "optimizer_step", "clustering_algorithms", "sparsity_masks"}
)
_WRAPPER_LISTS = frozenset(
    {"layer", "variables", "trainable_variables", "non_trainable_variables", "keras_api", "prunable_weights"}
)
_OWN_LISTS = frozenset({"_variables", "_trainable_variables", "_trainable_variables_indices", "_index_dict"})
_AVERAGES = "_model_variables_moving_average"
_STATISTICS = frozenset(
    {"moving_mean", "moving_variance", "moving_mean/biased", "renorm_mean", "renorm_stddev"}
)
_MOMENTS = ({"mean", "variance", "count"}, {"adapt_mean", "adapt_variance", "count"})
"""What a Normalization layer holds, in tf_keras and in Keras 3."""
_REACH_MOST = 8
_STATES = frozenset({"seed_generator_state", "_state_var", "save_counter", "global_step"})


def uses(nodes: tuple[Node, ...]) -> dict[str, Use]:
    """Return what every tensor of the graph is for, by its key in the checkpoint."""
    return _Graph(nodes).uses() if nodes else {}


class _Graph:
    """An object graph with what is computed from it once."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self.edges = [node.edges for node in nodes]
        self.optimizers = self._find_optimizers()
        self.model = self._reach(
            [0], lambda edge, node: edge not in _METRIC_EDGES and node not in self.optimizers
        )
        self.counted = self._reach([0], lambda edge, node: node not in self.optimizers)
        self.trained = {node for one in self.optimizers for node in self._list(one, "_trainable_variables")}
        self.helpers = self._find_helpers()
        self.masked = self._find_masked()
        self.slots = self._find_slots()
        self.names = self._edge_names()
        self.own_names = {tuple(saved.full_name.split("/")[-2:]) for node in nodes for saved in node.saved}

    def uses(self) -> dict[str, Use]:
        found: dict[str, Use] = {}
        for index, node in enumerate(self.nodes):
            for saved in node.saved:
                found[saved.key] = self._use(index, saved)
        layers = _Layers(self.nodes, (use for use in found.items()))
        for index, node in enumerate(self.nodes):
            slot = self.slots.get(index)
            for saved in node.saved:
                use = found[saved.key]
                source = slot.original if slot is not None else self.masked.get(index, -1)
                if use.role is Role.WEIGHT and self._is_scale(saved):
                    use = Use(Role.QUANTIZATION, "scale")
                original = self._saved(source) if source >= 0 else None
                of = original.key if original is not None else None
                layer = (
                    layers.of(original or saved)
                    if original is not None or use.role is not Role.OPTIMIZER
                    else None
                )
                given = layers.given(saved, use, original, of_optimizer=slot is not None)
                found[saved.key] = Use(use.role, use.purpose, layer, of, saved.full_name or None, given)
        return found

    def _is_scale(self, saved: Saved) -> bool:
        """Return whether Keras 3 keeps a variable beside a kernel that it quantized: its layer has the
        kernel's scale, too.
        """
        *scopes, name = saved.full_name.split("/")[-2:]
        kernels = ("kernel", "embeddings")
        quantized = any(
            {(*scopes, kernel), (*scopes, f"{kernel}_scale")} <= self.own_names for kernel in kernels
        )
        return quantized and role_of(name, quantized=True) is Role.QUANTIZATION

    def _use(self, index: int, saved: Saved) -> Use:
        name = self._purpose(index, saved)
        if saved.attribute != VARIABLE_VALUE and "table" in saved.attribute:
            return Use(Role.OTHER, "hash table")
        if index in self.helpers:
            return Use(Role.PRUNING, name)
        slot = self.slots.get(index)
        if slot is not None:
            return Use(Role.OPTIMIZER, slot.name)
        if index in self.model or index in self.trained:
            if name in _STATES:
                return Use(Role.OTHER, "counter" if name in ("save_counter", "global_step") else "state")
            return (
                Use(Role.STATISTIC, "statistic")
                if self._is_statistic(index, name)
                else Use(Role.WEIGHT, "weight")
            )
        if index in self.counted:
            return Use(Role.OTHER, "metric")
        return Use(Role.OPTIMIZER, name)

    def _purpose(self, index: int, saved: Saved) -> str:
        """Return the attribute that holds the variable; the last part of its own name where only lists do."""
        names = [name for _, name in self.names.get(index, ()) if not name.isdigit()]
        return names[0] if names else saved.full_name.rpartition("/")[2]

    def _is_statistic(self, index: int, name: str) -> bool:
        if name in _STATISTICS:
            return True
        owners = [self.edges[owner] for owner, _ in self.names.get(index, ())]
        return any(name in moments and any(moments <= edges for edges in owners) for moments in _MOMENTS)

    def _saved(self, index: int) -> Saved | None:
        saved = self.nodes[index].saved
        return saved[0] if saved else None

    def _reach(self, begin: Collection[int], follow: Callable[[str, int], bool]) -> set[int]:
        """Return the objects that the edges lead to which ``follow`` accepts, by name and target."""
        found = set(begin)
        pending = list(begin)
        while pending:
            for edge, node in self.nodes[pending.pop()].children:
                if node not in found and follow(edge, node):
                    found.add(node)
                    pending.append(node)
        return found

    def _list(self, owner: int, name: str) -> list[int]:
        """Return the objects of a list that is an attribute, in order."""
        index = self.nodes[owner].child(name)
        if index is None:
            return []
        places = {
            int(edge): node
            for edge, node in self.nodes[index].children
            if edge.isdecimal() and len(edge) < 10
        }
        return [places[place] for place in sorted(places)]

    def _edge_names(self) -> dict[int, list[tuple[int, str]]]:
        """Return the owners and attribute names of the objects that save something."""
        found: dict[int, list[tuple[int, str]]] = {}
        for owner, node in enumerate(self.nodes):
            for name, child in node.children:
                if self.nodes[child].saved:
                    found.setdefault(child, []).append((owner, name))
        return found

    def _find_optimizers(self) -> set[int]:
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            edges = self.edges[index]
            old = _OLD_STEP_EDGE in edges and bool(edges & _OLD_HYPERPARAMETERS)
            if (
                node.slots
                or old
                or edges & _STEP_EDGES
                or node.kind in ("optimizer", "experimentalOptimizer")
            ):
                found.add(index)
            found.update(
                child
                for name, child in node.children
                if name in _OPTIMIZER_EDGES and not self.nodes[child].saved
            )
        return found - {0}

    def _find_helpers(self) -> set[int]:
        """Return the variables that wrappers of tfmot (pruning, clustering, quantization) keep beside those
        of the layer.
        """
        found: set[int] = set()
        left = (
            _REACH_MOST * len(self.nodes) + 10_000
        )  # wrappers inside wrappers may not cost the square of their number
        for index in range(len(self.nodes)):
            if left < 0 or not self.edges[index] & _WRAPPER_MARKS or index in self.optimizers:
                continue
            layer = self.nodes[index].child("layer")
            begin = [node for edge, node in self.nodes[index].children if edge not in _WRAPPER_LISTS]
            if layer is None and not {"optimizer_step", "pruning_step"} & self.edges[index]:
                continue
            inner = self._reach([layer], lambda _edge, _node: True) if layer is not None else set()
            outer = self._reach(begin, lambda edge, node: node not in self.optimizers)
            left -= len(inner) + len(outer)
            found |= outer - inner
        return found

    def _find_masked(self) -> dict[int, int]:
        """Return the weights that masks and thresholds belong to: ``pruning_vars`` lists the three
        together.
        """
        found: dict[int, int] = {}
        for index in range(len(self.nodes)):
            if "pruning_vars" in self.edges[index]:
                for group in self._list(index, "pruning_vars"):
                    weight = self.nodes[group].child("0")
                    if weight is not None:
                        found.update(
                            (node, weight) for edge, node in self.nodes[group].children if edge != "0"
                        )
        return found

    def _find_slots(self) -> dict[int, Slot]:
        """Return the variables that optimizers keep for others, by node id; the original is -1 where it is
        not known.
        """
        found: dict[int, Slot] = {}
        by_name = {
            one.full_name: index for index in self.model for one in self.nodes[index].saved if one.full_name
        }
        for index in sorted(self.optimizers):
            for slot in self.nodes[index].slots:
                found[slot.variable] = slot
            trained = self._list(index, "_trainable_variables")
            for name in sorted(self.edges[index] - _OWN_LISTS):
                for place, variable in enumerate(self._list(index, name)):
                    saved = self._saved(variable)
                    if (
                        saved is None
                        or variable in self.model
                        or variable in self.trained
                        or variable in found
                    ):
                        continue
                    original = trained[place] if place < len(trained) else _named(by_name, saved.full_name)
                    found[variable] = Slot(
                        original, "average" if name == _AVERAGES else name.strip("_"), variable
                    )
        return found


def _named(by_name: Mapping[str, int], slot: str) -> int:
    """Return the variable whose name ends that of a slot (``Adam/m/dense/kernel``), -1 where there is
    none.
    """
    while "/" in slot:
        slot = slot.partition("/")[2]
        if slot in by_name:
            return by_name[slot]
    return -1


class _Layers:
    """Names the layers of variables: by the variables' own names, else by where they are."""

    def __init__(self, nodes: tuple[Node, ...], found: Iterable[tuple[str, Use]]) -> None:
        by_key = {saved.key: saved.full_name for node in nodes for saved in node.saved}
        own = [by_key[key] for key, use in found if use.role in (Role.WEIGHT, Role.STATISTIC)]
        first = {name.partition("/")[0] for name in own}
        # Keras 3 puts the model's name before its layers', tf_keras does not: its models have edges
        # "layer-0".
        keras_2 = any(
            name.startswith(("layer-", "layer_with_weights-")) for node in nodes for name, _ in node.children
        )
        model_named = len(first) == 1 and all(name.count("/") >= 2 for name in own) and not keras_2
        self._prefix = f"{first.pop()}/" if model_named else ""

    def given(self, saved: Saved, use: Use, original: Saved | None, *, of_optimizer: bool) -> str | None:
        """Return what people called a variable, None where only its place says.

        Keras 3 writes the names of slots with underscores, the old optimizers of tf_keras put the slot last:
        both are put in the form of tf_keras's new ones, ``Adam/m/dense/kernel``.
        """
        name = saved.full_name.removeprefix(self._prefix)
        scope, _, rest = name.partition("/")
        if use.role is not Role.OPTIMIZER or not rest:
            return name if rest else None
        optimizer = class_of_scope(scope)
        if (
            optimizer not in CLASSES.values() and scope == use.purpose
        ):  # built outside the optimizer's scope: its class is not known
            return name
        variable = original.full_name.removeprefix(self._prefix) if original is not None else ""
        if not of_optimizer or not variable or rest == f"{rest.partition('/')[0]}/{variable}":
            return f"{optimizer}/{rest}"
        return slot_name(optimizer, use.purpose, variable)

    def of(self, saved: Saved) -> str | None:
        """Return the layer that a variable belongs to, None where the root object holds it."""
        name = saved.full_name.removeprefix(self._prefix)
        if "/" in name:
            return name.rpartition("/")[0]
        path = saved.key.partition(f"/{ATTRIBUTES}/")[0]
        return (
            re.sub(r"(/_?(non_|all_|trainable_)*variables|/\d+)+$", "", f"/{path}".rpartition("/")[0])[1:]
            or None
        )
