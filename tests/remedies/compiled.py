"""Proves the remedy for programs compiled for another processor."""

from __future__ import annotations

import modelinspect as mi
from modelinspect.remedies import Remedy
from tests.remedies.proving import findings, have, printed, proves


@proves(Remedy.INSPECT_SOURCE)
def the_model_before_it_was_compiled_has_weights_to_read() -> None:
    printed(have("tflite_handbuilt/byte_code.tflite"), "compiled-program", Remedy.INSPECT_SOURCE)
    source = have("tflite_handbuilt/narrow.tflite")
    assert "compiled-program" not in findings(source)
    assert not mi.inspect("byte_code.tflite").tensors
    assert any(tensor.zero_count is not None for tensor in mi.inspect(source).tensors)
