"""Checkpoints, held against TensorFlow's own reader."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.corpus import corpus_files
from tests.support.fixtures import FOLDER, fixture_path
from tests.support.tables import block, bundle, entry, header, table, table_file

import modelinspect as mi
from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.limits import Limits
from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, Storage, Tensor
from modelinspect.errors import ModelInspectError, UnknownFormatError
from modelinspect.formats.base import Parsing
from modelinspect.formats.checkpoint import FORMAT
from modelinspect.formats.checkpoint.bundle import BundleEntry, duplicates
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet, MemoryFiles
from modelinspect.sources.opening import open_location

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
BUNDLES = [
    "checkpoint/adam/model",
    "checkpoint/legacy_adam/model",
    "checkpoint/wrapped/model",
    "checkpoint/objects/model",
    "checkpoint/stripped/weights",
    "checkpoint/kept/ckpt-3",
    "checkpoint_tf1/shards/model",
    "checkpoint_keras3/training/model",
    "checkpoint_keras3/export/variables",
]
V1 = ["checkpoint_tf1/v1/model.ckpt", "checkpoint_tf1/v1_shards/model-00000-of-00002"]


def look(files: FileSet, *, strict: bool = False) -> Artifact:
    """Parse as the registry would, with this format alone."""
    parsing = Parsing(files, strict=strict)
    if not FORMAT.detect(parsing):
        raise UnknownFormatError("not detected")
    return parsing.finish(FORMAT.parse(parsing))


def opened(path: Path) -> Artifact:
    with open_location(path) as files:
        return look(files)


def in_memory(files: dict[str, bytes], primary: str = "model.index") -> Artifact:
    return look(MemoryFiles(files, primary))


def beside(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}


def numpy_type(name: str) -> np.dtype[Any]:
    if name in ("bfloat16",):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


def values(tensor: Tensor, files: FileSet) -> np.ndarray[Any, Any]:
    """Read a tensor as `measure` does."""
    dtype = numpy_type(tensor.dtype.name)
    parts = []
    for one in blocks(tensor, Reading(files, Limits(), bytearray())):
        part = np.frombuffer(bytes(one.data), dtype.newbyteorder(">" if one.order == "big" else "<")).astype(
            dtype
        )[: one.count]
        parts.append(np.repeat(part, one.repeat))
    return (np.concatenate(parts) if parts else np.zeros(0, dtype)).reshape(tensor.shape)


def reader(prefix: Path) -> Any:
    tf = pytest.importorskip("tensorflow")
    return tf.train.load_checkpoint(str(prefix))


def expected_names(theirs: Any) -> set[str]:
    return {
        name
        for name in theirs.get_variable_to_shape_map()
        if name != GRAPH and not name.endswith("/OBJECT_CONFIG_JSON")
    }


def their_value(theirs: Any, prefix: Path, tensor: Tensor, name: str) -> Any:
    """Return what TensorFlow reads; its reader does not join the slices of a V1 checkpoint, its operation
    does.
    """
    import tensorflow as tf

    try:
        return theirs.get_tensor(name)
    except tf.errors.UnimplementedError:
        spec = f"{' '.join(map(str, tensor.shape))} {':'.join('-' * len(tensor.shape))}"
        return tf.raw_ops.RestoreSlice(
            file_pattern=str(prefix), tensor_name=name, shape_and_slice=spec, dt=tensor.dtype.name
        ).numpy()


def require_same(artifact: Artifact, files: FileSet, prefix: Path) -> None:
    """Compare names, shapes, types and values with TensorFlow's."""
    theirs = reader(prefix)
    ours = {name: tensor for tensor in artifact.tensors for name in (tensor.path, *tensor.aliases)}
    assert set(ours) == expected_names(theirs)
    types, shapes = theirs.get_variable_to_dtype_map(), theirs.get_variable_to_shape_map()
    for name, tensor in ours.items():
        assert list(tensor.shape) == shapes[name], name
        assert tensor.dtype.name == types[name].name, name
        value = their_value(theirs, prefix, tensor, name)
        if tensor.dtype.name == "string":
            joined = b"".join(
                files.open(e.member).read_at(e.span.offset, e.span.size) for e in tensor.extents
            )
            assert joined == b"".join(np.asarray(value).ravel().tolist()), name
            continue
        read = values(tensor, files)
        assert read.tobytes() == np.asarray(value).astype(read.dtype).tobytes(), name
        if tensor.storage is Storage.DENSE and len(tensor.extents) == 1:
            extent = tensor.extents[0]
            assert (
                files.open(extent.member).read_at(extent.span.offset, extent.span.size)
                == np.asarray(value).tobytes()
            ), name


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", BUNDLES)
def test_tensors_are_those_that_tensorflow_reads(name: str) -> None:
    prefix = FOLDER / name
    fixture_path(f"{name}.index")
    with open_location(prefix) as files:
        require_same(look(files), files, prefix)


@pytest.mark.tensorflow
def test_a_v1_checkpoint_holds_what_tensorflow_reads() -> None:
    path = fixture_path(V1[0])
    with open_location(path) as files:
        artifact = look(files)
        assert {tensor.storage for tensor in artifact.tensors} == {Storage.INLINE}
        require_same(artifact, files, path)


@pytest.mark.tensorflow
def test_the_shards_of_a_v1_checkpoint_hold_what_tensorflow_reads() -> None:
    path = fixture_path(V1[1])
    with open_location(path) as files:
        artifact = look(files)
        assert len(artifact.members) == 2
        require_same(artifact, files, path.with_name("model-?????-of-00002"))


@pytest.mark.tensorflow
def test_a_v1_checkpoint_in_snappy_blocks_holds_what_tensorflow_reads(tmp_path: Path) -> None:
    from tests.encodings.test_sstable import Walked

    entries = Walked(fixture_path(V1[0]).read_bytes()).entries
    path = tmp_path / "model.ckpt"
    path.write_bytes(table(entries, per_block=4, snappy=True))
    with open_location(path) as files:
        artifact = look(files)
        assert artifact.diagnostics == ()
        assert {tensor.storage for tensor in artifact.tensors} == {Storage.COMPRESSED}
        assert artifact.members[0].map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0
        require_same(artifact, files, path)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "options", [{}, {"snappy": True}, {"per_block": 2, "interval": 2}, {"align": 64}, {"gap": b"lost"}]
)
def test_bundles_that_other_writers_made_are_read_as_tensorflow_reads_them(
    options: dict[str, Any], tmp_path: Path
) -> None:
    random_numbers = np.random.default_rng(3)
    tensors = {
        f"layer_{n}/kernel": random_numbers.standard_normal((n + 1, 7)).astype("float32") for n in range(9)
    }
    tensors["flags"] = np.array([True, False, True])
    tensors["step"] = np.array(7, "int64")
    files = bundle(tensors, **options)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with open_location(tmp_path / "model") as opened_files:
        artifact = look(opened_files)
        require_same(artifact, opened_files, tmp_path / "model")
    assert artifact.diagnostics == ()
    assert all(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0 for member in artifact.members)


def test_numbers_of_a_big_endian_bundle_are_turned() -> None:
    tensors = {"a": np.arange(12, dtype="float32").reshape(3, 4), "b": np.arange(-2, 3, dtype="int64")}
    files = MemoryFiles(bundle(tensors, big=True), "model.index")
    artifact = look(files)
    assert artifact.facts["byte_order"] == "big"
    for tensor in artifact.tensors:
        assert (values(tensor, files) == tensors[tensor.path]).all()


@pytest.mark.parametrize(
    "opened_by", ["model", "model.index", "model.data-00000-of-00002", "model.data-00001-of-00002"]
)
def test_any_file_of_a_bundle_opens_all_of_it(opened_by: str) -> None:
    folder = fixture_path("checkpoint_tf1/shards/model.index").parent
    artifact = opened(folder / opened_by)
    assert [member.name for member in artifact.members] == [
        "model.data-00000-of-00002",
        "model.data-00001-of-00002",
        "model.index",
    ]
    assert artifact.size == sum(path.stat().st_size for path in folder.iterdir())
    assert artifact.format is FormatName.CHECKPOINT


def test_a_prefix_may_be_empty(tmp_path: Path) -> None:
    source = fixture_path("checkpoint/adam/model.index").parent
    for path in source.iterdir():
        shutil.copy(path, tmp_path / path.name.removeprefix("model"))
    artifact = opened(tmp_path / ".index")
    assert [member.name for member in artifact.members] == [".data-00000-of-00001", ".index"]
    assert artifact.diagnostics == ()


def test_a_directory_holds_all_its_checkpoints_and_the_file_that_names_them() -> None:
    folder = fixture_path("checkpoint/kept")
    artifact = opened(folder)
    assert artifact.facts["checkpoints"] == ("ckpt-2", "ckpt-3")
    assert artifact.facts["latest_checkpoint"] == "ckpt-3"
    assert artifact.size == sum(path.stat().st_size for path in folder.iterdir())
    assert len({tensor.path for tensor in artifact.tensors}) == len(artifact.tensors) == 6
    assert {tensor.path.partition(":")[0] for tensor in artifact.tensors} == {"ckpt-2", "ckpt-3"}


def test_a_directory_of_v1_checkpoints_holds_them_all() -> None:
    v1, shards = fixture_path(V1[0]), fixture_path(V1[1]).parent
    state = b'model_checkpoint_path: "model.ckpt"\n'
    files = {
        "checkpoint": state,
        "model.ckpt": v1.read_bytes(),
        **{path.name: path.read_bytes() for path in shards.iterdir()},
    }
    artifact = look(MemoryFiles({**files, "notes.txt": b"hello"}))
    assert artifact.diagnostics == ()
    assert len(artifact.tensors) == 2 * len(opened(v1).tensors) == artifact.facts["variables"]
    assert {tensor.path.partition(":")[0] for tensor in artifact.tensors} == {
        "model.ckpt",
        "model-00000-of-00002",
    }
    assert artifact.member("notes.txt").map.kind_sizes()[RegionKind.ASSET] == 5


def test_the_text_file_opens_the_latest_checkpoint() -> None:
    artifact = opened(fixture_path("checkpoint/kept") / "checkpoint")
    assert [member.name for member in artifact.members] == [
        "checkpoint",
        "ckpt-3.data-00000-of-00001",
        "ckpt-3.index",
    ]


def test_a_text_file_that_names_a_path_elsewhere_opens_nothing_there() -> None:
    files = bundle({"a": np.zeros(3, "float32")})
    for path in ("/etc/passwd", "../../../etc/passwd", "../model", "sub/../model", "nothing"):
        state = f'model_checkpoint_path: "{path}"\n'.encode()
        artifact = in_memory({**files, "checkpoint": state}, "checkpoint")
        assert {member.name for member in artifact.members} <= {"checkpoint", *files}
        assert artifact.members[0].map.kind_sizes()[RegionKind.METADATA] == len(state)


def test_slices_are_put_together_in_the_order_of_the_whole() -> None:
    prefix = fixture_path("checkpoint_tf1/shards/model.index")
    artifact = opened(prefix)
    sliced = {tensor.path: tensor for tensor in artifact.tensors if len(tensor.extents) > 1}
    assert {name: len(tensor.extents) for name, tensor in sliced.items()} == {
        "embedding/rows": 3,
        "embedding/columns": 2,
    }
    assert all(tensor.stored_size == tensor.logical_size for tensor in sliced.values())


def test_parsing_reads_the_index_and_the_object_graph_alone() -> None:
    class Recorded(MemoryFiles):
        def __init__(self, files: dict[str, bytes]) -> None:
            super().__init__(files, "model.index")
            self.read = 0

        def _open_source(self, name: str) -> Source:
            outer, inner = self, super()._open_source(name)

            class Counting(Source):
                name, size = inner.name, inner.size

                def read_into(self, offset: int, buffer: memoryview) -> None:
                    outer.read += len(buffer) if ".data-" in self.name else 0
                    inner.read_into(offset, buffer)

            return Counting()

    plain = Recorded(bundle({f"w{n}": np.ones((64, 1024), "float32") for n in range(16)}))
    assert len(look(plain).tensors) == 16
    assert plain.read == 0
    path = fixture_path("checkpoint/objects/model.index")
    objects = Recorded(beside(path))
    artifact = look(objects)
    numbers = sum(tensor.stored_size for tensor in artifact.tensors if tensor.payload is not None)
    assert objects.read < artifact.size - numbers


def test_an_object_graph_is_metadata_and_no_tensor() -> None:
    artifact = opened(fixture_path("checkpoint/adam/model.index"))
    shard = artifact.members[0]
    graph = [region for region in shard.map if region.path[0] == GRAPH]
    assert {region.kind for region in graph} == {RegionKind.METADATA, RegionKind.CONTAINER}
    assert all(tensor.path != GRAPH for tensor in artifact.tensors)
    assert artifact.facts["object_graph_nodes"] == len(
        {region.path[2] for region in graph if len(region.path) > 2}
    )


def test_gaps_before_aligned_tensors_are_padding_and_others_unreferenced() -> None:
    tensors = {name: np.ones(3, "float32") for name in "abc"}
    aligned = in_memory(bundle(tensors, align=64))
    free = [region for region in aligned.members[0].map if region.kind is RegionKind.FREE]
    assert [(region.span.size, region.path) for region in free] == [(52, ("alignment padding",))] * 2
    assert aligned.facts["unreferenced_bytes"] == 0
    gaps = in_memory(bundle(tensors, gap=b"secret"))
    free = [region for region in gaps.members[0].map if region.kind is RegionKind.FREE]
    assert [(region.span.size, region.path) for region in free] == [(6, ("unreferenced",))] * 3
    assert gaps.facts["unreferenced_bytes"] == 18
    assert aligned.diagnostics == gaps.diagnostics == ()


def test_equal_checksums_tell_copies_but_not_fresh_biases_or_counters() -> None:
    kernel = np.random.default_rng(1).standard_normal((30, 7))
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for name in "ab":
        tensors |= {f"{name}/kernel{bits}": kernel.astype(f"float{bits}") for bits in (32, 64)}
        tensors |= {f"{name}/bias": np.zeros(40_000, "float32"), f"{name}/gamma": np.ones(40_000, "float32")}
        tensors |= {f"{name}/ones": np.ones(5, "float64"), f"{name}/step": np.array(3, "int64")}
    artifact = in_memory(bundle(tensors))
    assert artifact.facts["duplicate_tensors"] == (("a/kernel32", "b/kernel32"), ("a/kernel64", "b/kernel64"))


@pytest.mark.parametrize("name", ["saved_model_keras3/exported", "stories/exported"])
def test_copies_of_fresh_biases_are_known_by_their_names_where_nothing_is_measured(name: str) -> None:
    measured, listed = (mi.inspect(fixture_path(name), measure=measure).weights for measure in (True, False))
    assert measured is not None
    assert listed is not None
    assert listed.copies == measured.copies


def test_single_elements_with_one_checksum_are_copies_only_by_one_name() -> None:
    keys = ("variables/0", "_all_variables/1", "variables/2", "_all_variables/3")
    entries = [
        BundleEntry(key, DTYPES["float32"], (1,), 0, Span(4 * number, 4), 77, tensor=TensorId(number))
        for number, key in enumerate(keys)
    ]
    names = dict(zip(map(TensorId, range(4)), ("a/bias", "a/bias", "b/bias", "b/gain"), strict=True))
    paths = dict(zip(map(TensorId, range(4)), keys, strict=True))
    assert duplicates(entries, paths, names) == (("variables/0", "_all_variables/1"),)


def test_tensors_at_the_same_bytes_are_one_with_two_names() -> None:
    data = np.arange(6, dtype="float32").tobytes()
    entries = [(b"", header()), (b"a", entry(1, [6], 0, data)), (b"b", entry(1, [6], 0, data))]
    artifact = in_memory({"model.index": table(entries), "model.data-00000-of-00001": data})
    assert [(tensor.path, tensor.aliases) for tensor in artifact.tensors] == [("a", ("b",))]
    assert artifact.diagnostics == ()


def flips(prefix: Path, tmp_path: Path, sample: int | None) -> None:
    """Flip bytes of the shards; TensorFlow must see a change in the tensor that owns the byte, and in no
    other.
    """
    import tensorflow as tf

    artifact = opened(prefix.with_name(prefix.name + ".index"))
    folder = tmp_path / "flipped"
    shutil.copytree(prefix.parent, folder)
    target = str(folder / prefix.name)

    def read_all() -> dict[str, bytes | None]:
        theirs = tf.train.load_checkpoint(target)
        found: dict[str, bytes | None] = {}
        for name in theirs.get_variable_to_shape_map():
            try:
                value = np.asarray(theirs.get_tensor(name))
                found[name] = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
            except tf.errors.OpError:
                found[name] = None
                theirs = tf.train.load_checkpoint(
                    target
                )  # TensorFlow 2.21 ends the process where a reader that failed is asked again
        return found

    before = read_all()
    rng = random.Random(5)
    for member in artifact.members:
        if ".data-" not in member.name:
            continue
        data = bytearray((folder / member.name).read_bytes())
        places = (
            list(range(len(data)))
            if sample is None
            else sorted(rng.sample(range(len(data)), min(sample, len(data))))
        )
        for place in places:
            data[place] ^= 0x41
            (folder / member.name).write_bytes(data)
            region = member.map.at(place)
            after = read_all()
            data[place] ^= 0x41
            changed = {name for name in before if after.get(name) != before[name]}
            if region.kind is RegionKind.FREE:
                assert changed == set(), (place, region.path)
                continue
            owner = region.path[0]
            assert changed == {owner}, (place, region.path, changed)
            if region.tensor is not None:
                assert artifact.tensors[region.tensor].path == owner
        (folder / member.name).write_bytes(data)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("checkpoint_tf1/shards/model", None),
        ("checkpoint/objects/model", 400),
        ("checkpoint/adam/model", 200),
    ],
)
def test_a_flipped_byte_changes_the_tensor_that_owns_it_and_no_other(
    name: str, sample: int | None, tmp_path: Path
) -> None:
    fixture_path(f"{name}.index")
    flips(FOLDER / name, tmp_path, sample)


@pytest.mark.tensorflow
def test_a_flipped_byte_of_a_gap_changes_nothing(tmp_path: Path) -> None:
    for name, data in bundle(
        {"a": np.ones(5, "float32"), "b": np.ones(3, "int32")}, align=32, gap=b"hidden"
    ).items():
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_bytes(data)
    flips(tmp_path / "made" / "model", tmp_path, None)


def test_detection_leaves_other_files_alone() -> None:
    for files in (
        {"a.index": b"nothing"},
        {"checkpoint": b"no state"},
        {"x.ckpt": b"\x89HDF\r\n\x1a\n"},
        {"readme.txt": b"", "b.index": b""},
    ):
        parsing = Parsing(MemoryFiles(files, next(iter(files))))
        assert not FORMAT.detect(parsing)
        assert not FORMAT.detect(Parsing(MemoryFiles({**files, "z": b""})))


def test_a_table_that_is_no_checkpoint_is_left_alone() -> None:
    for data in (
        table([(b"a", b"b")]),
        table([(b"", b"")]),
        table([(b"", header())]),
        table_file([(b"", b"\x0a")])[0][:-1],
    ):
        assert not FORMAT.detect(Parsing(MemoryFiles({"some.table": data})))


def test_an_index_of_a_bundle_without_tensors_is_clean() -> None:
    artifact = in_memory({"model.index": table([(b"", header())]), "model.data-00000-of-00001": b""})
    assert artifact.diagnostics == ()
    assert artifact.tensors == ()


@pytest.mark.corpus
@pytest.mark.tensorflow
def test_checkpoints_of_the_corpus_that_tensorflow_reads_are_clean() -> None:
    import tensorflow as tf

    accepted = 0
    for file in corpus_files("checkpoint"):
        if not file.name.endswith(".index"):
            continue
        prefix = file.path.with_name(file.path.name.removesuffix(".index"))
        try:
            theirs = tf.train.load_checkpoint(str(prefix))
            sample = {name: theirs.get_tensor(name) for name in list(theirs.get_variable_to_shape_map())[:3]}
        except (tf.errors.OpError, ValueError):
            continue
        accepted += 1
        with open_location(prefix) as files:
            artifact = look(files)
        assert artifact.diagnostics == (), file.name
        assert all(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0 for member in artifact.members), (
            file.name
        )
        assert artifact.facts["unreferenced_bytes"] == 0, file.name
        ours = {name for tensor in artifact.tensors for name in (tensor.path, *tensor.aliases)}
        assert ours == expected_names(theirs), file.name
        assert len(sample) <= 3
    assert accepted >= 40


def test_any_exception_below_is_one_of_ours() -> None:
    with pytest.raises(ModelInspectError):
        in_memory({"model.index": block([])})
