"""Small inputs that ask for much: each is answered or refused by lint, with bounded work and bounded
memory.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.fuzz.cases import Case
from tests.fuzz.drive import SECONDS, _forget_peak, _peak, run_one
from tests.fuzz.mutators.protobuf import varint
from tests.support.corpus import find_hostile
from tests.support.flat import build
from tests.support.hostile import load
from tests.support.tables import entry, header, table
from tests.support.work import CALLS, calls_of

MEMORY = 250 * 2**20
LARGEST = 6 << 20


def one(name: str, data: bytes) -> Case:
    return Case(((name, data),), name)


def keras(config: str) -> Case:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("config.json", config)
    return one("model.keras", out.getvalue())


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = field(3, data)
    return data


def hdf5(fill: Callable[[Any], None]) -> Case:
    out = io.BytesIO()
    with h5py.File(out, "w", libver="latest") as file:
        fill(file)
    return one("model.h5", out.getvalue())


def endless(file: Any) -> None:
    file.create_dataset("a", (2**40, 2**20), "f4", chunks=(1, 1))
    file.create_dataset("b", (2**50,), "f8", fillvalue=1.0)


def attributes(file: Any) -> None:
    for number in range(20_000):
        file.attrs[f"attribute {number}"] = number


def circles(file: Any) -> None:
    for number in range(1_500):
        file[f"group {number}"] = h5py.SoftLink(f"/group {(number + 1) % 1_500}")
        file.require_group("hard")[f"up {number}"] = file["/"]


def archive(members: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for number in range(members):
            target.writestr(f"{number}/config.json", "{}")
    return out.getvalue()


def tar(members: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as target:
        for number in range(members):
            target.addfile(tarfile.TarInfo(f"{number}/saved_model.pb"))
    return out.getvalue()


def packed(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = gzip.compress(data, mtime=0)
    return data


def manifest(weights: int, paths: int) -> Case:
    told = [{"name": f"w{number}", "shape": [1] * 40, "dtype": "float32"} for number in range(weights)]
    whole = [{"paths": [f"group{number}.bin" for number in range(paths)], "weights": told}]
    return one(
        "model.json",
        json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": whole}).encode(),
    )


def safetensors(count: int) -> Case:
    told = {
        f"t{number}": {"dtype": "F32", "shape": [2**31, 0], "data_offsets": [0, 0]} for number in range(count)
    }
    text = json.dumps(told).encode()
    return one("model.safetensors", len(text).to_bytes(8, "little") + text)


def checkpoint(count: int) -> Case:
    entries = [
        (b"", header(shards=1)),
        *((f"{number:06d}/kernel".encode(), entry(1, [2], 0, bytes(8))) for number in range(count)),
    ]
    return Case((("model.data-00000-of-00001", bytes(8)), ("model.index", table(entries))), "model.index")


def operators(count: int) -> Case:
    codes = [{"builtin_code": 9} for _ in range(count)]
    return one(
        "model.tflite",
        build({"version": 3, "operator_codes": codes, "subgraphs": [{}], "buffers": [{}] * count}),
    )


NODE = field(1, b"n") + field(2, b"NoOp")
INPUTS: dict[str, Callable[[], Case]] = {
    "gzip six times": lambda: one("model.h5.gz", packed(b"\x89HDF\r\n\x1a\n" + bytes(1_000), 6)),
    "zip of 20,000 members": lambda: one("models.zip", archive(20_000)),
    "tar of 10,000 members": lambda: one("models.tar.gz", tar(10_000)),
    "configuration nested 100,000 deep": lambda: keras("[" * 100_000 + "]" * 100_000),
    "configuration of 300,000 numbers": lambda: keras(
        json.dumps({"class_name": "Sequential", "config": list(range(300_000))})
    ),
    "configuration with one key 200,000 times": lambda: keras(
        "{" + '"class_name": "Lambda",' * 200_000 + '"config": {}}'
    ),
    "configuration of 60,000 layers": lambda: keras(
        json.dumps(
            {
                "class_name": "Sequential",
                "config": {"layers": [{"class_name": "Dense", "config": {}}] * 60_000},
            }
        )
    ),
    "messages nested 3,000 deep": lambda: one(
        "model.pb", field(1, NODE + field(5, field(1, b"a") + field(2, nested(3_000))))
    ),
    "1,000,000 nodes of two bytes": lambda: one("model.pb", field(1, NODE) + field(1, b"") * 1_000_000),
    "one node of 150,000 attributes": lambda: one(
        "model.pb", field(1, NODE + b"".join(field(5, field(1, b"%d" % n)) for n in range(150_000)))
    ),
    "text nested 30,000 deep": lambda: one(
        "model.pbtxt", b'node { name: "n" op: "NoOp" } ' + b"library { " * 30_000
    ),
    "datasets of 2**60 elements": lambda: hdf5(endless),
    "20,000 attributes": lambda: hdf5(attributes),
    "3,000 links in circles": lambda: hdf5(circles),
    "40,000 entries at one place": lambda: checkpoint(40_000),
    "15,000 weights of 40 dimensions": lambda: manifest(15_000, 1),
    "60,000 shards that are not there": lambda: manifest(1, 60_000),
    "25,000 tensors without bytes": lambda: safetensors(25_000),
    "a header of 2**60 bytes": lambda: one("model.safetensors", (2**60).to_bytes(8, "little") + b'{"a":{}}'),
    "60,000 operator codes and buffers": lambda: operators(60_000),
    "a shape of 2**62 elements of one value": lambda: one(
        "model.pb",
        field(
            1,
            NODE
            + field(
                5,
                field(1, b"value")
                + field(
                    2, field(8, b"\x08\x01" + field(2, field(2, b"\x08" + varint(2**62))) + b"\x2d\0\0\0\0")
                ),
            ),
        ),
    ),
}


def hostile_resources() -> dict[str, Path]:
    folder = find_hostile()
    return {} if folder is None else {path.name: path for path in sorted((folder / "resources").iterdir())}


RESOURCES = hostile_resources()


@pytest.mark.parametrize("family", ["lint", "measure"])
@pytest.mark.parametrize("name", RESOURCES)
def test_what_once_cost_gigabytes_costs_little(name: str, family: str) -> None:
    path = RESOURCES[name]
    files = load(path)._files if path.is_dir() else {path.name: path.read_bytes()}
    check_cost(family, Case(tuple(files.items()), None if path.is_dir() else path.name))


@pytest.mark.parametrize("name", INPUTS)
def test_what_asks_for_much_costs_little(name: str) -> None:
    case = INPUTS[name]()
    assert case.size < LARGEST
    check_cost("lint", case)


def check_cost(family: str, case: Case) -> None:
    """Fail where an input takes more than 2 s of processor time or 250 MiB of memory."""
    _forget_peak()
    before, began = _peak(), time.process_time()
    run_one(family, case)  # answered, or refused by an error that it may raise
    seconds = time.process_time() - began
    assert _peak() - before < MEMORY, f"{(_peak() - before) / 2**20:.0f} MiB"
    if seconds > SECONDS:  # a busy machine is slow, too: calls decide
        assert calls_of(lambda: run_one(family, case), 3 * CALLS) < 3 * CALLS
