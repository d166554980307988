"""Read what object headers of any kind hold: attributes and links, in the header or dense (fractal heap and
v2 B-tree).
"""

from __future__ import annotations

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.attributes import MessageReader
from modelinspect.encodings.hdf5.btree2 import BTree2
from modelinspect.encodings.hdf5.fractal import FractalHeap, HeapObject
from modelinspect.encodings.hdf5.headers import SHARED, Header, Message
from modelinspect.encodings.hdf5.messages import (
    MESSAGE_LABELS,
    DenseInfo,
    LinkMessage,
    read_attribute_info,
    read_link,
    read_link_info,
    skip_group_info,
)
from modelinspect.encodings.hdf5.model import Attribute, Link, LinkKind
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, METADATA, State
from modelinspect.encodings.hdf5.superblock import Roots
from modelinspect.encodings.hdf5.symbols import (
    LocalHeap,
    SymbolTable,
    finish_local_heap,
    local_heap_header_size,
    read_local_heap,
)
from modelinspect.errors import Code, FormatError

_LINK_INFO, _LINK, _GROUP_INFO, _ATTRIBUTE, _SYMBOL_TABLE, _ATTRIBUTE_INFO = (
    0x02,
    0x06,
    0x0A,
    0x0C,
    0x11,
    0x15,
)
_COMMENT, _REFERENCE_COUNT = 0x0D, 0x16
_USED = {0x09: 4, 0x0E: 14, 0x12: 8, 0x16: 5}
"""Bytes of the messages whose size is fixed; the rest is padding."""


@dataclass(slots=True)
class Members:
    """What a group holds: its objects by path and address, its other links, and the header's messages of
    other kinds.
    """

    objects: list[tuple[str, int]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    others: list[Message] = field(default_factory=list)


class ObjectMembers:
    """Reads and claims attributes and links."""

    __slots__ = ("messages", "roots", "state")

    def __init__(self, state: State, messages: MessageReader, roots: Roots) -> None:
        self.state = state
        self.messages = messages
        self.roots = roots

    def claim_used(self, header: Header, message: Message, used: int) -> PathId:
        """Claim a message of whose body the first ``used`` bytes say something."""
        state = self.state
        path = state.paths.add(header.path, _label(message.kind))
        state.claim(message.head, message.offset - message.head + used, CONTAINER, path)
        if used < len(message.body):
            state.claim(message.offset + used, len(message.body) - used, FREE, path)
        return path

    def claim_plain(self, header: Header, message: Message) -> None:
        """Claim a message that needs no reading here."""
        size = len(message.body)
        if message.kind == _COMMENT and not message.flags & SHARED:
            end = message.body.find(b"\0") + 1 or size
            path = self.claim_used(header, Message(message.kind, 0, message.head, message.offset, b""), 0)
            self.state.claim(message.offset, end, METADATA, path)
            self.state.claim(message.offset + end, size - end, FREE, path)
            return
        used = size
        if message.kind == _REFERENCE_COUNT and header.version == 1:
            self.state.survive(
                self.state.error("a version 1 object header has a reference count message", message.head)
            )
        if message.kind == _GROUP_INFO:
            cursor = Cursor(message.body, self.state.name, message.offset, "group info message")
            self.state.guard(skip_group_info, cursor)
            used = cursor.index
        elif not message.flags & SHARED:
            used = min(_USED.get(message.kind, size), size)
        self.claim_used(header, message, used)

    def attributes(
        self, header: Header, path: str, node: PathId
    ) -> tuple[dict[str, Attribute], list[Message]]:
        """Read and claim an object's attributes; return them and the messages of other kinds."""
        found: dict[str, Attribute] = {}
        rest: list[Message] = []
        for message in header.messages:
            if message.kind == _ATTRIBUTE:
                place = self.state.paths.add(header.path, MESSAGE_LABELS[_ATTRIBUTE])
                try:
                    attribute = self.messages.attribute_message(message, path, place)
                    self._keep(found, attribute, path)
                except FormatError as error:
                    self.state.survive(error)
            elif message.kind == _ATTRIBUTE_INFO:
                self.state.guard(self._dense_attributes, header, message, path, node, found)
            else:
                rest.append(message)
        return found, rest

    def _keep(self, found: dict[str, Attribute], attribute: Attribute, path: str) -> None:
        """Keep an attribute; of two that share a name, the HDF5 library finds the first.

        The others stay, by their own names.
        """
        name, count = attribute.name, 1
        while name in found:
            count += 1
            name = f"{attribute.name} ({count})"
        if count > 1:
            problem = f"{path} has {count} attributes {attribute.name}; the HDF5 library reads the first"
            self.state.walk.report(self.state.error(problem, attribute.span.offset or None, Code.AMBIGUOUS))
        found[name] = attribute

    def _dense_attributes(
        self, header: Header, message: Message, path: str, node: PathId, found: dict[str, Attribute]
    ) -> None:
        state = self.state
        cursor = Cursor(message.body, state.name, message.offset, "attribute info message")
        info = read_attribute_info(cursor, state.offset_size)
        self.claim_used(header, message, cursor.index)
        if info.heap is None:
            return
        place = state.paths.child(node, "dense attributes")
        heap = FractalHeap(state, info.heap, state.paths.child(place, "fractal heap"))
        for record in self._records(info, (8, 9), place, heap, attributes=True):
            try:
                if record[8] & SHARED:
                    attribute = self.messages.shared_attribute(record[:8], path, place)
                else:
                    thing = heap.get(record[:8])
                    attribute = self.messages.attribute(thing.data, thing.offset, thing.offset, path, place)
                self._keep(found, attribute, path)
            except FormatError as error:
                heap.ok = False
                state.survive(error)
        heap.finish()
        state.totals.attribute_heaps += heap.stored_size

    def _records(
        self, info: DenseInfo, kinds: tuple[int, int], place: PathId, heap: FractalHeap, *, attributes: bool
    ) -> list[bytes]:
        """Return the records of the name index; claim both indexes."""
        state = self.state
        records: list[bytes] = []
        size = 0
        for number, address in enumerate((info.name_index, info.order_index)):
            if address is None:
                continue
            label = "creation order index" if number else "name index"
            tree = state.guard(
                BTree2, state, address, (kinds[number],), state.paths.child(place, f"v2 B-tree, {label}")
            )
            if tree is None:
                heap.ok = False
                continue
            for node in tree.nodes():
                if number == 0:
                    records += node.each()
            size += tree.stored_size
        if attributes:
            state.totals.attribute_btrees += size
        else:
            state.totals.group_btrees += size
        return records

    def links(self, header: Header, rest: list[Message], path: str, node: PathId) -> Members:
        """Read and claim a group's links."""
        found = Members()
        for message in rest:
            match message.kind:
                case 0x06:
                    self.state.guard(self._link_message, header, message, path, found)
                case 0x02:
                    self.state.guard(self._dense_links, header, message, path, node, found)
                case 0x11:
                    self.state.guard(self._symbol_table, header, message, path, node, found)
                case _:
                    found.others.append(message)
        found.objects.sort()
        return found

    def _link_message(self, header: Header, message: Message, path: str, found: Members) -> None:
        state = self.state
        cursor = Cursor(message.body, state.name, message.offset, "link message")
        link = read_link(cursor, state.offset_size)
        place = state.paths.add(header.path, MESSAGE_LABELS[_LINK])
        self._claim_link(link, message.head, message.offset, cursor.index, len(message.body), place)
        self._add(link, path, found, message.offset)

    def _claim_link(
        self, link: LinkMessage, head: int, offset: int, used: int, size: int, place: PathId
    ) -> None:
        claim, state = self.state.claim, self.state
        own = state.paths.add(place, link.name)
        name_at, name_end = offset + link.name_offset, offset + link.name_offset + link.name_size
        claim(head, name_at - head, CONTAINER, own)
        claim(name_at, link.name_size, METADATA, state.paths.add(own, "name"))
        target = len(link.value)
        claim(name_end, offset + used - target - name_end, CONTAINER, own)
        claim(offset + used - target, target, METADATA, own)
        claim(offset + used, size - used, FREE, own)

    def _add(self, link: LinkMessage, path: str, found: Members, offset: int) -> None:
        full = _join(path, link.name)
        self.state.spend(len(full), offset)
        if link.kind == 0:
            if link.address is None:
                raise self.state.error(f"the hard link {full} has no address", offset)
            found.objects.append((full, link.address))
        elif link.kind == 1:
            found.links.append(Link(full, LinkKind.SOFT, text(link.value)))
        elif link.kind == 64:
            parts = link.value[1:].split(b"\0")
            found.links.append(
                Link(full, LinkKind.EXTERNAL, text(parts[1]) if len(parts) > 1 else "", text(parts[0]))
            )
        else:
            found.links.append(Link(full, LinkKind.USER, text(link.value)))

    def _dense_links(self, header: Header, message: Message, path: str, node: PathId, found: Members) -> None:
        state = self.state
        cursor = Cursor(message.body, state.name, message.offset, "link info message")
        info = read_link_info(cursor, state.offset_size)
        self.claim_used(header, message, cursor.index)
        if info.heap is None:
            return
        place = state.paths.child(node, "dense links")
        heap = FractalHeap(state, info.heap, state.paths.child(place, "fractal heap"))
        links: list[tuple[LinkMessage, HeapObject]] = []
        for record in self._records(info, (5, 6), place, heap, attributes=False):
            thing = state.guard(heap.get, record[4:])
            link = None
            if thing is not None:
                inner = Cursor(thing.data, state.name, thing.offset or 0, "link message")
                link = state.guard(read_link, inner, state.offset_size)
                if link is not None and thing.offset is not None:
                    self._claim_link(link, thing.offset, thing.offset, inner.index, len(thing.data), place)
            if thing is None or link is None:
                heap.ok = False
            else:
                links.append((link, thing))
        for link, thing in sorted(links, key=lambda pair: pair[0].name):
            state.guard(self._add, link, path, found, thing.offset or 0)
        heap.finish()
        state.totals.group_heaps += heap.stored_size

    def _symbol_table(
        self, header: Header, message: Message, path: str, node: PathId, found: Members
    ) -> None:
        state = self.state
        cursor = Cursor(message.body, state.name, message.offset, "symbol table message")
        tree, heap_address = state.address(cursor), state.address(cursor)
        self.claim_used(header, message, cursor.index)
        heap: LocalHeap = read_local_heap(state, heap_address, state.paths.add(node, "local heap"))
        state.totals.group_heaps += local_heap_header_size(state) + len(heap.data)
        table = SymbolTable(state, self.roots.group_leaf_k, self.roots.group_internal_k, heap, node)
        for entry in table.walk(tree):
            full = _join(path, entry.name)
            state.spend(len(full), heap.offset)
            if entry.target is None:
                found.objects.append((full, entry.address))
            else:
                found.links.append(Link(full, LinkKind.SOFT, text(entry.target)))
        finish_local_heap(state, heap)


def _join(path: str, name: str) -> str:
    return f"/{name}" if path == "/" else f"{path}/{name}"


def _label(kind: int) -> str:
    return MESSAGE_LABELS[kind] if kind < len(MESSAGE_LABELS) else f"message {kind:#06x}"
