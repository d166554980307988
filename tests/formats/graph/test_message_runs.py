"""The objects of an object graph that are claimed in columns get what each would get by itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.graph.test_node_runs import field, graph, parsed, told, varint

from modelinspect.core.artifact import Artifact
from modelinspect.formats.graph import messages

CHILD = field(1, b"\x08\x01" + field(2, b"layer"))
OBJECTS = (
    field(1, CHILD),
    field(1, CHILD * 3 + field(4, b"\x0a\x05layer")),
    field(1, b""),
    field(1, CHILD * 2_000),  # more than 16 KiB
    b"\x0a\x8b\x00" + CHILD,  # a length that is not written in the fewest bytes
    b"\x8a\x00" + varint(len(CHILD)) + CHILD,  # a tag, likewise
    field(1, CHILD + b"\xf8\x3f\x01"),
    field(2, field(1, b"__inference_call_1") + field(2, b"\x18\x01")),
    b"\xf8\x3f\x01",
    field(1, b"\x0a\x05ab"),  # broken: no reader accepts the graph
)
"""Fields of a SavedObjectGraph."""


def saved_model(objects: list[int]) -> bytes:
    info = field(1, field(5, b"2.15.0") + field(4, b"serve"))
    nodes = graph([0, 0], in_function=False)
    return b"\x08\x01" + field(
        2, info + field(2, nodes) + field(7, b"".join(OBJECTS[one] for one in objects))
    )


def one_by_one(data: bytes) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "field_of_runs", lambda type_: None)
        return parsed(data)


@settings(max_examples=80, deadline=None)
@given(objects=st.lists(st.integers(0, len(OBJECTS) - 1), max_size=12))
def test_objects_in_columns_and_one_by_one_give_the_same_map(objects: list[int]) -> None:
    data = saved_model(objects)
    assert told(parsed(data)) == told(one_by_one(data))


def test_each_object_has_its_number() -> None:
    regions = parsed(saved_model([0, 2, 3, 0, 7, 0])).members[0].map
    numbers = [region.path[-1] for region in regions if region.path[-1].startswith("nodes[")]
    assert dict.fromkeys(numbers) == dict.fromkeys(f"nodes[{number}]" for number in range(5))
