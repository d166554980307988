"""Choose the remedy that is true for an artifact's format, and for who wrote it; None where there is none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, assert_never

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.tensors import Helpers, Role, Storage, Tensor
from modelinspect.networks.writers import (
    has_keras_metadata,
    has_traces,
    helpers_of,
    is_in_archive,
    is_whole,
    keras_module,
    outer_name,
    way_to,
)
from modelinspect.remedies.advice import Advice, advise, load_lines, pair_fields
from modelinspect.remedies.table import Remedy

if TYPE_CHECKING:
    from modelinspect.networks.channels.removal import Removal

HDF5_FORMATS = frozenset((FormatName.KERAS_HDF5, FormatName.WEIGHTS_HDF5, FormatName.HDF5))
CONVERTED = frozenset(
    (FormatName.TFLITE, FormatName.TFJS, FormatName.GRAPH_DEF, FormatName.SAFETENSORS, FormatName.LITERTLM)
)
_GATED = re.compile(r"(?i)lstm|gru|rnn|(?:^|/)cell(?:/|$)|recurrent|embedding|attention|depthwise|pointwise")
"""Names of kernels whose outputs are not channels that the next layer could do without one by one."""
_WITH_CHANNELS = frozenset(("FULLY_CONNECTED", "CONV_2D"))
_WORTH_PACKING = 8 * 1024
_UNPACKED = ("links", "elsewhere", "committed_datatypes", "user_block")


def repackable(artifact: Artifact) -> bool:
    """Return whether h5repack writes the artifact again: one whole file, not in an archive, with nothing that
    the tool fails on.
    """
    return not is_in_archive(artifact) and _is_sound_hdf5(artifact)


def _is_sound_hdf5(artifact: Artifact) -> bool:
    if artifact.format not in HDF5_FORMATS or len(artifact.members) != 1 or artifact.diagnostics:
        return False
    fact = artifact.facts.get("hdf5")
    hdf5 = fact if isinstance(fact, Mapping) else {}
    return not any(artifact.facts.get(key) or hdf5.get(key) for key in _UNPACKED)


def is_old_hdf5(artifact: Artifact) -> bool:
    """Return whether h5repack makes an artifact smaller: Keras wrote it, in HDF5's oldest layout and without
    chunks.
    """
    fact = artifact.facts.get("hdf5")
    hdf5 = fact if isinstance(fact, Mapping) else {}
    layouts = hdf5.get("layouts")
    chunked = "filters" in hdf5 or (isinstance(layouts, Mapping) and "chunked" in layouts)
    if (
        artifact.format is FormatName.HDF5
        or artifact.size < _WORTH_PACKING
        or chunked
        or hdf5.get("superblock_version")
    ):
        return False
    return repackable(artifact)


def gzippable(artifact: Artifact) -> bool:
    """Return whether h5repack compresses an artifact so it pays; it fails on datasets without elements."""
    return is_old_hdf5(artifact) and not any(0 in tensor.shape for tensor in artifact.tensors)


def compressed(artifact: Artifact) -> Advice | None:
    """Say how an artifact is compressed, so it loads as before where its format can."""
    if gzippable(artifact):
        return advise(Remedy.GZIP_HDF5, artifact)
    if artifact.format is FormatName.KERAS_ZIP and len(artifact.members) == 1 and not is_in_archive(artifact):
        return advise(Remedy.DEFLATE_KERAS, artifact)
    if "gzip" in _wrappings(artifact):
        return None
    if len(artifact.members) == 1:
        return advise(Remedy.GZIP_FILE, artifact)
    return advise(Remedy.GZIP_FILES if artifact.format is FormatName.TFJS else Remedy.GZIP_FOLDER, artifact)


def without_optimizer(artifact: Artifact) -> Advice | None:
    """Say how an artifact loses the optimizer's state, moving averages among it: by `shrink` where it knows
    the wrappers.
    """
    if _unwraps(artifact):
        return advise(Remedy.DROP_WRAPPERS, artifact)
    if helpers_of(artifact) is Helpers.NONE:
        if is_whole(artifact) and _is_one_sound_file(artifact):
            return advise(Remedy.DROP_TRAINING, artifact)
        if not is_in_archive(artifact) and not artifact.diagnostics:
            if artifact.format is FormatName.SAVED_MODEL and has_keras_metadata(artifact):
                return advise(Remedy.DROP_TRAINING, artifact)
            if artifact.format is FormatName.CHECKPOINT and artifact.facts.get("object_graph_nodes"):
                return advise(Remedy.DROP_OPTIMIZER, artifact)
    return saved_without_optimizer(artifact)


def _unwraps(artifact: Artifact) -> bool:
    """Return whether `shrink` takes pruning wrappers out of an artifact: it needs the configuration."""
    return helpers_of(artifact) is Helpers.PRUNING and is_whole(artifact) and _is_one_sound_file(artifact)


def _is_one_sound_file(artifact: Artifact) -> bool:
    """Return whether an artifact is a single file that `shrink` writes again; it may be gzipped."""
    if is_in_archive(artifact) and _wrappings(artifact) != ("gzip",):
        return False
    if artifact.format in HDF5_FORMATS:
        return _is_sound_hdf5(artifact)
    return len(artifact.members) == 1 and not artifact.diagnostics


def saved_without_optimizer(artifact: Artifact) -> Advice | None:
    """Say how the library that wrote an artifact saves it without the optimizer's state."""
    if is_whole(artifact):
        return None if _cannot_be_loaded(artifact) else advise(Remedy.SAVE_UNCOMPILED, artifact)
    match artifact.format:
        case FormatName.KERAS_HDF5 | FormatName.WEIGHTS_HDF5:
            return advise(Remedy.SAVE_WEIGHTS_UNCOMPILED, artifact)
        case FormatName.SAVED_MODEL:
            if artifact.facts.get("object_graph_nodes") == 0:  # TF1: there is no model to copy
                return None
            wrapped = helpers_of(artifact) is not Helpers.NONE
            return advise(
                Remedy.SAVE_COPY if has_keras_metadata(artifact) and not wrapped else Remedy.SAVE_CLONE,
                artifact,
            )
        case FormatName.CHECKPOINT:
            if artifact.facts.get("object_graph_nodes"):
                return advise(Remedy.WRITE_CLONE, artifact)
            return advise(Remedy.SAVE_WITHOUT_SLOTS, artifact, slots=_slot_names(artifact))
        case (
            FormatName.KERAS_ZIP
            | FormatName.HDF5
            | FormatName.GRAPH_DEF
            | FormatName.TFLITE
            | FormatName.TFJS
        ):
            return None
        case (
            FormatName.MLIR
            | FormatName.ORBAX
            | FormatName.SAFETENSORS
            | FormatName.KERAS_PRESET
            | FormatName.LITERTLM
        ):
            return None
        case _:
            assert_never(artifact.format)


def _cannot_be_loaded(artifact: Artifact) -> bool:
    """Return whether tf_keras refuses its own file: it writes fewer variables of a quantize layer to a .keras
    archive than it asks for.
    """
    return artifact.format is FormatName.KERAS_ZIP and helpers_of(artifact) is Helpers.QUANTIZATION


def in_half_precision(artifact: Artifact, narrow: str) -> Advice | None:
    """Say how a model of mixed precision stores its variables in the type in which it computes.

    ``narrow`` is float16 or bfloat16.
    """
    if not is_whole(artifact) or helpers_of(artifact) is not Helpers.NONE or _cannot_be_loaded(artifact):
        return None
    return advise(Remedy.HALF_PRECISION, artifact, load=load_lines(artifact), narrow=narrow)


def plain_values(artifact: Artifact, kinds: Collection[str]) -> Advice | None:
    """Say how values stay out of the configuration: numbers that only initialize weights, words that a file
    can hold.
    """
    if "numbers" in kinds and is_whole(artifact) and helpers_of(artifact) is Helpers.NONE:
        return advise(
            Remedy.PLAIN_INITIALIZERS, artifact, load=load_lines(artifact), module=keras_module(artifact)
        )
    return advise(Remedy.WORDS_IN_A_FILE, artifact) if "words" in kinds else None


def without_helpers(artifact: Artifact) -> Advice | None:
    """Say how helper variables of pruning, clustering or quantization-aware training are left out: by
    `shrink` where it knows the wrappers.
    """
    if _unwraps(artifact):
        return advise(Remedy.DROP_WRAPPERS, artifact)
    return saved_without_helpers(artifact)


def saved_without_helpers(artifact: Artifact) -> Advice | None:
    """Say how the library that wrapped a model saves it without helper variables."""
    whole = is_whole(artifact)
    match helpers_of(artifact):
        case Helpers.PRUNING | Helpers.NONE:
            remedy = Remedy.STRIP if whole else _STRIPS.get(artifact.format)
            if artifact.format is FormatName.CHECKPOINT and not artifact.facts.get("object_graph_nodes"):
                remedy = Remedy.FOLD_MASKS
            return advise(remedy, artifact) if remedy is not None else None
        case Helpers.CLUSTERING:
            return advise(Remedy.UNCLUSTER if whole else Remedy.UNCLUSTER_FIRST, artifact)
        case Helpers.QUANTIZATION:
            loads = whole and not _cannot_be_loaded(artifact)
            return advise(Remedy.CONVERT_AWARE if loads else Remedy.CONVERT_AWARE_MODEL, artifact)


_STRIPS = {
    FormatName.KERAS_HDF5: Remedy.STRIP_WEIGHTS,
    FormatName.KERAS_ZIP: Remedy.STRIP_WEIGHTS,
    FormatName.WEIGHTS_HDF5: Remedy.STRIP_WEIGHTS,
    FormatName.SAVED_MODEL: Remedy.STRIP_FOLDER,
    FormatName.CHECKPOINT: Remedy.STRIP_CHECKPOINT,
    FormatName.GRAPH_DEF: Remedy.FOLD_MASKS,
    FormatName.TFLITE: Remedy.STRIP_FIRST,
    FormatName.TFJS: Remedy.STRIP_FIRST,
}


def exported_once(artifact: Artifact) -> Advice | None:
    """Say how a variable is written under one name; several checkpoints of one model each have theirs."""
    kept = artifact.facts.get("checkpoints")
    many = isinstance(kept, tuple | list) and len(kept) > 1
    return advise(Remedy.KEEP_ONE_CHECKPOINT if many else Remedy.SAVE_ONCE, artifact)


def shared(artifact: Artifact, kept: str, copy: str) -> Advice | None:
    """Say how what is stored twice under two names is stored once; ``kept`` and ``copy`` are the names."""
    match artifact.format:
        case FormatName.LITERTLM:
            return (
                advise(Remedy.ONE_MODEL, artifact)
                if kept.partition(":")[0] != copy.partition(":")[0]
                else None
            )
        case FormatName.TFLITE:
            return advise(Remedy.CONVERT_AGAIN, artifact)
        case FormatName.HDF5:
            return advise(Remedy.LINK_DATASET, artifact)
        case FormatName.KERAS_HDF5 | FormatName.KERAS_ZIP | FormatName.WEIGHTS_HDF5:
            return advise(Remedy.LINK_WEIGHTS, artifact) if _is_one_sound_file(artifact) else None
        case FormatName.SAVED_MODEL | FormatName.CHECKPOINT:
            return exported_once(artifact)
        case _:
            return None


def converted_dense(artifact: Artifact) -> Advice | None:
    """Say how the converter leaves sparse encoding out, and keeps the precision of the model.

    Dense weights count too: where it quantizes, the converter leaves small kernels in float32.
    """
    if artifact.format is not FormatName.TFLITE:
        return None
    bits = {
        tensor.dtype.bits
        for tensor in artifact.tensors
        if tensor.storage is Storage.SPARSE or tensor.role is Role.WEIGHT
    }
    if any(width <= 8 for width in bits):
        return advise(Remedy.CONVERT_DENSE_NARROW, artifact)
    return advise(Remedy.CONVERT_DENSE_HALF if 16 in bits else Remedy.CONVERT_DENSE, artifact)


def pruned_in_blocks(artifact: Artifact, tensors: Iterable[Tensor]) -> Advice | None:
    """Say how matrices get the pattern that sparse kernels take; where blocks divide none of them, how they
    are stored densely.
    """
    for tensor in tensors:
        block = block_of(tensor)
        if (
            len(tensor.shape) == 2
            and tensor.shape[0] > 1
            and tensor.shape[1] > block
            and tensor.shape[1] % block == 0
        ):
            return advise(Remedy.PRUNE_BLOCKS, artifact, block=block)
    return converted_dense(artifact)


def block_of(tensor: Tensor) -> int:
    """Return how many inputs a sparse kernel of TFLite takes at once."""
    return 16 if tensor.dtype.bits == 8 else 4


def live_channels(artifact: Artifact, tensors: Sequence[Tensor], removal: Removal | None) -> Advice | None:
    """Say how dead channels are left out: with code where two layers follow one another, of which only the
    second reads them.

    Where the artifact does not say how its layers are connected, of the first kernel of a dense layer or a
    convolution; gates and embeddings keep theirs.
    """
    if (
        artifact.format is FormatName.SAFETENSORS
    ):  # no layers are in the file: there is nothing to rebuild it with
        return None
    if removal is not None:
        return _live_pair(artifact, removal)
    uses = artifact.facts.get("tensor_uses")
    gated = {
        tensor.shape for tensor in tensors if _GATED.search(tensor.path)
    }  # a wrapper stores them again under names that do not say
    for tensor in tensors:
        found = uses.get(tensor.path) if isinstance(uses, Mapping) else None
        operators = found if isinstance(found, tuple) else ()
        if tensor.shape in gated or any(operator not in _WITH_CHANNELS for operator in operators):
            continue
        return advise(Remedy.LIVE_CHANNELS if len(tensor.shape) == 2 else Remedy.LIVE_FILTERS, artifact)
    return None


def _live_pair(artifact: Artifact, removal: Removal) -> Advice:
    for pair in removal.pairs:
        remedy = (
            Remedy.LIVE_CHANNELS if len(artifact.tensors[pair.reader].shape) == 2 else Remedy.LIVE_FILTERS
        )
        if (
            artifact.format is FormatName.TFLITE
        ):  # its tensors do not say what the layers of the model were called
            return advise(remedy, artifact)
        return advise(remedy, artifact, **pair_fields(artifact, pair.layer, pair.next_layer))
    return advise(Remedy.LIVE_NETWORK, artifact)


def shown_bytes(artifact: Artifact, member: str, offset: int) -> Advice:
    """Say how bytes that are in free space are looked at, and dropped where h5repack does it."""
    look = f"modelinspect map {shlex.quote(way_to(artifact) + outer_name(artifact))} --at {offset:#x} --hex"
    if len(artifact.members) > 1:
        look += f" --member {shlex.quote(member)}"
    return advise(
        Remedy.LOOK_AND_REPACK if repackable(artifact) else Remedy.LOOK, artifact, made="clean", look=look
    )


def positive_zeros(artifact: Artifact) -> Advice | None:
    """Say how -0.0 becomes 0.0; None for safetensors, which any framework may have written."""
    if artifact.format is FormatName.SAFETENSORS:
        return None
    if artifact.format in CONVERTED:
        return advise(Remedy.POSITIVE_ZEROS_FIRST, artifact)
    return advise(
        Remedy.POSITIVE_ARRAYS if artifact.format is FormatName.HDF5 else Remedy.POSITIVE_ZEROS, artifact
    )


def untraced(artifact: Artifact) -> Advice | None:
    """Say how a SavedModel of tf_keras is saved without functions of each layer, where it has them."""
    if (
        artifact.format is not FormatName.SAVED_MODEL
        or not has_keras_metadata(artifact)
        or helpers_of(artifact) is not Helpers.NONE
    ):
        return None
    return advise(Remedy.NO_TRACES, artifact) if has_traces(artifact) else None


def _slot_names(artifact: Artifact) -> str:
    """Return the last parts of the names of slots, as Python writes them in short lines."""
    slots = sorted(
        {
            tensor.path.rsplit("/", 1)[-1].split(":")[0]
            for tensor in artifact.tensors
            if tensor.role is Role.OPTIMIZER
        }
    )
    return "\n         ".join(wrap(f"({', '.join(map(repr, slots))},)", 64))


def _wrappings(artifact: Artifact) -> tuple[str, ...]:
    fact = artifact.facts.get("wrapped_in")
    return tuple(str(one) for one in fact) if isinstance(fact, tuple | list) else ()
