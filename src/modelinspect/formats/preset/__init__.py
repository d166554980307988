"""Parse a KerasHub preset or a Hugging Face folder as one artifact: configuration, tokenizer, weights in any
of their forms.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName
from modelinspect.core.names import (
    AUDIO_CONVERTER_JSON,
    CONFIG_JSON,
    IMAGE_CONVERTER_JSON,
    METADATA_JSON,
    PREPROCESSOR_JSON,
    TASK_JSON,
)
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.preset.members import Part, part_of

_PEEK = 4096
_ONLY_HUB = frozenset((TASK_JSON, PREPROCESSOR_JSON, IMAGE_CONVERTER_JSON, AUDIO_CONVERTER_JSON))
_HUGGING_FACE = frozenset((Part.SAFETENSORS, Part.SAFETENSORS_INDEX, Part.LEGACY_WEIGHTS, Part.LEGACY_INDEX))
_TORCH = "pytorch_model.bin"


class PresetFormat:
    """Folders with a ``config.json`` that KerasHub or transformers wrote."""

    name = FormatName.KERAS_PRESET
    about = About(
        title="KerasHub presets and Hugging Face folders",
        names=(FormatName.KERAS_PRESET,),
        files=("a folder with `config.json` and weights",),
        page="presets.md",
        limitations=(
            "Weights of other frameworks (`pytorch_model.bin`, `.msgpack`, `.onnx`, `.gguf`) are not read.",
            "int4 kernels of a transformer block's feed-forward layers keep the shape of their packed bytes.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the folder has a configuration, and metadata of KerasHub or weights as Hugging Face
        names them.
        """
        if parsing.primary is not None:
            return False
        top = {name for name in parsing.names() if "/" not in name}
        if CONFIG_JSON not in top:
            return False
        if METADATA_JSON in top and any(
            mark in parsing.peek(METADATA_JSON, _PEEK) for mark in signatures.KERAS_HUB
        ):
            return True
        return bool(top & _ONLY_HUB) or _TORCH in top or any(part_of(name) in _HUGGING_FACE for name in top)

    def parse(self, parsing: Parsing) -> FormatName:
        """Read every file of the folder."""
        from modelinspect.formats.preset.reading import PresetReader

        PresetReader(parsing).run()
        return self.name


FORMAT = PresetFormat()
