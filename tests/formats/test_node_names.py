"""The layer of a node by its name, where what is kept of scopes is used and where it is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelinspect.formats import node_names
from modelinspect.formats.node_names import layer_of_node

PARTS = (
    *("while", "while_1", "a", "b_2", "Identity", "Identity_3", "read", "Tensordot", "batchnorm_1", "cond"),
    *("x12", "1", "_1", "x_", "a__1", "é٣", "", "a_1\n"),
    *("StatefulPartitionedCall", "StatefulPartitionedCall_1", "__inference_x_3"),
)


@given(parts=st.lists(st.sampled_from(PARTS), max_size=6), output=st.sampled_from(("", ":0", ":a/b:1")))
def test_what_is_kept_of_scopes_gives_the_layer_of_the_whole_name(parts: list[str], output: str) -> None:
    name = "/".join(parts)
    assert layer_of_node(name + output) == node_names._layer(name)
