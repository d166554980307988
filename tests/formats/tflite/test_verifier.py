"""Nothing that flatbuffers' own verifier refuses passes without a word, and what we alone complain about has
a reason.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from tests.support.corpus import corpus, corpus_files
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.tflite_verifier import Verifier

from modelinspect.core.artifact import Artifact, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles

pytestmark = pytest.mark.tensorflow

FIXTURES = [name for name in fixture_names() if name.endswith(".tflite") and "external/" not in name]
OTHERWISE = {"tflite_handbuilt/size_prefixed.tflite"}
"""The importer takes no model with its size in front; TensorFlow Lite reads one by another function."""
FLIPPED = ["float", "sparse", "int8", "metadata", "control_flow", "signatures", "recurrent", "sparse_float16"]
FLIPS = 50

EXPLAINED = re.compile(
    r"bytes belong to no structure"  # the verifier does not ask what nobody refers to
    r"|bytes of a table \w+ belong to no field"
    r"|claims [\d,]+ bytes that .* holds"  # nor whether two structures share bytes
    r"|the vtable of a table \w+ is [\d,]+ bytes long and gives its table"  # nor how long a table without fields says it is  # noqa: E501
    r"|the field \w+ of a table \w+ is at \d+ in a table"  # nor whether a field stands on the table's own offset  # noqa: E501
    r"|an offset in the vector [\w.]+ leads outside the buffer"  # an offset of 0 in a vector is a table where the offset stands  # noqa: E501
)
UNSEEN_BITS = 0b11
"""What is misaligned, the verifier refuses and TensorFlow Lite loads; it is read here as it stands."""


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier() as made:
        yield made


def complaints(data: bytes) -> list[str]:
    """Return what is said against a model; an empty list where its map is clean."""
    try:
        artifact: Artifact = parse(MemoryFiles({"m.tflite": data}))
    except ModelInspectError as error:
        return [str(error)]
    nameless = sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in artifact.members)
    problems = [found.problem for found in artifact.diagnostics if found.severity is not Severity.NOTE]
    return problems or (["bytes are unattributed"] if nameless else [])


@pytest.mark.parametrize("name", FIXTURES)
def test_a_fixture_is_clean_for_both(name: str, verifier: Verifier) -> None:
    data = fixture_path(name).read_bytes()
    assert complaints(data) == []
    assert (verifier.accepts(data) is False) == (name in OTHERWISE)


@pytest.mark.corpus
def test_a_sample_of_the_corpus_is_judged_alike(verifier: Verifier) -> None:
    names = [file.name for file in corpus_files("tflite") if (corpus() / file.name).stat().st_size < 300_000]
    different: list[str] = []
    for name in random.Random(1).sample(names, 60):
        data = (corpus() / name).read_bytes()
        accepted = verifier.accepts(data)
        if accepted is not None and accepted != (not complaints(data)):
            different.append(f"{name}: {accepted} {complaints(data)[:1]}")
    assert different == []


@pytest.mark.parametrize("name", FLIPPED)
def test_no_flipped_framing_that_the_verifier_refuses_goes_unseen(name: str, verifier: Verifier) -> None:
    data = fixture_path(f"tflite/{name}.tflite").read_bytes()
    framing = [
        (place, region.path)
        for region in parse(MemoryFiles({"m.tflite": data})).members[0].map
        if region.kind is RegionKind.CONTAINER
        for place in range(region.span.offset, region.span.end)
    ]
    rng = random.Random(name)
    unseen, unexplained, both = [], [], 0
    for place, path in rng.sample(framing, FLIPS):
        bit = 1 << rng.randrange(8)
        flipped = bytearray(data)
        flipped[place] ^= bit
        accepted, said = verifier.accepts(bytes(flipped)), complaints(bytes(flipped))
        both += accepted is False
        if accepted is False and not said:
            unseen += [] if "offset" in path[-1] and bit & UNSEEN_BITS else [(place, bit, path)]
        elif (
            accepted
            and said
            and not is_inner(path)
            and not any(EXPLAINED.search(problem) for problem in said)
        ):
            unexplained.append((place, bit, path, said))
    assert unseen == []
    assert unexplained == []
    assert both > FLIPS // 4  # the verifier refuses many of them: it is one


def is_inner(path: tuple[str, ...]) -> bool:
    """Return whether bytes are of a flatbuffer in a buffer or of the zip archive behind the model, into which
    the verifier does not look.
    """
    return path[0] == "associated files" or (path[0].startswith("buffers[") and len(path) > 2)
