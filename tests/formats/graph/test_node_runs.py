"""Nodes that are claimed in runs get what each would get by itself."""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.artifact import Artifact
from modelinspect.formats.base import parse_with
from modelinspect.formats.graph import bodies, messages, node_runs
from modelinspect.formats.graph.graph_def import FORMAT
from modelinspect.formats.graph.node_runs import NodeRuns
from modelinspect.sources.files import MemoryFiles


def varint(value: int) -> bytes:
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def entry(key: bytes, value: bytes) -> bytes:
    return field(5, field(1, key) + field(2, value))


FLOAT = entry(b"T", b"\x30\x01")
FUNCTION = entry(b"f", field(10, field(1, b"called")))
SHAPES = entry(b"_output_shapes", field(1, field(7, field(2, b"\x08\x04"))))


ARGUMENTS = (
    field(1, b"x") + b"\x18\x01",
    b"\x18\x01" + field(1, b"x"),
    b"\x18\x01",
    b"\x0a\x81\x00x",
    field(1, b"y") * 2,
    field(1, b"long" * 40),
    b"",
)
"""Arguments of functions, as TensorFlow writes them and otherwise."""
RESULTS = (
    field(1, b"out") + field(2, b"block/op_0:z:0"),
    field(2, b"block/op_1:z:0") + field(1, b"out"),
    field(1, b"out"),
    field(1, b"out") + field(2, b"x"),
    field(1, b"o" * 130) + field(2, b"x"),
    field(1, b"out") + b"\x12\x81\x00x",
    field(1, b"out") + field(2, b"^block/op_1") + field(2, b"x"),
    field(1, b"out") + field(2, b"long" * 40),
)


def tensor(count: int, seed: int, *, typed: bool = False) -> bytes:
    values = struct.pack(f"<{count}f", *(seed + index for index in range(count)))
    return b"\x08\x01" + field(2, field(2, b"\x08" + varint(count))) + field(5 if typed else 4, values)


def node(kind: int, index: int) -> bytes:
    """Make one of some kinds of nodes; most differ from others of their kind in names and elements alone."""
    name = field(1, b"block/op_%d" % index)
    dtype = entry(b"dtype", b"\x30\x01")
    match kind:
        case 0 | 1 | 2:
            return name + field(2, b"AddV2") + field(3, b"x") * kind + FLOAT
        case 3:
            return name + field(2, b"Const") + dtype + entry(b"value", field(8, tensor(4, index)))
        case 4:
            return name + field(2, b"Const") + entry(b"value", field(8, tensor(4, index))) + dtype
        case 5:
            return (
                name
                + field(2, b"Const")
                + dtype
                + entry(b"value", field(8, tensor(3, index % 3, typed=True)))
            )
        case 6:
            return (
                name
                + field(2, b"Const")
                + entry(b"value", field(8, b"\x08\x07" + field(2, b"") + field(8, b"text %d" % (index % 3))))
            )
        case 7:
            return (
                name
                + field(2, b"PartitionedCall")
                + field(3, b"x")
                + field(4, b"/device:CPU:0")
                + FUNCTION
                + SHAPES
            )
        case 8:
            return name + field(2, b"NoOp")
        case 9:
            return field(2, b"NoOp") + name
        case 10:
            return (
                name
                + field(2, b"Const")
                + entry(b"value", field(8, b"\x08\x01" + field(2, field(2, b"\x08\x05"))))
            )
        case 11:
            return name + field(2, b"Big") + field(3, b"long/" * 40) + FLOAT
        case 12:
            both = field(8, tensor(2, index)) + field(8, tensor(2, index + 1))
            return name + field(2, b"Many") + entry(b"values", field(1, both))
        case 13:
            return name + field(2, b"Traced") + FLOAT + field(6, field(1, b"origin"))
        case 14:  # each calls another function
            called = entry(b"f", field(10, field(1, b"called_%d" % (index % 5))))
            return name + field(2, b"PartitionedCall") + field(3, b"x:%d" % (index % 3)) + FLOAT + called
        case 15:  # a length that is not written in the fewest bytes
            return name + field(2, b"AddV2") + b"\x2a\x89\x00" + FLOAT[2:]
        case 16:
            return name + field(2, b"AddV2") + FLOAT + field(9, b"unknown") + SHAPES
        case 17:
            return name + field(2, b"Long") + field(3, b"^block/op_1") + entry(b"k" * 200, b"\x30\x01")
        case 18:  # attributes without a key, without a value, and one that is no message
            return name + field(2, b"Odd") + field(5, field(2, b"\x30\x01")) + field(5, b"")
        case 19:
            return name + field(2, b"Broken") + entry(b"T", b"\x0a\x05ab")
        case 20:
            return field(1, b"\xff\xfe%d" % index) + field(2, b"\xffOp") + field(3, b"^x") + FLOAT
        case 21:
            return name + field(2, b"Lib") + entry(b"s", field(2, b"ML\xefR" + bytes([index % 3])))
        case _:
            return (
                name
                + field(2, b"Other")
                + entry(b"value", field(8, tensor(4, index)))
                + entry(b"more", field(8, tensor(2, index)))
            )


def graph(kinds: list[int], *, in_function: bool) -> bytes:
    if not in_function:
        return b"".join(field(1, node(kind, index)) for index, kind in enumerate(kinds)) + field(
            4, b"\x08\x1b"
        )
    nodes = b"".join(field(3, node(kind, index)) for index, kind in enumerate(kinds))
    arguments = b"".join(field(2, ARGUMENTS[kind % len(ARGUMENTS)]) for kind in kinds[:9])
    results = b"".join(field(4, RESULTS[kind % len(RESULTS)]) for kind in kinds[:7])
    function = field(1, field(1, b"body") + arguments) + nodes + results
    return field(1, node(0, 0)) + field(2, field(1, function) * 2) + field(4, b"\x08\x1b")


def parsed(data: bytes) -> Artifact:
    return parse_with(FORMAT, MemoryFiles({"g.pb": data}, "g.pb"))


def told(artifact: Artifact) -> object:
    regions = [(region.span, region.kind, region.path, region.tensor) for region in artifact.members[0].map]
    return regions, artifact.tensors, artifact.facts, artifact.diagnostics


def one_by_one(data: bytes) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NodeRuns, "claim", lambda self, tag, offset, *rest: (offset, 0))
        patch.setattr(messages, "SHORT", 0)  # nor are signatures and results what they mostly are
        patch.setattr(bodies, "_KEPT", 0)
        return parsed(data)


@pytest.fixture(params=(2, 64), ids=("in columns", "in turn"), scope="module", autouse=True)
def fewest(request: pytest.FixtureRequest) -> Iterator[None]:
    """Read few nodes in columns too, as the tests' graphs are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_runs, "_FEWEST", request.param)
        yield


@settings(max_examples=120, deadline=None)
@given(kinds=st.lists(st.integers(0, 22), min_size=1, max_size=40), in_function=st.booleans())
def test_runs_and_single_nodes_give_the_same_map(kinds: list[int], in_function: bool) -> None:
    data = graph([0, *kinds], in_function=in_function)
    assert told(parsed(data)) == told(one_by_one(data))


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32), in_function=st.booleans(), flips=st.integers(1, 4))
def test_broken_nodes_are_the_same_in_runs(seed: int, in_function: bool, flips: int) -> None:
    rng = random.Random(seed)
    data = bytearray(
        graph([0, 3, 7, *(rng.randrange(23) for _ in range(12)), 0, 3, 7], in_function=in_function)
    )
    for _ in range(flips):
        data[rng.randrange(60, len(data))] = rng.choice(
            (0, 1, 2, 0x0A, 0x2A, 0x7F, 0x80, 0xFF, rng.randrange(256))
        )
    assert told(parsed(bytes(data))) == told(one_by_one(bytes(data)))


def test_known_nodes_are_claimed_in_runs() -> None:
    data = graph([0, 3, 1, 3, 0, 1, 3, 3] * 20, in_function=False)
    counts: list[int] = []
    claim = NodeRuns.claim

    def counted(self: NodeRuns, *arguments: object) -> tuple[int, int]:
        offset, count = claim(self, *arguments)  # type: ignore[arg-type]
        counts.append(count)
        return offset, count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NodeRuns, "claim", counted)
        assert parsed(data).facts["node_count"] == 160
    assert sum(counts) == 160


def test_a_long_run_of_nodes_with_odd_ones_is_the_same_in_columns() -> None:
    kinds = [0, 3, 1, 2, 8, 10] * 3 + [0] * 90 + [3] * 40 + [22] + [0, 1, 3] * 200 + [11, 12, 13] + [2] * 300
    data = graph(kinds, in_function=False)
    assert told(parsed(data)) == told(one_by_one(data))
    whole = parsed(data).members[0].map
    names = whole.path_table.names
    assert list(names) == [names[index] for index in range(len(names))]
    assert names[5:9] == list(names)[5:9]
    assert list(pickle.loads(pickle.dumps(whole)).path_table.names) == list(names)
