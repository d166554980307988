"""Decide what of an HDF5 file only training needs: optimizer state, metrics, pruning masks and wrappers,
training configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from modelinspect.core.names import MODEL_WEIGHTS, OPTIMIZER_WEIGHTS, WrapperClass, WrapperName
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Role
from modelinspect.formats.keras.config import LayerConfig, model_config, read_json
from modelinspect.formats.keras.store import store_paths
from modelinspect.measure.rewrite import FileLike
from modelinspect.shrinking.hdf5_copy import H5_ERRORS
from modelinspect.shrinking.steps import NotShrinkableError
from modelinspect.shrinking.unwrapping import unwrapped
from modelinspect.sources.base import Source

_OF_TRAINING = frozenset({"optimizer", "_optimizer", OPTIMIZER_WEIGHTS, "metrics", "_metrics"})
_METRICS = frozenset({"metrics", "_metrics"})
_HELPERS = frozenset({"mask", "threshold", "pruning_step"})
_PREFIX = f"{WrapperName.PRUNE}_"
_LISTS = re.compile(r"(layer_names|weight_names)\d*")
"""Keras cuts lists that are too long for one attribute into several (layer_names0, layer_names1, ...)."""


@dataclass(slots=True)
class Strip:
    """What goes and what gets another name: paths of an HDF5 file, and names of wrapped layers by those of
    their wrappers.

    ``config`` is the text of the model's configuration without wrappers, None where it stays as it is.
    ``wrappers_stay`` says that there are wrappers of layers whose classes are not known.
    """

    gone: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    config: str | None = None
    wrappers_stay: bool = False

    def keep(self, path: str) -> bool:
        """Return whether an object stays: neither it nor what it is in goes."""
        parts = path.split("/")
        return not any("/".join(parts[:length]) in self.gone for length in range(2, len(parts) + 1))

    def rename(self, path: str) -> str:
        """Return where an object goes: the longest part of its path that moves decides."""
        parts = path.split("/")
        for length in range(len(parts), 1, -1):
            moved = self.moved.get("/".join(parts[:length]))
            if moved is not None:
                return "/".join([moved, *parts[length:]])
        return path

    def role(self, path: str) -> Role:
        """Return what an object that goes is for."""
        return Role.OPTIMIZER if path.split("/")[1] in _OF_TRAINING else Role.PRUNING

    def attributes(self, path: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of an object: those that change are new objects."""
        if path == "/":
            values.pop("training_config", None)
        for name in [name for name in values if _LISTS.fullmatch(name)]:
            values[name] = self._listed(values[name])
        if self.config is not None and "model_config" in values:
            old = values["model_config"]
            values["model_config"] = (
                np.bytes_(self.config.encode()) if isinstance(old, bytes) else self.config
            )
        return values

    def _listed(self, value: Any) -> Any:
        """Return a list of names without helpers, and with the names of wrapped layers."""
        array = np.asarray(value)
        texts = [
            name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
            for name in array.reshape(-1).tolist()
        ]
        kept = [self.names.get(text, text) for text in texts if text not in self.helpers]
        if kept == texts:
            return value
        if array.dtype.kind == "S":
            return np.array(
                [text.encode("utf-8", "surrogateescape") for text in kept],
                dtype=array.dtype if kept else "S1",
            )
        return np.array(kept, dtype=h5py.string_dtype())


def strip_model(source: Source) -> Strip:
    """Return what of a Keras model in HDF5 only training needs. Raises `NotShrinkableError`."""
    strip = Strip()
    try:
        with h5py.File(FileLike(source), "r") as file:
            strip.gone |= {f"/{name}" for name in file if name in _OF_TRAINING}
            config = file.attrs.get("model_config")
            if isinstance(config, str | bytes):
                bare, strip.names = unwrapped(read_json(config), legacy=True)
                strip.config = json.dumps(bare) if strip.names else None
            base = f"/{MODEL_WEIGHTS}" if MODEL_WEIGHTS in file else ""
            _strip_layers(file[base or "/"], base, strip)
    except H5_ERRORS as error:
        raise NotShrinkableError(f"{source.name}: the HDF5 library does not read it: {error}") from error
    return strip


def strip_store(source: Source, config: object | None) -> Strip:
    """Return what of a Keras 3 weights store only training needs; ``config`` is the model's configuration
    where the file has one.

    Wrappers stay where the classes of the layers in them are not known: the names of the variables depend on
    those. Raises `NotShrinkableError`.
    """
    strip = Strip()
    try:
        with h5py.File(FileLike(source), "r") as file:
            # A compiled model of tf_keras that loads only weights asks for its metrics' variables, a few
            # bytes each.
            kept = _METRICS if config is None else frozenset()
            strip.gone |= {f"/{name}" for name in file if name in _OF_TRAINING - kept}
            paths: list[str] = []
            file.visit(lambda name: paths.append(f"/{name}"))
    except H5_ERRORS as error:
        raise NotShrinkableError(f"{source.name}: the HDF5 library does not read it: {error}") from error
    if not any(part.startswith(_PREFIX.rstrip("_")) for path in paths for part in path.split("/")):
        return strip
    model = model_config(config)
    if model is None:
        strip.wrappers_stay = True
        return strip
    bare, strip.names = unwrapped(config)
    result = model_config(bare)
    if result is None:
        raise NotShrinkableError(f"{source.name}: its configuration cannot be read")
    _move(strip, store_paths(model), store_paths(result))
    return strip


def _strip_layers(group: Any, base: str, strip: Strip) -> None:
    """Find the wrapped layers of a model by the helpers that they list, and drop those."""
    for layer in list(group):
        listed = [
            name
            for key in group[layer].attrs
            if key.startswith("weight_names")
            for name in np.asarray(group[layer].attrs[key]).tolist()
        ]
        texts = [
            name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
            for name in listed
        ]
        helpers = {text for text in texts if text.rpartition("/")[2].split(":")[0] in _HELPERS}
        if not any(text.rpartition("/")[2].startswith("pruning_step") for text in helpers):
            continue
        if layer not in strip.names and layer.startswith(_PREFIX):
            strip.names[layer] = layer.removeprefix(_PREFIX)
        strip.helpers |= helpers
        place = f"{base}/{layer}"
        gone = {f"{place}/{name}" for name in helpers}
        kept = {f"{place}/{name}" for name in texts if name not in helpers}
        for path in list(gone):
            above = path.rpartition("/")[0]
            while above != place and not any(other.startswith(f"{above}/") for other in kept):
                gone.add(above)
                above = above.rpartition("/")[0]
        strip.gone |= gone
        strip.moved[place] = f"{base}/{strip.names.get(layer, layer)}"


def _move(strip: Strip, before: Mapping[str, LayerConfig], after: Mapping[str, LayerConfig]) -> None:
    """Fill in where the variables of each layer go once no wrapper is counted."""
    inner = [path for path in after if path]
    places = {_chain(path, after): path for path in inner}
    if len(places) != len(inner):
        raise NotShrinkableError("two layers have the same name, so their variables cannot be distinguished")
    for path, layer in before.items():
        if not path:
            continue
        if _is_wrapper(layer):
            strip.gone |= {f"/{path}/vars"}
            strip.moved[f"/{path}"] = f"/{places[_chain(f'{path}/layer', before)]}"
            strip.moved[f"/{path}/layer"] = strip.moved[f"/{path}"]
        elif not any(
            _is_wrapper(before[above])
            for above in _above(path)
            if above in before and above == path.rpartition("/")[0]
        ):
            strip.moved[f"/{path}"] = f"/{places[_chain(path, before)]}"


def _chain(path: str, layers: Mapping[str, LayerConfig]) -> tuple[str, ...]:
    """Return the names of the layers on a path, without wrappers."""
    parts = path.split("/")
    found = []
    for length in range(1, len(parts) + 1):
        layer = layers.get("/".join(parts[:length]))
        if layer is not None and not _is_wrapper(layer):
            found.append(layer.name or parts[length - 1])
    return tuple(found)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _is_wrapper(layer: LayerConfig) -> bool:
    return layer.class_name.rpartition(">")[2] == WrapperClass.PRUNE
