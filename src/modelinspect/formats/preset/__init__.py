"""Parse a KerasHub preset or a Hugging Face folder as one artifact: configuration, tokenizer, weights in any of their forms."""

from __future__ import annotations

from modelinspect.core.artifact import FormatName
from modelinspect.formats.base import Parsing
from modelinspect.formats.preset.members import Part, part_of

_CONFIG, _METADATA = "config.json", "metadata.json"
_PEEK = 4096
_HUB = (b'"keras_hub_version"', b'"keras_nlp_version"')
_ONLY_HUB = frozenset(("task.json", "preprocessor.json", "image_converter.json", "audio_converter.json"))
_HUGGING_FACE = frozenset((Part.SAFETENSORS, Part.SAFETENSORS_INDEX, Part.LEGACY_WEIGHTS, Part.LEGACY_INDEX))
_TORCH = "pytorch_model.bin"


class PresetFormat:
    """Folders with a ``config.json`` that KerasHub or transformers wrote."""

    name = FormatName.KERAS_PRESET

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the folder has a configuration, and metadata of KerasHub or weights as Hugging Face names them."""
        if parsing.primary is not None:
            return False
        top = {name for name in parsing.names() if "/" not in name}
        if _CONFIG not in top:
            return False
        if _METADATA in top and any(mark in parsing.peek(_METADATA, _PEEK) for mark in _HUB):
            return True
        return bool(top & _ONLY_HUB) or _TORCH in top or any(part_of(name) in _HUGGING_FACE for name in top)

    def parse(self, parsing: Parsing) -> FormatName:
        """Read every file of the folder."""
        from modelinspect.formats.preset.reading import PresetReader

        PresetReader(parsing).run()
        return self.name


FORMAT = PresetFormat()
