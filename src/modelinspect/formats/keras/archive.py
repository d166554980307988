"""Read Keras v3 models: ``.keras`` archives, and the folders that ``zipped=False`` writes.

Layout: keras/src/saving/saving_lib.py. Moving averages of the weights: Keras makes them before the
optimizer's own slots, one for each variable (``build`` in keras/src/optimizers/base_optimizer.py, and in
tf_keras/src/optimizers/optimizer.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from modelinspect.core import signatures
from modelinspect.core.artifact import DocumentKind, FormatName, Severity
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact, add_facts
from modelinspect.core.names import (
    CONFIG_JSON,
    METADATA_JSON,
    PREPROCESSOR_JSON,
    TASK_JSON,
    WEIGHTS_H5,
    WEIGHTS_INDEX,
)
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import Role, Tensor
from modelinspect.encodings import zip
from modelinspect.encodings.json_keys import top_level_entries
from modelinspect.encodings.tar import is_tar
from modelinspect.encodings.walk import Walk
from modelinspect.errors import Code, FormatError
from modelinspect.formats.archives.nested import (
    NestedParsing,
    Packed,
    claim_rest,
    codec_of,
    fill_outside,
    packed_zip,
)
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.hdf5 import read_hdf5
from modelinspect.formats.keras.config import (
    COMPILE_CONFIG,
    LayerConfig,
    compile_config,
    mixed_precision,
    model_config,
    pruning_settings,
    quantized_layers,
    read_json,
)
from modelinspect.formats.keras.given_names import GivenNames
from modelinspect.formats.keras.hdf5_facts import optimizer_name
from modelinspect.formats.keras.npz import read_npz
from modelinspect.formats.keras.packed import describe_packed
from modelinspect.formats.keras.sharded_weights import read_shards
from modelinspect.formats.keras.store import split_path, store_paths
from modelinspect.formats.keras.store_naming import StoreNaming
from modelinspect.sources.base import Source
from modelinspect.sources.decompressed import DecompressedSource

_NPZ = "model.weights.npz"
_HEAD = 8
_WEIGHTS = (WEIGHTS_H5, _NPZ, WEIGHTS_INDEX)
_OF_PRESETS = frozenset((TASK_JSON, PREPROCESSOR_JSON))
"""Files that KerasHub writes beside a configuration, and Keras never does."""
_LOOKED_AT = 4096
_FACTS = {"keras_version": "keras_version", "date_saved": "date_saved"}


class KerasZip:
    """The Keras v3 format."""

    name = FormatName.KERAS_ZIP
    about = About(
        title="Keras archive",
        names=(FormatName.KERAS_ZIP,),
        files=("`*.keras`", "a folder with `config.json` and `model.weights.h5`"),
        page="keras.md",
        limitations=(
            (
                "Encrypted members, compression other than deflate, and zip archives in several parts are not"
                " read."
            ),
            "A pickled `model.weights.npz` is mapped and never unpickled; its elements are not measured.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether a configuration is beside metadata or weights, in a zip archive or in a folder."""
        if parsing.primary is None:
            return _is_model(parsing.names())
        source = parsing.files.open(parsing.primary)
        if not _looks_like_zip(source):
            return False
        members = _members(source, parsing)
        return _is_model(tuple(member.name for member in members)) and not _is_preset(source, members)

    def parse(self, parsing: Parsing) -> FormatName:
        """Map the archive or the folder."""
        if parsing.primary is None:
            _Model(parsing, parsing.names(), parsing.open).read()
            return self.name
        site = parsing.open(parsing.primary)
        directory = zip.walk_zip(site.walk)
        fill_outside(site, directory, "before the archive", "trailing bytes")
        files = packed_zip(site, directory)
        readable = {name: packed for name, packed in files.items() if not packed.problem}
        nested = NestedParsing(parsing, readable, None)
        _Model(nested, tuple(readable), nested.open, site).read()
        _keep_shadowed(site, directory, files)
        _report_models_inside(site, files)
        claim_rest(site, directory, files)
        return self.name


FORMAT = KerasZip()


def _report_models_inside(site: Site, files: Mapping[str, Packed]) -> None:
    """Report members that begin as models do and that no reader of this one opens."""
    for name, packed in files.items():
        if packed.is_open or packed.problem or not packed.size:
            continue
        try:
            source = packed.source()
            head = source.read_at(0, min(_HEAD, source.size))
        except FormatError as error:
            site.survive(error)
            continue
        if head.startswith((signatures.HDF5, signatures.ZIP)) or head[4:] == signatures.TFLITE:
            problem = f"member {name} begins as a model does, is not part of this one, and was not examined"
            site.diagnose(problem, None, Severity.NOTE, Code.INCOMPLETE)


def _keep_shadowed(site: Site, directory: zip.ZipDirectory, files: Mapping[str, Packed]) -> None:
    """Note the configurations that a later member of the same name hides: another reader may take them."""
    for member in directory.members:
        taken = files.get(member.name)
        if (
            member.name == CONFIG_JSON
            and member.data is not None
            and not member.problem
            and taken is not None
            and taken.run != member.data
        ):
            codec = codec_of(member)
            source = Packed(
                site, member.name, member.data, codec, site.claims.root, member.size, member.crc
            ).source()
            try:
                site.limits.allow(CONFIG_JSON, source.size, site.limits.document_size, site.source.name)
                data = source.read_at(0, source.size)
            except FormatError as error:
                site.survive(error)
                continue
            site.document(DocumentKind.KERAS_CONFIG, member.data, "hidden by a later member", data)


def _looks_like_zip(source: Source) -> bool:
    """Return whether an archive begins or ends the file; one that ends the last file of a tar archive does
    not count.
    """
    if source.read_at(0, min(len(signatures.ZIP), source.size)) == signatures.ZIP:
        return True
    return zip.find_end_record(source) is not None and not is_tar(source)


def _members(source: Source, parsing: Parsing) -> tuple[zip.ZipMember, ...]:
    scratch = ByteMapBuilder(source.name, source.size, parsing.limits)
    try:
        directory = zip.walk_zip(Walk(source, scratch, parsing.limits, lambda error: None))
    except FormatError:
        return ()
    return tuple(directory.members)


def _is_preset(source: Source, members: tuple[zip.ZipMember, ...]) -> bool:
    """Return whether the archive holds a preset of KerasHub, by the first bytes of its metadata."""
    member = next(
        (member for member in members if member.name == METADATA_JSON and member.data is not None), None
    )
    if member is None or member.data is None:
        return False
    codec = codec_of(member)
    try:
        if codec is None:
            head = source.read_at(member.data.offset, min(member.data.size, _LOOKED_AT))
        else:
            inner = DecompressedSource(source, member.data.offset, member.data.size, codec, member.size)
            head = inner.read_at(0, min(member.size, _LOOKED_AT))
    except FormatError:
        return False
    return any(mark in head for mark in signatures.KERAS_HUB)


def _is_model(names: tuple[str, ...]) -> bool:
    if _OF_PRESETS.intersection(names):
        return False
    return CONFIG_JSON in names and (METADATA_JSON in names or any(name in names for name in _WEIGHTS))


@dataclass(frozen=True, slots=True)
class _Model:
    """The parts of a model, wherever they are; ``archive`` is the site of the zip that holds them."""

    parsing: Parsing
    names: tuple[str, ...]
    open: Callable[[str], Site]
    archive: Site | None = None

    def read(self) -> None:
        """Map every part that is there, and say what is missing."""
        config = self._read_json(CONFIG_JSON, RegionKind.GRAPH)
        metadata = self._read_json(METADATA_JSON, RegionKind.METADATA)
        facts = self.parsing.facts
        if isinstance(metadata, Mapping):
            add_facts(
                facts,
                {fact: metadata[key] for key, fact in _FACTS.items() if isinstance(metadata.get(key), str)},
            )
        model = model_config(config)
        if model is None:
            self._diagnose(f"{CONFIG_JSON} holds no configuration of a model")
        else:
            facts.update(
                {
                    "model_class": model.class_name,
                    "model_name": model.name,
                    "compiled": compile_config(config) is not None,
                }
            )
            seen_facts: dict[str, Fact] = {
                "optimizer": optimizer_name(compile_config(config)),
                "pruning": pruning_settings(model),
                "quantized_layers": quantized_layers(model),
                "mixed_precision": mixed_precision(model),
            }
            add_facts(facts, {name: fact for name, fact in seen_facts.items() if fact})
        first = self.parsing.tensor_count
        self._read_weights(model, compile_config(config))
        configs = store_paths(model) if model is not None else {}
        describe_packed(self.parsing, range(first, self.parsing.tensor_count), configs)
        if keeps_averages(compile_config(config)):
            tensors = (self.parsing.tensor(TensorId(index)) for index in range(self.parsing.tensor_count))
            facts["slot_variables"] = tuple(
                {"tensor": name, "purpose": "average"} for name in moving_averages(tensors)
            )
        for name in self.names:
            if name not in (CONFIG_JSON, METADATA_JSON, *_WEIGHTS) and self.archive is None:
                self._claim_asset(name)

    def _read_json(self, name: str, kind: RegionKind) -> object:
        if name not in self.names:
            self._diagnose(f"there is no {name}")
            return None
        try:
            site = self.open(name)
            if name == CONFIG_JSON:
                site.document(DocumentKind.KERAS_CONFIG)
            site.limits.allow(name, site.source.size, site.limits.document_size, site.source.name)
            text = site.source.read_at(0, site.source.size)
            value = read_json(text)
            training = (
                _training_span(text) if name == CONFIG_JSON and compile_config(value) else Span(len(text), 0)
            )
            path = () if self.archive else (name,)
            for span, what, part in (
                (Span(0, training.offset), kind, ()),
                (training, RegionKind.METADATA, (COMPILE_CONFIG,)),
                (Span(training.end, len(text) - training.end), kind, ()),
            ):
                if span.size:
                    site.claims.claim(span.offset, span.size, what, site.claims.path(*path, *part))
            return value
        except FormatError as error:
            self._survive(error)
            return None

    def _read_weights(self, model: LayerConfig | None, training: Mapping[str, object] | None) -> None:
        found = [name for name in _WEIGHTS if name in self.names]
        if not found:
            self._diagnose(f"there are no weights: neither {', '.join(_WEIGHTS[:-1])} nor {_WEIGHTS[-1]}")
        for name in found:
            self.parsing.facts["weights"] = name
            try:
                if name == WEIGHTS_H5:
                    read_hdf5(self.open(name), StoreNaming(model, training))
                elif name == _NPZ:
                    read_npz(self.open(name), _names_of_arrays(model, training))
                else:
                    read_shards(self.parsing, name, self.names, model, training)
            except FormatError as error:
                self._survive(error)

    def _claim_asset(self, name: str) -> None:
        site = self.open(name)
        site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(name))

    def _diagnose(self, problem: str) -> None:
        site = self.archive if self.archive is not None else self.open(self.names[0])
        site.diagnose(problem)

    def _survive(self, error: FormatError) -> None:
        site = self.archive if self.archive is not None else self.open(self.names[0])
        site.diagnose(str(error), code=error.code)


def _names_of_arrays(model: LayerConfig | None, training: Mapping[str, object] | None) -> dict[str, str]:
    """Return what people called the owners of arrays, by path: an ``.npz`` has one array of all variables of
    each.
    """
    optimizer = optimizer_name(training)
    names = {"optimizer": optimizer} if optimizer else {}
    if model is not None:
        given = GivenNames({}, model, training)
        names |= {path: given.layer(path) for path in store_paths(model) if path}
    return {path: name for path, name in names.items() if name}


def _training_span(text: bytes) -> Span:
    """Return where the settings of training are in a configuration, with their key."""
    found = (entry.span for entry in top_level_entries(text) if entry.key == COMPILE_CONFIG)
    return next(found, Span(len(text), 0))


_OWNER = "optimizer"
_MOST_SLOTS = 3


def keeps_averages(compile_config: Mapping[str, object] | None) -> bool:
    """Return whether the optimizer of a configuration keeps moving averages."""
    optimizer = compile_config.get("optimizer") if compile_config is not None else None
    settings = optimizer.get("config") if isinstance(optimizer, Mapping) else None
    return isinstance(settings, Mapping) and settings.get("use_ema") is True


def moving_averages(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    """Return the names of the averages; none where the variables do not come out as averages and slots of the
    same shapes.
    """
    numbered = [
        (place[1], tensor)
        for tensor in tensors
        if tensor.role is Role.OPTIMIZER and (place := split_path(tensor.path))
    ]
    slots = [tensor for index, tensor in sorted(numbered, key=lambda pair: pair[0]) if _is_slot(tensor)]
    for each in reversed(range(_MOST_SLOTS + 1)):
        count, rest = divmod(len(slots), each + 1)
        averaged = Counter(tensor.shape for tensor in slots[:count])
        if (
            count
            and not rest
            and Counter(tensor.shape for tensor in slots[count:])
            == {s: each * n for s, n in averaged.items() if each}
        ):
            return tuple(tensor.path for tensor in slots[:count])
    return ()


def _is_slot(tensor: Tensor) -> bool:
    place = split_path(tensor.path)
    return place is not None and place[0] == _OWNER and tensor.element_count > 1
