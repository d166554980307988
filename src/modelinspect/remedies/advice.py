"""A remedy for an artifact: its words, and its code with the names of the artifact."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from string import Formatter

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Helpers
from modelinspect.networks.writers import (
    file_name,
    has_traces,
    helpers_of,
    is_folder,
    is_in_archive,
    is_whole,
    keras_module,
    outer_name,
    way_to,
)
from modelinspect.remedies.table import Language, Remedy

_SUFFIXES = (".weights.h5", ".weights.json", ".h5", ".hdf5", ".keras", ".tflite", ".pb", ".pbtxt")
_WRITTEN = {
    FormatName.KERAS_HDF5: ".h5",
    FormatName.HDF5: ".h5",
    FormatName.KERAS_ZIP: ".keras",
    FormatName.WEIGHTS_HDF5: ".weights.h5",
    FormatName.TFLITE: ".tflite",
}
_MOST_FILES = 4
"""Of more files than these a command names a pattern."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A remedy for an artifact.

    ``words`` is a line, ``code`` lines that can be copied, or nothing; ``made`` the file that they write.
    """

    remedy: Remedy
    words: str
    code: str = ""
    made: str = ""

    @property
    def language(self) -> Language:
        """What runs the code."""
        return self.remedy.text.language

    @property
    def text(self) -> str:
        """All in one: the words, and the code in its own lines."""
        return ":\n".join(part for part in (self.words, self.code) if part)


_GZIPPED = ".gz"
_SCOPES = {
    Helpers.PRUNING: "tfmot.sparsity.keras.prune_scope()",
    Helpers.CLUSTERING: "tfmot.clustering.keras.cluster_scope()",
    Helpers.QUANTIZATION: "tfmot.quantization.keras.quantize_scope()",
}


def advise(remedy: Remedy, artifact: Artifact, *, made: str | None = None, **more: str | int) -> Advice:
    """Say a remedy with an artifact's names; ``made`` is what a file that it writes is called, ``more`` what
    only the caller knows.
    """
    text = remedy.text
    target = _made(artifact, file_name(artifact), made or text.made)
    name = _named(artifact)
    ours = "modelinspect " in text.code
    if ours and is_in_archive(artifact):  # our own commands read archives, and write them again
        name = way_to(artifact) + outer_name(artifact)
        target += _GZIPPED if name.endswith(_GZIPPED) else ""
    own_fields: dict[str, str | int] = {
        "file": name,
        "file_word": shlex.quote(name),
        "outer_word": shlex.quote(way_to(artifact) + outer_name(artifact)),
        "small_word": shlex.quote(f"small-{outer_name(artifact)}"),
        "made": target,
        "made_word": shlex.quote(target),
        "packed": f"{target}.gz",
        **more,
    }
    values = {
        field: own_fields[field] if field in own_fields else _FIELDS[field](artifact)
        for field in _fields(remedy)
    }
    words = text.words.format(**values)
    outer = ours or "gzip -9" in text.code
    if is_in_archive(artifact) and text.code and not outer:
        words = f"unpack the archive, then {words}"
    return Advice(remedy, words, _without_gaps(text.code.format(**values)), target)


def example(remedy: Remedy) -> Advice:
    """Say a remedy for documents, with names that could be any artifact's."""
    text = remedy.text
    stem, dot, suffix = text.file.partition(".")
    made = text.made if not dot or "." in text.made else f"{text.made}.{suffix}"
    values: dict[str, str | int] = {
        "file": text.file,
        "file_word": text.file,
        "outer_word": text.file,
        "small_word": f"small-{text.file}",
        "made": made,
        "made_word": made,
        "packed": f"{made}.gz",
        "clone": _clone("tf_keras"),
        "module": "tf_keras",
        "traces": "",
        "first": "",
        "pair": "the layers `dense` and `dense_1`",
        "both": _both(_scoped(Helpers.NONE, "tf_keras", text.file), "dense", "dense_1"),
        "save": f"\n\nsmaller.save({made!r})",
        "load": _scoped(_example_helpers(remedy), "tf_keras", text.file),
        "files": "model" if stem == text.file else "group1-shard1of1.bin",
        "archive": f"{stem}.tar.gz",
        "debug": "model/debug",
        "look": f"modelinspect map {text.file} --at 0x728 --hex",
        "slots": "('Adam', 'Adam_1')",
        "block": 4,
        "narrow": "float16",
        "kept": "one",
        "copy": "other",
        "before": "before.h5",
        "after": "after.h5",
    }
    return Advice(remedy, text.words.format(**values), _without_gaps(text.code.format(**values)))


def _made(artifact: Artifact, name: str, stem: str) -> str:
    """Return the name of a file that is written beside the artifact: of its kind, and not its own."""
    suffix = next((one for one in _SUFFIXES if name.endswith(one)), _WRITTEN.get(artifact.format, ""))
    if "." in stem:
        stem, suffix = stem.split(".", 1)[0], "." + stem.split(".", 1)[1]
    suffix = ".weights.h5" if suffix == ".weights.json" else suffix
    target = stem + (
        suffix
        if artifact.format not in (FormatName.SAVED_MODEL, FormatName.CHECKPOINT) or suffix == ".tflite"
        else ""
    )
    return target if target != name else f"again_{target}"


def _clone(module: str) -> str:
    """Return the lines that copy a model without its optimizer; Keras 3's ``clone_model`` compiles the copy
    as the model was.
    """
    if module == "tf_keras":
        return "import tf_keras\ncopy = tf_keras.models.clone_model(model)"
    return "copy = type(model).from_config(model.get_config())"


def _import_keras(module: str) -> str:
    return "" if module == "tf.keras" else f"import {module}"


def load_lines(artifact: Artifact) -> str:
    """Return the lines that load a whole model as ``model``."""
    return _scoped(helpers_of(artifact), keras_module(artifact), _named(artifact))


def _named(artifact: Artifact) -> str:
    """Return the name that code opens, with the way to it; what an archive is unpacked to is at hand."""
    return file_name(artifact) if is_in_archive(artifact) else way_to(artifact) + file_name(artifact)


def _scoped(helpers: Helpers, module: str, name: str) -> str:
    """Return the lines that load a model, within the scope that its wrappers need."""
    load = f"model = {module}.models.load_model({name!r}, compile=False)"
    if helpers is Helpers.NONE:
        return f"{_import_keras(module) or 'import tensorflow as tf'}\n{load}"
    imports = f"import tensorflow_model_optimization as tfmot\n{_import_keras(module)}"
    return f"{imports}\nwith {_SCOPES[helpers]}:\n    {load}\n"


def _example_helpers(remedy: Remedy) -> Helpers:
    match remedy:
        case Remedy.STRIP:
            return Helpers.PRUNING
        case Remedy.UNCLUSTER:
            return Helpers.CLUSTERING
        case Remedy.CONVERT_AWARE:
            return Helpers.QUANTIZATION
        case _:
            return Helpers.NONE


def _files(artifact: Artifact) -> str:
    """Return the artifact's files as a shell reads them; those of a TensorFlow.js model without its
    description.
    """
    way = way_to(artifact)
    name = way + outer_name(artifact)
    members = [member.name for member in artifact.members]
    if artifact.format is FormatName.TFJS:
        folder = f"{name}/" if is_folder(artifact) else way
        return " ".join(shlex.quote(folder + member) for member in members if not member.endswith(".json"))
    if is_folder(artifact):
        return shlex.quote(name)
    if len(members) > _MOST_FILES:
        return f"{shlex.quote(name.removesuffix('.index'))}*"
    return " ".join(shlex.quote(way + member) for member in members)


def _both(load: str, layer: str, next_layer: str) -> str:
    """Return the lines that get two layers of a model."""
    return f"{load}\nlayer = model.get_layer({layer!r})\nnext_layer = model.get_layer({next_layer!r})\n"


def pair_fields(artifact: Artifact, layer: str, next_layer: str) -> dict[str, str]:
    """Return what a remedy says about two layers that follow one another; what cannot be loaded is taken for
    a ``model``.
    """
    whole = is_whole(artifact) and helpers_of(artifact) is Helpers.NONE
    made = _made(artifact, file_name(artifact), "smaller") if whole else ""
    return {
        "pair": f"the layers `{layer}` and `{next_layer}`",
        "both": _both(load_lines(artifact) if whole else "", layer, next_layer),
        "save": f"\n\nsmaller.save({made!r})" if whole else "",
    }


def _archive(artifact: Artifact) -> str:
    return shlex.quote(f"{outer_name(artifact).removesuffix('.index')}.tar.gz")


def _first(artifact: Artifact) -> str:
    return "" if helpers_of(artifact) is Helpers.NONE else "strip the wrappers, then "


def _fields(remedy: Remedy) -> set[str]:
    """Return the names that a remedy leaves open."""
    return {field for _, field, _, _ in Formatter().parse(remedy.text.words + remedy.text.code) if field}


def _without_gaps(code: str) -> str:
    """Return code without empty lines at its ends, and without those of imports that are not needed."""
    return code.replace("import tensorflow as tf\n\n", "import tensorflow as tf\n").strip("\n")


_FIELDS: dict[str, Callable[[Artifact], str]] = {
    "archive": _archive,
    "clone": lambda artifact: _clone(keras_module(artifact)),
    "debug": lambda artifact: shlex.quote(f"{way_to(artifact)}{outer_name(artifact)}/debug"),
    "files": _files,
    "first": _first,
    "load": load_lines,
    "pair": lambda _: "a layer, and the one that it feeds,",
    "both": lambda _: "",
    "save": lambda _: "",
    "traces": lambda artifact: "" if has_traces(artifact) else ", save_traces=False",
}
"""What an artifact says, asked for where a remedy needs it: some look at every tensor."""
