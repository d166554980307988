"""Look into a Keras model file, without TensorFlow, for what decides whether it may and can be loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from modelinspect.core import signatures
from modelinspect.core.artifact import Severity
from modelinspect.core.names import (
    CONFIG_JSON,
    KERAS_METADATA_PB,
    LAYER_DEPENDENCIES,
    METADATA_JSON,
    SAVED_MODEL_PB,
    WEIGHTS_H5,
    WEIGHTS_INDEX,
)
from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.networks.subject import Subject
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.rules.registry import run_rules, unsafe_rules
from modelinspect.sources.files import FileSet, MemoryFiles
from modelinspect.sources.opening import open_location

MAX_CONFIG = 256 * 2**20
HARMLESS_TO_LOAD = frozenset(("asset-code", "checksum", "hidden-content", "print-operator", "trailing-data"))
"""Findings of lint that are worth a warning, but about nothing that a loader runs, reads or writes."""
TRUSTED_PACKAGES = frozenset(("builtins", "keras", "tensorflow_model_optimization", "tf_keras"))
"""Packages that a configuration may name: of these lint judges each name."""


class ModelKind(StrEnum):
    """What a model file is."""

    HDF5 = "HDF5"
    KERAS = ".keras"
    SAVED_MODEL = "SavedModel"
    WEIGHTS = "weights beside a configuration"


class Hazard(Struct, frozen=True):
    """What loading a file would run, read or write; or, where ``is_unread``, why that cannot be known."""

    text: str
    is_unread: bool = False


class ModelFile(Struct, frozen=True):
    """A model file as far as it can be judged from its configuration.

    ``code`` lists what it would run when loaded, ``foreign`` the layers of classes that it names and Keras
    does not have.
    """

    kind: ModelKind
    keras_version: str
    code: tuple[Hazard, ...]
    foreign: tuple[str, ...] = ()

    @property
    def written_by_keras_3(self) -> bool:
        """Return whether Keras 3 wrote the file, which tf_keras reads seldom."""
        return self.keras_version.split(".")[0] not in ("", "1", "2")


def look_at(place: Path) -> ModelFile:
    """Read the configuration of a model file.

    Raises `JobError` where there is none, `PruningError` where it is not to be loaded.
    """
    if not place.exists():
        raise JobError(f"{place}: no such file, and no architecture of that name")
    if place.is_dir():
        return _unpacked(place) if (place / CONFIG_JSON).is_file() else _saved_model(place)
    if place.name.endswith((".weights.h5", ".weights.json")):
        return _weights(place)
    with place.open("rb") as stream:
        start = stream.read(8)
    if start == signatures.HDF5:
        return _hdf5(place)
    if start[:4] == signatures.ZIP:
        return _keras_zip(place)
    raise PruningError(f"{place}: not a Keras model: neither HDF5, .keras nor a SavedModel directory")


def refuse_code(place: Path, model: ModelFile) -> None:
    """Raise `PruningError` where loading the file would run code that it brings, or where that cannot be
    known.
    """
    if model.code and all(hazard.is_unread for hazard in model.code):
        raise PruningError(
            f"{place}: {model.code[0].text}; --allow-code loads it unchecked, if you trust the file"
        )
    if model.code:
        listed = "; ".join(hazard.text for hazard in model.code[:3]) + ("; …" if len(model.code) > 3 else "")
        raise PruningError(
            f"{place}: loading it would run code that the file brings ({listed}); --allow-code runs it, if"
            " you trust the file"
        )


def unsafe_content(files: FileSet) -> tuple[Hazard, ...]:
    """Return what lint finds of code, files and addresses that loading would run, read or write; nothing of
    it is loaded.
    """
    rules = [
        rule
        for rule in unsafe_rules()
        if rule.severity is not Severity.NOTE and rule.id not in HARMLESS_TO_LOAD
    ]
    try:
        artifact = parse(files)
        findings = run_rules(Subject(artifact, open_files=files, limits=files.limits), rules)
    except ModelInspectError as problem:
        return (Hazard(f"it cannot be checked: {_first_line(problem)}", is_unread=True),)
    return tuple(dict.fromkeys(Hazard(f"{finding.message} ({finding.rule})") for finding in findings))


def _unsafe_at(place: Path) -> tuple[Hazard, ...]:
    with open_location(place) as files:
        return unsafe_content(files)


def config_beside(place: Path) -> Path:
    """Return where the configuration of a file of weights is: beside it, as in an unpacked ``.keras``."""
    return place.parent / CONFIG_JSON


def refuse_foreign(place: Path, model: ModelFile) -> None:
    """Raise `PruningError` where the file names classes that only its author has, and no code was given."""
    if model.foreign:
        listed = "; ".join(model.foreign[:3]) + ("; …" if len(model.foreign) > 3 else "")
        raise PruningError(
            f"{place}: {listed}; give the file that defines it with --code FILE.py --allow-code"
        )


def _unpacked(place: Path) -> ModelFile:
    weights = next((place / name for name in (WEIGHTS_H5, WEIGHTS_INDEX) if (place / name).is_file()), None)
    if weights is None:
        raise PruningError(
            f"{place}: a folder with {CONFIG_JSON}, without model.weights.h5 or model.weights.json beside it"
        )
    return _weights(weights)


def _weights(place: Path) -> ModelFile:
    config = config_beside(place)
    if not config.is_file():
        raise PruningError(
            f"{place}: has only weights and no configuration of the network; put the {CONFIG_JSON} of the"
            " .keras file beside it, or save the whole model with model.save"
        )
    if config.stat().st_size > MAX_CONFIG:
        raise PruningError(f"{config}: {config.stat().st_size:,} bytes are too many for a configuration")
    metadata = place.parent / METADATA_JSON
    try:
        noted = metadata.read_bytes() if metadata.is_file() else b"{}"
        version = json.loads(noted).get("keras_version", "")
        text = config.read_text(encoding="utf-8")
    except (ValueError, AttributeError, RecursionError) as problem:
        raise PruningError(
            f"{place.parent}: its configuration is not JSON: {_first_line(problem)}"
        ) from problem
    beside = MemoryFiles({CONFIG_JSON: text.encode(), METADATA_JSON: noted}, location=str(place.parent))
    code = (*unsafe_content(beside), *_unsafe_at(place))
    return _judged(config, ModelKind.WEIGHTS, text, version if isinstance(version, str) else "", code)


def _hdf5(place: Path) -> ModelFile:
    import h5py

    try:
        with h5py.File(place, "r") as file:
            config, version = _text(file.attrs.get("model_config")), _text(file.attrs.get("keras_version"))
            weights_alone = config is None and (
                "layer_names" in file.attrs or "layers" in file or LAYER_DEPENDENCIES in file
            )
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as problem:
        raise PruningError(f"{place}: a damaged HDF5 file: {_first_line(problem)}") from problem
    if config is None:
        what = (
            "has only weights and no configuration of the network"
            if weights_alone
            else "is not a Keras model (no model_config attribute)"
        )
        raise PruningError(f"{place}: {what}; save the whole model with model.save")
    return _judged(place, ModelKind.HDF5, config, version or "", _unsafe_at(place))


def _keras_zip(place: Path) -> ModelFile:
    try:
        with zipfile.ZipFile(place) as archive:
            config, metadata = _member(archive, CONFIG_JSON), _member(archive, METADATA_JSON)
        version = json.loads(metadata).get("keras_version", "")
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        AttributeError,
        OSError,
        EOFError,
        RecursionError,
        NotImplementedError,
    ) as problem:
        raise PruningError(f"{place}: not a whole .keras file: {_first_line(problem)}") from problem
    return _judged(
        place, ModelKind.KERAS, config, version if isinstance(version, str) else "", _unsafe_at(place)
    )


def _saved_model(place: Path) -> ModelFile:
    graph_file, metadata_file = place / SAVED_MODEL_PB, place / KERAS_METADATA_PB
    if not graph_file.is_file():
        raise PruningError(f"{place}: a directory without saved_model.pb: not a SavedModel")
    graph = graph_file.read_bytes()
    metadata = metadata_file.read_bytes() if metadata_file.is_file() else b""
    if not metadata and signatures.KERAS_CONFIG not in graph:
        raise PruningError(
            f"{place}: a SavedModel without Keras metadata (keras_metadata.pb): only a graph cannot be"
            " wrapped; give the Keras file"
        )
    return ModelFile(ModelKind.SAVED_MODEL, "", _unsafe_at(place))


def _judged(place: Path, kind: ModelKind, config: str, version: str, code: tuple[Hazard, ...]) -> ModelFile:
    try:
        parsed = json.loads(config)
        return ModelFile(
            kind, version, (*code, *map(Hazard, foreign_modules(parsed))), foreign_layers(parsed)
        )
    except (ValueError, RecursionError) as problem:
        raise PruningError(
            f"{place}: its model configuration is not JSON: {_first_line(problem)}"
        ) from problem


def foreign_modules(config: object) -> tuple[str, ...]:
    """Return what a configuration has Keras import from packages that are neither Keras nor tfmot, one phrase
    each.
    """
    found: dict[str, None] = {}
    for part in _objects(config):
        module, name = part.get("module"), part.get("class_name")
        if not isinstance(module, str) or not isinstance(name, str):
            continue  # the module of a Lambda layer's function is looked up, and never imported
        if module and module.partition(".")[0] not in TRUSTED_PACKAGES:
            found[f"{name} of the Python module {module}"] = None
    return tuple(found)


def foreign_layers(config: object) -> tuple[str, ...]:
    """Return the layers and models in a Keras 3 configuration that are registered under a name of their
    author, one phrase each.
    """
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
