"""Decide what each file of a preset or a Hugging Face folder is, by its name.

Layouts: ``keras_hub/src/utils/preset_utils.py`` and ``transformers/utils/__init__.py``.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from posixpath import basename

from modelinspect.core.names import (
    AUDIO_CONVERTER_JSON,
    CONFIG_JSON,
    IMAGE_CONVERTER_JSON,
    METADATA_JSON,
    PREPROCESSOR_JSON,
    TASK_JSON,
    TOKENIZER_JSON,
    WEIGHTS_INDEX,
)


class Part(Enum):
    """What a file of the folder is."""

    CONFIG = auto()
    """The architecture: a model's configuration, with that of its task."""
    PREPROCESSING = auto()
    """What prepares inputs: layers of KerasHub, or settings of Hugging Face."""
    METADATA = auto()
    KERAS_WEIGHTS = auto()
    """An HDF5 file of Keras 3."""
    KERAS_INDEX = auto()
    """Which HDF5 shard of Keras 3 holds which layer."""
    LEGACY_WEIGHTS = auto()
    """An HDF5 file that transformers wrote with Keras 2."""
    LEGACY_INDEX = auto()
    SAFETENSORS = auto()
    SAFETENSORS_INDEX = auto()
    TOKENIZER_JSON = auto()
    SENTENCEPIECE = auto()
    VOCABULARY = auto()
    FOREIGN = auto()
    """Weights of another framework, which are not read."""
    ASSET = auto()


_EXACT: dict[str, Part] = {
    CONFIG_JSON: Part.CONFIG,
    TASK_JSON: Part.CONFIG,
    PREPROCESSOR_JSON: Part.PREPROCESSING,
    IMAGE_CONVERTER_JSON: Part.PREPROCESSING,
    AUDIO_CONVERTER_JSON: Part.PREPROCESSING,
    "video_converter.json": Part.PREPROCESSING,
    METADATA_JSON: Part.METADATA,
    WEIGHTS_INDEX: Part.KERAS_INDEX,
    "task.weights.json": Part.KERAS_INDEX,
    TOKENIZER_JSON: Part.TOKENIZER_JSON,
    "vocab.json": Part.VOCABULARY,
    "vocab.txt": Part.VOCABULARY,
    "vocabulary.json": Part.VOCABULARY,
    "vocabulary.txt": Part.VOCABULARY,
    "vocabulary.spm": Part.SENTENCEPIECE,
    "tf_model.h5": Part.LEGACY_WEIGHTS,
    "tf_model.h5.index.json": Part.LEGACY_INDEX,
}
_SETTINGS = frozenset(
    (
        *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *(
            "preprocessor_config.json",
            "processor_config.json",
            "video_preprocessor_config.json",
            "quantize_config.json",
        ),
        *(
            "chat_template.jinja",
            "chat_template.json",
            "modules.json",
            "sentence_bert_config.json",
            "model_index.json",
        ),
    )
)
_PATTERNS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r".*\.jinja"), Part.METADATA),
    (re.compile(r".*\.safetensors\.index\.json"), Part.SAFETENSORS_INDEX),
    (re.compile(r".*\.safetensors"), Part.SAFETENSORS),
    (re.compile(r"tf_model.*\.h5"), Part.LEGACY_WEIGHTS),
    (re.compile(r".*\.weights\.h5"), Part.KERAS_WEIGHTS),
    (re.compile(r"(spiece|sentencepiece.*|tokenizer)\.(model|spm)|.*\.spm"), Part.SENTENCEPIECE),
    (
        re.compile(
            r".*\.(bin|pt|pth|ckpt|msgpack|onnx|onnx_data|gguf|pkl|ot|tflite|pte|mlmodel|npz|h5|index\.json)"
        ),
        Part.FOREIGN,
    ),
)


def part_of(name: str) -> Part:
    """Return what a file is."""
    base = basename(name)
    if base in _SETTINGS:
        return Part.METADATA
    known = _EXACT.get(base)
    if known is not None:
        return known
    return next((part for pattern, part in _PATTERNS if pattern.fullmatch(base)), Part.ASSET)


WEIGHTS = frozenset(
    (
        Part.KERAS_WEIGHTS,
        Part.KERAS_INDEX,
        Part.LEGACY_WEIGHTS,
        Part.LEGACY_INDEX,
        Part.SAFETENSORS,
        Part.SAFETENSORS_INDEX,
    )
)
"""The parts that hold weights, or list the files that do."""
