"""Tensors as lines of JSON: the quick way writes what the other one writes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.reports.base import encode
from modelinspect.reports.entries import ExtentEntry, PatternEntry, TensorEntry

TEXTS = st.one_of(
    st.text(),
    st.sampled_from(("stem/kernel", "a\x7f", "\ud800", "\u2028", 'say "x"\\', "\x00\n", "<&>'/")),
)
NUMBERS = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((0.0, -0.0, 1e-4, 0.0001234, 1e15, 1e16, 32.0, 1.3333, 5e-324, 123456789.1234)),
)


@given(name=TEXTS, layer=st.one_of(st.none(), TEXTS), bits=NUMBERS, count=st.integers(0, 2**63), note=TEXTS)
def test_a_tensor_is_the_same_line_either_way(
    name: str, layer: str | None, bits: float | None, count: int, note: str
) -> None:
    entry = TensorEntry(
        name=name,
        path=name,
        layer=layer,
        role="weight",
        dtype="float32",
        bits=32,
        packed=1,
        shape=(count, 3) if count % 2 else (),
        storage="dense",
        stored_size=count,
        logical_size=count,
        element_count=count,
        bits_per_weight=bits,
        zero_count=None if count % 3 else count,
        negative_zero_count=0,
        extents=(ExtentEntry(member=name, offset=1, size=count, encoding="raw"),) * (count % 3),
        aliases=(name,) * (count % 2),
        note=note,
        pattern=PatternEntry(
            dead_rows=(0, 1), dead_channels=(2, 3), dead_inputs=None, blocks_4=(1, 2), blocks_16=None
        )
        if count % 5
        else None,
    )
    assert entry.to_json() == encode(msgspec.to_builtins(entry))
