"""Walk an HDF5 file from its superblock on: every object once, in the order of its links' names."""

from __future__ import annotations

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.ahead import fetch_ahead
from modelinspect.encodings.hdf5.attributes import MessageReader
from modelinspect.encodings.hdf5.datasets import DatasetReader
from modelinspect.encodings.hdf5.element_types import Datatype
from modelinspect.encodings.hdf5.extension import apply_cache_image, claim_free_space
from modelinspect.encodings.hdf5.globalheap import GlobalHeaps
from modelinspect.encodings.hdf5.headers import SHARED, Header, Message, read_header
from modelinspect.encodings.hdf5.members import ObjectMembers
from modelinspect.encodings.hdf5.messages import MESSAGE_LABELS
from modelinspect.encodings.hdf5.model import (
    CommittedDatatype,
    Dataset,
    Group,
    Hdf5File,
    Hdf5Policy,
    Link,
    Superblock,
)
from modelinspect.encodings.hdf5.sharing import SharedMessages
from modelinspect.encodings.hdf5.state import FREE, State
from modelinspect.encodings.hdf5.superblock import Roots, claim_superblock, read_superblock
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, TruncatedError

_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x08
_GROUP_INFO, _SHARED_TABLE, _SYMBOL_TABLE, _K_VALUES, _FILE_SPACE, _CACHE_IMAGE = (
    0x0A,
    0x0F,
    0x11,
    0x13,
    0x17,
    0x18,
)


def walk_file(walk: Walk, policy: Hdf5Policy) -> Hdf5File:
    """Claim every byte and return what was found. Raises `FormatError` where there is no superblock."""
    superblock, roots, data = read_superblock(walk.source)
    fetch_ahead(walk.source, superblock, roots)
    state = State(walk, policy, superblock)
    claim_superblock(state, superblock, roots, data)
    if superblock.end_of_file > walk.source.size:
        missing = superblock.end_of_file - walk.source.size
        problem = f"the file is truncated: {missing:,} byte{'' if missing == 1 else 's'} missing at its end"
        state.survive(TruncatedError(problem, state.name, walk.source.size))
    walker = _Walker(state, roots)
    walker.extension()
    walker.objects()
    walker.committed_alone()
    walker.shared.finish()
    state.verify_pending()
    pointers = walker.heap_data()
    file = walker.file(superblock)
    policy.survey(file)
    for dataset, found in zip(file.datasets, pointers, strict=True):
        walker.reader.claim_data(dataset, policy.dataset(dataset), found)
    trailing = walk.source.size - state.end
    if trailing > 0:
        state.totals.trailing = trailing
        walk.claims.claim(state.end, trailing, FREE, walk.claims.path("trailing bytes"))
    walker.heaps.finish()
    state.finish()
    return replace(file, complete=state.complete)


@dataclass(slots=True)
class _Found:
    """An object that was met: what it is, and its other paths."""

    path: str
    aliases: list[str] = field(default_factory=list)


class _Walker:
    """The objects of one file."""

    def __init__(self, state: State, roots: Roots) -> None:
        self.state = state
        self.roots = roots
        self.heaps = GlobalHeaps(state)
        self.shared = SharedMessages(state)
        self.messages = MessageReader(state, self.heaps, self.shared)
        self.messages.committed = self._committed_datatype
        self.members = ObjectMembers(state, self.messages, roots)
        self.reader = DatasetReader(state, self.messages, roots)
        self.groups: list[Group] = []
        self.datasets: list[Dataset] = []
        self.datatypes: list[CommittedDatatype] = []
        self.links: list[Link] = []
        self._found: dict[int, _Found] = {}
        self._types: dict[int, Datatype | FormatError] = {}

    def extension(self) -> None:
        """Walk the superblock extension, which may change the K values, before anything that depends on
        them.
        """
        if self.roots.extension is not None:
            self.state.guard(self._extension, self.roots.extension)

    def _extension(self, address: int) -> None:
        state = self.state
        header = read_header(state, address, state.claims.path("superblock extension"))
        state.totals.superblock_extension += header.size
        for message in header.messages:
            cursor = Cursor(message.body, state.name, message.offset, "message of the superblock extension")
            match message.kind:
                case 0x0F:
                    self._known(header, message)
                    if state.guard(self._version, cursor, 0) is not None:
                        state.guard(self._shared_table, cursor)
                case 0x13:
                    self._known(header, message)
                    state.guard(self._k_values, cursor)
                case 0x17:
                    self._known(header, message)
                    state.guard(self._file_space, cursor)
                case 0x18:
                    self._known(header, message)
                    state.guard(self._cache_image, cursor)
                case 0x14:
                    self._known(header, message)
                case _:
                    self._other(header, message)

    def _version(self, cursor: Cursor, version: int) -> bool:
        found = cursor.u8()
        if found != version:
            raise self.state.unsupported(
                f"version {found} of a message of the superblock extension is not read here", cursor.base
            )
        return True

    def _shared_table(self, cursor: Cursor) -> None:
        address = self.state.address(cursor)
        self.shared.read(address, cursor.u8())

    def _k_values(self, cursor: Cursor) -> None:
        self._version(cursor, 0)
        chunk, internal, leaf = cursor.u16(), cursor.u16(), cursor.u16()
        if not chunk or not internal or not leaf:
            raise cursor.error("a K value is 0")
        self.roots = replace(self.roots, chunk_k=chunk, group_internal_k=internal, group_leaf_k=leaf)
        self.members.roots = self.reader.roots = self.roots

    def _file_space(self, cursor: Cursor) -> None:
        state = self.state
        version = cursor.u8()
        if version == 0:
            size = 2 + state.length_size + (6 * state.offset_size if cursor.data[1:2] == b"\1" else 0)
            if not size <= cursor.end < size + 8:
                version = 1  # development versions of HDF5 1.10 wrote the later layout under the old number
        if version == 0:
            persist = cursor.u8() == 1
            cursor.skip(state.length_size)
        elif version == 1:
            cursor.skip(1)
            persist = cursor.u8() == 1
            cursor.skip(2 * state.length_size + 2 + state.offset_size)
        else:
            raise state.unsupported(f"file space info version {version} is not read here", cursor.base)
        path = state.claims.path("free-space manager")
        while persist and cursor.left >= state.offset_size:
            address = state.address(cursor)
            if address not in (state.undefined, 0):
                state.totals.free_space_headers += state.guard(claim_free_space, state, address, path) or 0

    def _cache_image(self, cursor: Cursor) -> None:
        state = self.state
        self._version(cursor, 0)
        address, size = state.address(cursor), state.length(cursor)
        if address != state.undefined and size:
            apply_cache_image(state, address, size)

    def objects(self) -> None:
        """Walk every object that hard links lead to, from the root group on."""
        state = self.state
        pending = [("/", self.roots.root_header)]
        while pending:
            path, address = pending.pop()
            known = self._found.get(address)
            if known is not None:
                known.aliases.append(path)
                continue
            self._found[address] = _Found(path)
            try:
                pending += reversed(self._object(path, address))
            except FormatError as error:
                state.survive(FormatError(f"{path}: {error.problem}", error.member, error.offset, error.code))

    def _object(self, path: str, address: int) -> list[tuple[str, int]]:
        state = self.state
        state.count_object(state.base + address)
        state.spend(len(path), state.base + address)
        node = state.paths.add(state.claims.root, path)
        header = read_header(state, address, node)
        kinds = {message.kind for message in header.messages}
        totals = state.totals
        if _DATATYPE in kinds and _DATASPACE in kinds:
            totals.dataset_headers += header.size
            totals.dataset_headers_unused += header.unused
            attributes, rest = self.members.attributes(header, path, node)
            dataset = self.reader.read(header, rest, path, node, attributes)
            for message in self.reader.others:
                self._other(header, message)
            if dataset is not None:
                self.datasets.append(dataset)
            return []
        if _DATATYPE in kinds and not kinds & {_SYMBOL_TABLE, _LINK_INFO}:
            totals.datatype_headers += header.size
            totals.datatype_headers_unused += header.unused
            self._committed(header, path, node)
            return []
        totals.group_headers += header.size
        totals.group_headers_unused += header.unused
        if header.ok and not kinds & {_SYMBOL_TABLE, _LINK_INFO, _LINK, _GROUP_INFO}:
            state.survive(
                state.unsupported(f"{path} is an object of a kind that is not read here", header.offset)
            )
        attributes, rest = self.members.attributes(header, path, node)
        found = self.members.links(header, rest, path, node)
        for message in found.others:
            self._other(header, message)
        self.groups.append(Group(path, header.offset, attributes))
        self.links += found.links
        return found.objects

    def _committed(self, header: Header, path: str, node: PathId) -> None:
        attributes, rest = self.members.attributes(header, path, node)
        datatype: Datatype | None = None
        for message in rest:
            if message.kind == _DATATYPE:
                found = self.state.guard(self.messages.datatype, message.flags, message.body, message.offset)
                self.members.claim_used(header, message, found[1] if found is not None else len(message.body))
                datatype = found[0] if found is not None else None
            else:
                self._other(header, message)
        self.datatypes.append(CommittedDatatype(path, header.offset, datatype, attributes))

    def _committed_datatype(self, address: int) -> Datatype:
        """Return the datatype of an object that may not have been met yet; it is claimed when it is.

        Raises `FormatError`.
        """
        known = self._types.get(address)
        if known is None:
            try:
                known = self._peek_datatype(address)
            except FormatError as error:
                known = error
            self._types[address] = known
        if isinstance(known, FormatError):
            raise known
        return known

    def _peek_datatype(self, address: int) -> Datatype:
        state = self.state
        claim, state.claim = state.claim, _claim_nothing
        pending, state.verify_off = state.verify_off, True
        try:
            header = read_header(state, address, state.claims.root)
        finally:
            state.claim, state.verify_off = claim, pending
        for message in header.messages:
            if message.kind == _DATATYPE and not message.flags & SHARED:
                return self.messages.datatype(0, message.body, message.offset)[0]
        raise state.error("the header of a committed datatype has no datatype message", header.offset)

    def committed_alone(self) -> None:
        """Walk the committed datatypes that no link leads to."""
        for address in sorted(self._types):
            if address not in self._found and not isinstance(self._types[address], FormatError):
                path = f"committed datatype {address:#x}"
                self._found[address] = _Found(path)
                try:
                    self._object(path, address)
                except FormatError as error:
                    self.state.survive(error)

    def _known(self, header: Header, message: Message) -> None:
        self.members.claim_used(header, message, len(message.body))

    def _other(self, header: Header, message: Message) -> None:
        """Claim a message that needs no reading; report one whose type is not known."""
        state = self.state
        if message.kind >= len(MESSAGE_LABELS):
            self.members.claim_used(header, message, len(message.body))
            state.survive(
                state.unsupported(
                    f"object header message type {message.kind:#06x} is not read here", message.head
                )
            )
        else:
            self.members.claim_plain(header, message)

    def heap_data(self) -> list[tuple[tuple[int, int], ...]]:
        """Find the global heap objects that each dataset leads to."""
        pointers: list[tuple[tuple[int, int], ...]] = []
        for number, dataset in enumerate(self.datasets):
            found = self.state.guard(self.reader.heap_spans, dataset) or ()
            spans: dict[tuple[int, int], Span] = {}
            for pointer in found:
                span = self.state.guard(self.heaps.object_span, *pointer)
                if span is not None:
                    spans[pointer] = span
            pointers.append(tuple(spans))
            if spans:
                self.datasets[number] = replace(dataset, heap_spans=tuple(spans.values()))
        return pointers

    def file(self, superblock: Superblock) -> Hdf5File:
        """Return all that was found, each object with its other paths."""
        aliases = {found.path: tuple(found.aliases) for found in self._found.values() if found.aliases}
        groups, datasets, datatypes = tuple(self.groups), tuple(self.datasets), tuple(self.datatypes)
        if aliases:
            groups = tuple(replace(one, aliases=aliases.get(one.path, ())) for one in groups)
            datasets = tuple(replace(one, aliases=aliases.get(one.path, ())) for one in datasets)
            datatypes = tuple(replace(one, aliases=aliases.get(one.path, ())) for one in datatypes)
        return Hdf5File(
            superblock, groups, datasets, datatypes, tuple(self.links), self.state.totals, self.state.complete
        )


def _claim_nothing(*_arguments: object) -> None:
    """Take the place of a claim where bytes are only looked at."""
