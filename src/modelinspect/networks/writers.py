"""What wrote an artifact, what loads it, and what wraps its layers."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, DocumentKind, FormatName
from modelinspect.core.names import KEY_END, WrapperClass, WrapperName
from modelinspect.core.tensors import Helpers, Role

_TRACES = ("layer_call_and_return_conditional_losses", "layer_call_fn")


_WRAPPERS = {
    WrapperName.PRUNE: Helpers.PRUNING,
    WrapperName.CLUSTER: Helpers.CLUSTERING,
    WrapperName.QUANTIZE: Helpers.QUANTIZATION,
    WrapperName.QUANTIZE_LAYER: Helpers.QUANTIZATION,
}


def keras_module(artifact: Artifact) -> str:
    """Return the package that wrote a model and loads it: Keras 3, or tf_keras; whichever TensorFlow has
    where that is not known.
    """
    version = artifact.facts.get("keras_version")
    if isinstance(version, str):
        return "keras" if version.startswith("3") else "tf_keras"
    names = [tensor.path for tensor in artifact.tensors]
    if any("layer_with_weights-" in name for name in names):
        return "tf_keras"
    if any(
        part in name
        for name in names
        for part in ("_all_variables/", "_operations/", "_trainable_variables/", "_layers/")
    ):
        return "keras"
    return "tf_keras" if has_keras_metadata(artifact) else "tf.keras"


def is_of_tested_version(artifact: Artifact) -> bool:
    """Return whether the version that wrote an artifact is one whose conversions were compared with
    predictions, network by network.
    """
    for fact, tested in _TESTED.items():
        version = artifact.facts.get(fact)
        if isinstance(version, str):
            return version.startswith(tested)
    return False


_TESTED = {"keras_version": ("2.21.", "3.15."), "tensorflow_version": ("2.21.",)}
"""The versions that docs/developer/predictions.md was measured with."""


def has_keras_metadata(artifact: Artifact) -> bool:
    """Return whether a SavedModel is one that tf_keras loads as a model."""
    return any(document.kind is DocumentKind.KERAS_METADATA for document in artifact.documents)


def has_traces(artifact: Artifact) -> bool:
    """Return whether a SavedModel has the functions of each layer."""
    fact = artifact.facts.get("functions")
    names = (
        [str(entry.get("name")) for entry in fact if isinstance(entry, Mapping)]
        if isinstance(fact, tuple | list)
        else []
    )
    return any(trace in name for name in names for trace in _TRACES)


def is_whole(artifact: Artifact) -> bool:
    """Return whether ``load_model`` makes the model from the artifact: it has the layers and their
    weights.
    """
    if artifact.format is FormatName.KERAS_ZIP:
        return "weights" in artifact.facts
    if artifact.format is not FormatName.KERAS_HDF5:
        return False
    return any(
        document.kind is DocumentKind.KERAS_CONFIG and document.label == "model_config"
        for document in artifact.documents
    )


def helpers_of(artifact: Artifact) -> Helpers:
    """Return what wraps the layers of the artifact, by its variables' names; a Keras store numbers them and
    names the wrappers.
    """
    helpers = [tensor.path for tensor in artifact.tensors if tensor.role is Role.PRUNING]
    for wrapper, kind in _WRAPPERS.items():
        if any(f"/{wrapper}" in f"/{name}" and "/vars/" in name for name in helpers):
            return kind
    names = [_last(name) for name in helpers]
    if any("mask" in name or name in ("threshold", "pruning_step") for name in names):
        return Helpers.PRUNING
    if any("cluster" in name or "pulling" in name or "original_weights" in name for name in names):
        return Helpers.CLUSTERING
    if any(name.endswith(("_min", "_max")) or name == "optimizer_step" for name in names):
        return Helpers.QUANTIZATION
    wrapped = artifact.facts.get("wrapped_layers")
    return (
        Helpers.PRUNING
        if names or (isinstance(wrapped, Mapping) and WrapperClass.PRUNE in wrapped)
        else Helpers.NONE
    )


def is_in_archive(artifact: Artifact) -> bool:
    """Return whether the artifact is in an archive, where no library loads it."""
    return bool(artifact.facts.get("wrapped_in"))


def is_folder(artifact: Artifact) -> bool:
    """Return whether the artifact is a folder of files."""
    if is_in_archive(artifact):
        return False
    name = outer_name(artifact)
    return "checkpoints" in artifact.facts or all(
        member.name != name and not member.name.startswith(f"{name}.") for member in artifact.members
    )


def file_name(artifact: Artifact) -> str:
    """Return the name that code opens: the artifact's, without the way to it; within an archive, the one that
    unpacking gives.
    """
    name = outer_name(artifact)
    if is_in_archive(artifact):
        within = artifact.facts.get("wrapped_name")
        return within if isinstance(within, str) else name.removesuffix(".gz").removesuffix(".gzip")
    members = [member.name for member in artifact.members]
    if artifact.format is FormatName.WEIGHTS_HDF5 and len(members) > 1:
        shards = [member for member in members if member.endswith(".weights.json")]
        return f"{name}/{shards[0]}" if shards and not name.endswith(".json") else name
    return name.removesuffix(".index") if artifact.format is FormatName.CHECKPOINT else name


def outer_name(artifact: Artifact) -> str:
    """Return the name of the artifact's file or folder, without the way to it."""
    return artifact.location.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def way_to(artifact: Artifact) -> str:
    """Return the folders before `outer_name` as the artifact was named: commands work where they are printed.

    There are none for what is remote; a name that begins with a dash is no option.
    """
    location = artifact.location.rstrip("/\\")
    if "://" in location:
        return ""
    way = location[: len(location) - len(outer_name(artifact))]
    return "./" if not way and location.startswith("-") and location != "-" else way


def _last(name: str) -> str:
    return name.removesuffix(KEY_END).rsplit("/", 1)[-1].split(":")[0].lower()
