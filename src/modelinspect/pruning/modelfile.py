"""Looks into a Keras model file, without TensorFlow, for what decides whether it may and can be loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.safety import code_in_config, code_in_graph

MAX_CONFIG = 256 * 2**20
CONFIG = "config.json"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class ModelKind(StrEnum):
    """What a model file is."""

    HDF5 = "HDF5"
    KERAS = ".keras"
    SAVED_MODEL = "SavedModel"
    WEIGHTS = "weights beside a configuration"


class ModelFile(Struct, frozen=True):
    """A model file as far as it can be judged from its configuration.

    ``code`` lists what it would run when loaded, ``foreign`` the layers of classes that it names and Keras does not have.
    """

    kind: ModelKind
    keras_version: str
    code: tuple[str, ...]
    foreign: tuple[str, ...] = ()

    @property
    def written_by_keras_3(self) -> bool:
        """Tell whether Keras 3 wrote the file, which tf_keras reads seldom."""
        return self.keras_version.split(".")[0] not in ("", "1", "2")


def look_at(place: Path) -> ModelFile:
    """Read the configuration of a model file. Raises `JobError` where there is none, `PruningError` where it is not to be loaded."""
    if not place.exists():
        raise JobError(f"{place}: no such file, and no architecture of that name")
    if place.is_dir():
        return _unpacked(place) if (place / CONFIG).is_file() else _saved_model(place)
    if place.name.endswith((".weights.h5", ".weights.json")):
        return _weights(place)
    with place.open("rb") as stream:
        start = stream.read(8)
    if start == HDF5_SIGNATURE:
        return _hdf5(place)
    if start[:4] == b"PK\x03\x04":
        return _keras_zip(place)
    raise PruningError(f"{place}: not a Keras model: neither HDF5, .keras nor a SavedModel directory")


def refuse_code(place: Path, model: ModelFile) -> None:
    """Raise `PruningError` where loading the file would run code that it brings."""
    if model.code:
        listed = "; ".join(model.code[:3]) + ("; …" if len(model.code) > 3 else "")
        raise PruningError(
            f"{place}: loading it would run code that the file brings ({listed}); --allow-code runs it, if you trust the file"
        )


def config_beside(place: Path) -> Path:
    """Return where the configuration of a file of weights is: beside it, as in an unpacked ``.keras``."""
    return place.parent / CONFIG


def refuse_foreign(place: Path, model: ModelFile) -> None:
    """Raise `PruningError` where the file names classes that only its author has, and no code was given."""
    if model.foreign:
        listed = "; ".join(model.foreign[:3]) + ("; …" if len(model.foreign) > 3 else "")
        raise PruningError(f"{place}: {listed}; give the file that defines it with --code FILE.py --allow-code")


def _unpacked(place: Path) -> ModelFile:
    weights = next((place / name for name in ("model.weights.h5", "model.weights.json") if (place / name).is_file()), None)
    if weights is None:
        raise PruningError(f"{place}: a folder with {CONFIG}, without model.weights.h5 or model.weights.json beside it")
    return _weights(weights)


def _weights(place: Path) -> ModelFile:
    config = config_beside(place)
    if not config.is_file():
        raise PruningError(
            f"{place}: holds weights alone, without the network's configuration; put the {CONFIG} of the .keras file beside it, "
            "or save the whole model with model.save"
        )
    if config.stat().st_size > MAX_CONFIG:
        raise PruningError(f"{config}: {config.stat().st_size:,} bytes are too many for a configuration")
    metadata = place.parent / "metadata.json"
    try:
        version = json.loads(metadata.read_bytes()).get("keras_version", "") if metadata.is_file() else ""
        text = config.read_text(encoding="utf-8")
    except (ValueError, AttributeError, RecursionError) as problem:
        raise PruningError(f"{place.parent}: its configuration is not JSON: {_first_line(problem)}") from problem
    return _judged(config, ModelKind.WEIGHTS, text, version if isinstance(version, str) else "")


def _hdf5(place: Path) -> ModelFile:
    import h5py

    try:
        with h5py.File(place, "r") as file:
            config, version = _text(file.attrs.get("model_config")), _text(file.attrs.get("keras_version"))
            weights_alone = config is None and ("layer_names" in file.attrs or "layers" in file or "_layer_checkpoint_dependencies" in file)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as problem:
        raise PruningError(f"{place}: a damaged HDF5 file: {_first_line(problem)}") from problem
    if config is None:
        what = (
            "holds weights alone, without the network's configuration" if weights_alone else "is no Keras model (no model_config attribute)"
        )
        raise PruningError(f"{place}: {what}; save the whole model with model.save")
    return _judged(place, ModelKind.HDF5, config, version or "")


def _keras_zip(place: Path) -> ModelFile:
    try:
        with zipfile.ZipFile(place) as archive:
            config, metadata = _member(archive, "config.json"), _member(archive, "metadata.json")
        version = json.loads(metadata).get("keras_version", "")
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, OSError, EOFError, RecursionError, NotImplementedError) as problem:
        raise PruningError(f"{place}: not a whole .keras file: {_first_line(problem)}") from problem
    return _judged(place, ModelKind.KERAS, config, version if isinstance(version, str) else "")


def _saved_model(place: Path) -> ModelFile:
    graph_file, metadata_file = place / "saved_model.pb", place / "keras_metadata.pb"
    if not graph_file.is_file():
        raise PruningError(f"{place}: a directory without saved_model.pb: not a SavedModel")
    graph = graph_file.read_bytes()
    metadata = metadata_file.read_bytes() if metadata_file.is_file() else b""
    if not metadata and b'"class_name"' not in graph:
        raise PruningError(
            f"{place}: a SavedModel without Keras metadata (keras_metadata.pb): a graph alone cannot be wrapped; give the Keras file"
        )
    code = list(code_in_graph(graph))
    for config in _json_objects(metadata or graph):
        code += code_in_config(config)
    if b'"Lambda"' in metadata and not code:
        code.append("a Lambda layer")
    return ModelFile(ModelKind.SAVED_MODEL, "", tuple(dict.fromkeys(code)))


def _json_objects(data: bytes) -> list[Any]:
    """Return the JSON objects that stand in serialized metadata, each from its first byte as far as it goes."""
    found: list[Any] = []
    at, decoder = 0, json.JSONDecoder(strict=False)
    text = data.decode("latin-1")
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
            found.append(value)
        except (ValueError, RecursionError):
            at = start + 1
    return found


def _judged(place: Path, kind: ModelKind, config: str, version: str) -> ModelFile:
    try:
        parsed = json.loads(config)
        return ModelFile(kind, version, code_in_config(parsed), foreign_layers(parsed))
    except (ValueError, RecursionError) as problem:
        raise PruningError(f"{place}: its model configuration is not JSON: {_first_line(problem)}") from problem


def foreign_layers(config: object) -> tuple[str, ...]:
    """Return the layers and models in a Keras 3 configuration that are registered under a name of their author, one phrase each."""
    found = []
    for part in _objects(config):
        registered, name = part.get("registered_name"), part.get("class_name")
        if not isinstance(registered, str) or ">" not in registered or registered.startswith("keras"):
            continue
        inner = part.get("config")
        label = inner.get("name") if isinstance(inner, dict) else None
        what = f"layer {label!r}" if isinstance(label, str) else "an object"
        found.append(f"{what} is a {name} ({registered}), a class that Keras does not have")
    return tuple(dict.fromkeys(found))


def _objects(config: object) -> Iterator[dict[str, object]]:
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _member(archive: zipfile.ZipFile, name: str) -> str:
    info = archive.getinfo(name)
    if info.file_size > MAX_CONFIG:
        raise ValueError(f"{name} says that it is {info.file_size:,} bytes large")
    return archive.read(info).decode()


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).splitlines()[0][:200]
