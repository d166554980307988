"""Read weights that Keras 3 sharded: a ``.weights.json`` that names the ``.weights.h5`` of each variable.

Layout: keras/src/saving/saving_lib.py, ShardedH5IOStore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from posixpath import dirname, join

from modelinspect.core.artifact import DocumentKind, FormatName, Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.tensors import Tensor
from modelinspect.encodings.hdf5.model import Hdf5File
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.hdf5 import read_hdf5
from modelinspect.formats.keras.config import LayerConfig, read_json
from modelinspect.formats.keras.given_names import GivenNames
from modelinspect.formats.keras.packed import describe_packed
from modelinspect.formats.keras.store import roles, split_path, store_paths
from modelinspect.formats.keras.store_naming import StoreNaming
from modelinspect.formats.keras.variables import Variable

_SUFFIX = "weights.json"
_KEY = b'"weight_map"'
_PEEK = 4096
_SHOWN = 5
"""Paths that one diagnostic lists at most."""


class ShardedWeights:
    """Sharded weights files of Keras 3, found from their ``.weights.json``."""

    name = FormatName.WEIGHTS_HDF5
    about = About(
        title="Keras sharded weights",
        names=(FormatName.WEIGHTS_HDF5,),
        files=("`*.weights.json` with `*_00000.weights.h5`",),
        page="keras.md",
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the primary file, or one file of a folder, maps variables to shards."""
        return _map_name(parsing) is not None

    def parse(self, parsing: Parsing) -> FormatName:
        """Map the index and every shard that it names."""
        name = _map_name(parsing) or ""
        read_shards(parsing, name, (*parsing.names(), *parsing.neighbours()), None)
        describe_packed(parsing, range(parsing.tensor_count), {})
        opened = {name, *_shard_names(parsing, name)}
        if parsing.primary is None:
            for other in parsing.names():
                if other not in opened:
                    site = parsing.open(other)
                    site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(other))
        return self.name


FORMAT = ShardedWeights()


def read_shards(
    parsing: Parsing,
    name: str,
    available: Iterable[str],
    model: LayerConfig | None,
    training: Mapping[str, object] | None = None,
) -> None:
    """Claim the index ``name`` and map the shards that it names, of those files that are ``available``."""
    site = parsing.open(name)
    site.document(DocumentKind.SHARD_MAP)
    site.claims.claim(0, site.source.size, RegionKind.METADATA, site.claims.path("weight_map"))
    present = set(available)
    keys = _weight_map(parsing, name)
    shards = tuple(sorted(keys))
    if not shards:
        site.diagnose("it maps no variable to a shard", 0)
    parsing.facts["shards"] = len(shards)
    first = parsing.tensor_count
    noted: dict[str, str] = {}
    for shard in shards:
        if shard not in present:
            site.diagnose(f"shard {shard!r} is not there", None, Severity.ERROR)
            continue
        try:
            naming = StoreNaming(model)
            _check_keys(site, shard, keys[shard], read_hdf5(parsing.open(shard), naming))
            noted |= naming.layer_names
        except FormatError as error:
            site.diagnose(str(error))
    _describe(parsing, range(first, parsing.tensor_count), model, training, noted)


def _describe(
    parsing: Parsing,
    ids: range,
    model: LayerConfig | None,
    training: Mapping[str, object] | None,
    noted: Mapping[str, str],
) -> None:
    """Set what each variable is for and its name, once all of its layer's are known: a layer may straddle
    shards.
    """
    owners: dict[str, list[tuple[int, TensorId]]] = {}
    for number in ids:
        place = split_path(parsing.tensor(TensorId(number)).path)
        if place is not None:
            owners.setdefault(place[0], []).append((place[1], TensorId(number)))
    configs = store_paths(model) if model is not None else {}
    for numbered in owners.values():
        numbered.sort()
    variables_of = {
        owner: [_variable(parsing.tensor(tensor)) for _, tensor in numbered]
        for owner, numbered in owners.items()
    }
    given = GivenNames(variables_of, model, training, noted).find()
    for owner, numbered in owners.items():
        tensors = [parsing.tensor(tensor) for _, tensor in numbered]
        config = configs.get(owner)
        purposes = roles(owner, variables_of[owner], config.class_name if config else "")
        for position, ((_, number), tensor, role) in enumerate(zip(numbered, tensors, purposes, strict=True)):
            parsing.replace_tensor(
                number, replace(tensor, role=role, name=given.get((owner, position), tensor.path))
            )


def _variable(tensor: Tensor) -> Variable:
    return Variable(tensor.dtype, tensor.shape)


def _check_keys(site: Site, shard: str, keys: Iterable[str], file: Hdf5File) -> None:
    """Report the paths of variables that the index looks for in a shard that does not hold them."""
    groups = {path for group in file.groups for path in (group.path, *group.aliases)}
    lost = sorted(key for key in keys if f"/{key.strip('/')}" not in groups)
    if lost and file.complete:
        listed = ", ".join(lost[:_SHOWN]) + (", …" if len(lost) > _SHOWN else "")
        problem = (
            f"shard {shard!r} does not hold {len(lost):,} of the paths that the index looks for in it:"
            f" {listed}"
        )
        site.diagnose(problem, None, Severity.ERROR, Code.INCOMPLETE)


def _shard_names(parsing: Parsing, name: str) -> tuple[str, ...]:
    """Return the shards that the index names, as they are called beside it."""
    return tuple(sorted(_weight_map(parsing, name)))


def _weight_map(parsing: Parsing, name: str) -> dict[str, list[str]]:
    """Return the paths of variables that the index looks for in each shard."""
    source = parsing.files.open(name)
    parsing.limits.allow(name, source.size, parsing.limits.structure_size, source.name)
    index = read_json(source.read_at(0, source.size))
    weight_map = index.get("weight_map") if isinstance(index, Mapping) else None
    found: dict[str, list[str]] = {}
    for key, value in weight_map.items() if isinstance(weight_map, Mapping) else ():
        for shard in value if isinstance(value, list) else [value]:
            if isinstance(shard, str):
                found.setdefault(join(dirname(name), shard), []).append(key)
    return found


def _map_name(parsing: Parsing) -> str | None:
    names = [name for name in parsing.names() if name.endswith(_SUFFIX)]
    if parsing.primary is None and (len(names) != 1 or "/" in names[0]):
        return None
    return next((name for name in names if _KEY in parsing.peek(name, _PEEK)), None)
