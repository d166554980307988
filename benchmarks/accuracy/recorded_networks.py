"""Record networks without their weights, and make them again from there.

A set of networks has what builds each of them, and the forms it is converted to (`converted_networks.py`).
Weights come from numpy only (`weight`), so a test makes the files again without TensorFlow (`unpacked`).
"""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy import signature_networks as signatures  # noqa: E402
from benchmarks.accuracy.signature_networks import DATA, _cleared  # noqa: E402
from benchmarks.accuracy.unseen_networks import Network, named, weight  # noqa: E402

WEIGHTS = "model.weights.h5"
LARGEST = 1 << 19
"""Larger graphs are not stored beside a network's file, in bytes."""
SAVED = ("saved_model.pb", "keras_metadata.pb", "variables/variables.index", DATA)
"""The files of a SavedModel that are stored, where it has them."""

KEPT = "weights-are-kept"
"""A file beside a SavedModel that is stored with its weights."""


@dataclass(frozen=True)
class NetworkSet:
    """Networks that are recorded together in ``NAME_bases.tar.xz`` and ``NAME_sizes.csv``.

    ``builders`` gives the class of each kind of network and what builds it. Of the networks that are exported
    only a SavedModel is there, and no file of Keras. A set with ``assign`` gives models their weights itself:
    its networks are recorded with their weights, and its files are too large for the repository.
    """

    name: str
    builders: Mapping[str, tuple[str, Callable[[Any, random.Random], Any]]]
    forms_of: Callable[[Network], list[str]]
    is_saved_too: Callable[[Network], bool] = lambda _: False
    is_exported: Callable[[Network], bool] = lambda _: False
    assign: Callable[[Any, Network], None] | None = None

    @property
    def bases(self) -> Path:
        return FOLDER / f"{self.name}_bases.tar.xz"

    @property
    def table(self) -> Path:
        return FOLDER / f"{self.name}_sizes.csv"

    @property
    def refused(self) -> Path:
        """The file with why the converter refused a form."""
        return FOLDER / f"{self.name}_refused.csv"

    @property
    def first(self) -> Path:
        """The file of first predictions."""
        return FOLDER / f"{self.name}_first.csv"


def suffix(network: Network) -> str:
    """Return how the file of a network ends."""
    return ".h5" if network.keras == 2 else ".keras"


def fill(path: Path, network: Network) -> None:
    """Write a network's weights into the file that Keras saved."""
    if network.keras == 2:
        with h5py.File(path, "r+") as file:
            _fill(file["model_weights"], network)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    held = io.BytesIO(members[WEIGHTS])
    with h5py.File(held, "r+") as file:
        _fill(file, network)
    members[WEIGHTS] = held.getvalue()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _fill(group: h5py.Group, network: Network) -> None:
    """Give every variable values that depend on its place and its shape; where names are stored, moving
    variances are positive.
    """

    def one(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
            values = weight(network, name, item.shape)
            item[...] = (
                values
                if network.keras == 2 or len(item.shape) != 1 or network.is_fresh
                else np.abs(values) + np.float32(0.5)
            )

    group.visititems(one)


def store(folder: Path, which: NetworkSet) -> None:
    """Write the files of networks without their weights, and the sizes of their forms; 0 where the converter
    refused.

    Networks that were stored and are not in the folder stay. Similar networks are next to each other, because
    that compresses best.
    """
    done = sorted(path.parent for path in folder.glob("*/done"))
    names = {source.name for source in done}
    rows, held = list[tuple[str, str, int]](), dict[str, bytes]()
    if which.table.is_file():
        for name, forms in sizes(which).items():
            rows += [(name, form, size) for form, size in forms.items() if name not in names]
        with tarfile.open(which.bases) as archive:
            for member in archive:
                if member.name.split("/")[0] not in names and (file := archive.extractfile(member)):
                    held[member.name] = file.read()
    for source in done:
        network = named(source.name)
        paths = {form: source / f"{form}.tflite" for form in which.forms_of(network)}
        rows += [
            (network.name, form, path.stat().st_size if path.is_file() else 0) for form, path in paths.items()
        ]
        if any(path.is_file() for path in paths.values()):  # what the converter refuses is not predicted
            held.update({f"{network.name}/{name}": data for name, data in members(source, network, which)})
    with tarfile.open(which.bases, "w:xz", preset=9) as archive:
        for name, data in sorted(held.items(), key=_place):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with which.table.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [("network", "form", "size"), *sorted(rows, key=lambda row: row[0])]
        )


def _place(item: tuple[str, bytes]) -> tuple[int, str, str]:
    folder, _, rest = item[0].partition("/")
    return named(folder).keras, rest, folder


def members(source: Path, network: Network, which: NetworkSet) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a network, with zeros for weights unless they are recorded."""
    saved, is_exported = source / "saved", which.is_exported(network)
    if which.assign is not None:
        paths = [saved / name for name in SAVED] if is_exported else [source / f"model{suffix(network)}"]
        yield from ((str(path.relative_to(source)), path.read_bytes()) for path in paths if path.is_file())
        return
    data = b""
    if not is_exported:
        path = source / f"model{suffix(network)}"
        if network.keras == 2:
            data = path.read_bytes()
            yield path.name, _without_weights(data)
        else:
            with zipfile.ZipFile(path) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            data = members[WEIGHTS]
            for name, each in members.items():
                yield f"{path.name}/{name}", _without_weights(each) if name == WEIGHTS else each
    is_too = which.is_saved_too(network) and (saved / SAVED[0]).stat().st_size <= LARGEST
    is_kept = is_exported and not _has_names(saved, network)
    if is_exported or is_too:
        for name in SAVED:
            if (saved / name).is_file():
                is_cleared = name == DATA and not is_kept
                yield f"saved/{name}", _cleared(saved) if is_cleared else (saved / name).read_bytes()
    if is_kept:
        yield KEPT, b""
    if is_too and not is_exported:
        yield "places.json", json.dumps(_places(saved, data), indent=0, sort_keys=True).encode()


def _has_names(saved: Path, network: Network) -> bool:
    """Return whether the names of variables in a SavedModel give its weights again; Keras 3 exports
    subclassed models whose variables have other names there.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "saved"
        shutil.copytree(saved, copy)
        (copy / DATA).write_bytes(_cleared(saved))
        signatures.fill(copy, network)
        return (copy / DATA).read_bytes() == (saved / DATA).read_bytes()


def _places(saved: Path, weights: bytes) -> dict[str, str]:
    """Return which dataset of the weights each variable of a SavedModel equals, by the variable's name."""
    held: dict[bytes, str] = {}

    def one(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
            held.setdefault(item[()].tobytes(), name)

    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(one)
    data = (saved / DATA).read_bytes()
    places = {}
    for tensor in mi.inspect(saved).tensors:
        for extent in tensor.extents:
            name = (
                held.get(data[extent.offset : extent.offset + extent.size]) if extent.member == DATA else None
            )
            if name is not None:
                places[tensor.path] = name
    return places


def fill_saved(saved: Path, weights: bytes, places: Mapping[str, str]) -> None:
    """Write the weights of a filled file into a SavedModel's checkpoint."""
    with h5py.File(io.BytesIO(weights)) as held, (saved / DATA).open("r+b") as file:
        for tensor in mi.open(saved / "variables" / "variables").tensors:
            if tensor.path in places:
                (extent,) = tensor.extents
                file.seek(extent.span.offset)
                file.write(held[places[tensor.path]][()].tobytes())


def _without_weights(data: bytes) -> bytes:
    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        file.visititems(_clear)
    return held.getvalue()


def _clear(_: str, item: object) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
        item[...] = 0


def sizes(which: NetworkSet) -> dict[str, dict[str, int]]:
    """Return the sizes of TensorFlow's files by network and form; 0 where the converter refused."""
    found: dict[str, dict[str, int]] = {}
    with which.table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["network"], {})[row["form"]] = int(row["size"])
    return found


def unexplained(which: NetworkSet) -> list[tuple[str, str]]:
    """Return the networks and forms that have neither a size nor a reason why the converter refused them, or
    both. A network without a float32 form has one reason for all of its forms.
    """
    with which.refused.open(encoding="utf-8", newline="") as file:
        refused = {(row["network"], row["form"]) for row in csv.DictReader(file)}
    return [
        (name, form)
        for name, forms in sizes(which).items()
        for form, size in forms.items()
        if ((name, form) in refused or (name, "float32") in refused) == (size > 0)
    ]


@contextmanager
def unpacked(which: NetworkSet, names: Collection[str] | None = None) -> Iterator[Path]:
    """Write the files of all networks, or of those that are named, into a folder, each with its weights."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(which.bases) as archive:
            wanted = [one for one in archive if names is None or one.name.split("/")[0] in names]
            archive.extractall(folder, wanted, filter="data")
        for target in Path(folder).iterdir():
            restore(target, named(target.name), which)
        yield Path(folder)


def restore(target: Path, network: Network, which: NetworkSet) -> None:
    """Pack what is an archive, and write the weights unless they are recorded."""
    if which.assign is not None:
        return
    if which.is_exported(network):
        if not (target / KEPT).is_file():
            signatures.fill(target / "saved", network)
        return
    path = target / f"model{suffix(network)}"
    if path.is_dir():
        members = {
            str(each.relative_to(path)): each.read_bytes()
            for each in sorted(path.rglob("*"))
            if each.is_file()
        }
        path.rename(target / "members")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
    fill(path, network)
    if (target / "saved").is_dir():
        if network.keras == 2:
            weights = path.read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                weights = archive.read(WEIGHTS)
        fill_saved(
            target / "saved", weights, json.loads((target / "places.json").read_text(encoding="utf-8"))
        )
