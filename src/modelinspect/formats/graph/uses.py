"""Say which constants of a graph are weights, by the nodes that read them.

A frozen graph stores weights, statistics, shapes and axes alike, as constants. What one is for shows where it
is read: a kernel by a multiplication, the statistics of a batch normalization by ``FusedBatchNorm`` or by the
nodes that replace it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.formats.base import Parsing
from modelinspect.formats.node_names import VARIABLE_ROLES, layer_of_node, variable_of_node

_WEIGHTS: dict[bytes, tuple[int, ...]] = {
    b"MatMul": (0, 1),
    b"BatchMatMul": (0, 1),
    b"BatchMatMulV2": (0, 1),
    b"BatchMatMulV3": (0, 1),
    b"SparseMatMul": (0, 1),
    b"_FusedMatMul": (1, 2, 3, 4),
    b"QuantizedMatMul": (1,),
    b"Conv2D": (1,),
    b"Conv3D": (1,),
    b"DepthwiseConv2dNative": (1,),
    b"_FusedConv2D": (1, 2, 3, 4),
    b"_FusedDepthwiseConv2dNative": (1, 2, 3, 4),
    b"QuantizedConv2D": (1,),
    b"Conv2DBackpropInput": (1,),
    b"Conv3DBackpropInputV2": (1,),
    b"Dilation2D": (1,),
    b"BiasAdd": (1,),
    b"BiasAddV1": (1,),
    b"Einsum": (0, 1),
    b"FusedBatchNorm": (1, 2),
    b"FusedBatchNormV2": (1, 2),
    b"FusedBatchNormV3": (1, 2),
    b"_FusedBatchNormEx": (1, 2),
    b"Gather": (0,),
    b"GatherV2": (0,),
    b"GatherNd": (0,),
    b"Prelu": (1,),
    b"LSTMBlockCell": (3, 4, 5, 6, 7),
    b"BlockLSTM": (4, 5, 6, 7, 8),
    b"BlockLSTMV2": (4, 5, 6, 7, 8),
    b"GRUBlockCell": (2, 3, 4, 5),
}
"""The inputs that are weights where they are constant (tensorflow/core/ops)."""
_STATISTICS = dict.fromkeys(
    (b"FusedBatchNorm", b"FusedBatchNormV2", b"FusedBatchNormV3", b"_FusedBatchNormEx"), (3, 4)
)
_PASSED_ON = frozenset(
    b"Identity Cast Dequantize Enter Reshape Transpose ExpandDims Squeeze Bitcast FakeQuantWithMinMaxVars "
    b"FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantizeV2 QuantizeAndDequantizeV4".split()
)
"""Operations whose output is a weight where their first input is."""
_ARITHMETIC = frozenset((b"Add", b"AddV2", b"Sub", b"Mul", b"Rsqrt"))
_MULTIPLIED = frozenset(_WEIGHTS) - frozenset(b"BiasAdd BiasAddV1 Gather GatherV2 GatherNd Prelu".split())
"""Operations that multiply by weights: a vector that is added to what they give is a bias."""
_SUMS = frozenset((b"Add", b"AddV2"))
_JOINED = frozenset((b"ConcatV2", b"Pack"))
"""Operations whose output is a weight where their inputs are: the parts of a partitioned variable."""
_PRODUCT = b"Mul"
"""Multiplies a kernel by its pruning mask, which is the second input."""
NORMALIZATION = b"batchnorm/"
"""The scope of ``tf.nn.batch_normalization``, which is made of arithmetic."""
_MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Use:
    """What a constant is for."""

    role: Role
    layer: str | None


class GraphUses:
    """The nodes of a graph that read weights, pass them on, join or add them, or normalize with them."""

    __slots__ = ("_arithmetic", "_joins", "_passers", "_products", "_readers", "_sums")

    def __init__(self) -> None:
        self._readers: list[tuple[bytes, bytes, tuple[bytes, ...]]] = []
        self._passers: dict[bytes, bytes] = {}
        self._products: dict[bytes, bytes] = {}
        self._arithmetic: dict[bytes, tuple[bytes, tuple[bytes, ...]]] = {}
        self._sums: dict[bytes, tuple[bytes, ...]] = {}
        self._joins: dict[bytes, tuple[bytes, ...]] = {}

    @staticmethod
    def wants(op: bytes, name: bytes) -> bool:
        """Return whether a node of that operation and name says what a constant is for."""
        return (
            op in _WEIGHTS
            or op in _PASSED_ON
            or op in _SUMS
            or op in _JOINED
            or op == _PRODUCT
            or (op in _ARITHMETIC and NORMALIZATION in name)
        )

    def add(self, name: bytes, op: bytes, inputs: Iterable[bytes], scope: bytes = b"") -> None:
        """Keep a node if it says what a constant is for; ``scope`` is the name of its function and a
        slash.
        """
        if not self.wants(op, name):
            return
        read = tuple(scope + each.partition(b":")[0] for each in inputs if not each.startswith(b"^"))
        if op in _WEIGHTS:
            self._readers.append((scope + name, op, read))
        elif op in _PASSED_ON:
            if read:
                self._passers[scope + name] = read[0]
        elif op in _JOINED:
            self._joins[scope + name] = read
        elif NORMALIZATION in name:
            self._arithmetic[scope + name] = op, read
        elif op in _SUMS:
            self._sums[scope + name] = read
        elif read:
            self._products[scope + name] = read[0]

    def roles(self, constants: Mapping[str, Tensor]) -> dict[str, Use]:
        """Return what constants are for, by name; those that are only constants have the role
        ``constant``.
        """
        found: dict[str, Use] = {}
        for name, op, inputs in self._readers:
            layer = layer_of_node(name.decode(errors="replace"))
            for places, role in ((_WEIGHTS[op], Role.WEIGHT), (_STATISTICS.get(op, ()), Role.STATISTIC)):
                for place in places:
                    if place < len(inputs):
                        self._mark(self._origin(inputs[place]), role, layer, constants, found)
        for node, role in self._normalizations():
            layer = layer_of_node(node.decode(errors="replace"))
            self._mark(self._origin(node), role, layer, constants, found)
        for node, added in self._biases():
            layer = layer_of_node(node.decode(errors="replace"))
            self._mark(added, Role.WEIGHT, layer, constants, found)
        rest = [constant for constant in constants if constant not in found]
        for constant in rest:
            named = VARIABLE_ROLES.get(variable_of_node(constant))
            if named is not None and _may_be_weight(constants[constant]):
                found[constant] = Use(named, layer_of_node(constant))
        layers = {use.layer for use in found.values()}
        for constant in rest:
            if (
                constant not in found
            ):  # a scope without weights is not a layer: saving and restoring have scopes too
                layer = layer_of_node(constant)
                found[constant] = Use(Role.CONSTANT, layer if layer in layers else None)
        return found

    def _biases(self) -> Iterable[tuple[bytes, bytes]]:
        """Yield what is added to a multiplication by weights, or to a sum of such, with the node that adds
        it.
        """
        multiplied = {name for name, op, _ in self._readers if op in _MULTIPLIED}
        waiting = {name: {self._origin(each) for each in read} for name, read in self._sums.items()}
        for _ in range(_MOST_STEPS):
            sums = [name for name, read in waiting.items() if read <= multiplied]
            if not sums:
                break
            multiplied.update(sums)
            for name in sums:
                del waiting[name]
        for name, read in waiting.items():
            if not multiplied.isdisjoint(read):
                yield from ((name, each) for each in read - multiplied)

    def _origin(self, name: bytes) -> bytes:
        """Return the node whose output reaches an input through nodes that only convert or move it, or prune
        it with a mask.
        """
        for _ in range(_MOST_STEPS):
            before = self._passers.get(name) or self._products.get(name)
            if before is None:
                break
            name = before
        return name

    def _mark(
        self,
        node: bytes,
        role: Role,
        layer: str | None,
        constants: Mapping[str, Tensor],
        found: dict[str, Use],
    ) -> None:
        for part in self._joins.get(node, ()):
            self._mark_one(self._origin(part), role, layer, constants, found)
        self._mark_one(node, role, layer, constants, found)

    @staticmethod
    def _mark_one(
        node: bytes,
        role: Role,
        layer: str | None,
        constants: Mapping[str, Tensor],
        found: dict[str, Use],
    ) -> None:
        name = node.decode(errors="replace")
        tensor = constants.get(name)
        if tensor is not None and name not in found and _may_be_weight(tensor):
            own = layer_of_node(name)
            found[name] = Use(VARIABLE_ROLES.get(variable_of_node(name), role), own or layer)

    def _normalizations(self) -> Iterable[tuple[bytes, Role]]:
        """Yield the inputs of a normalization that arithmetic does: ``x * (gamma * rsqrt(variance + e)) +
        (beta - mean * ...)``.
        """
        roots = {name: inputs for name, (op, inputs) in self._arithmetic.items() if op == b"Rsqrt"}
        for inputs in roots.values():
            for each in inputs:
                yield from ((other, Role.STATISTIC) for other in self._arithmetic.get(each, (b"", ()))[1])
        factors = {
            name: inputs
            for name, (op, inputs) in self._arithmetic.items()
            if op == b"Mul" and any(each in roots for each in inputs)
        }
        for inputs in factors.values():
            yield from ((each, Role.WEIGHT) for each in inputs)
        scaled = {*roots, *factors}
        means = {
            name
            for name, (op, inputs) in self._arithmetic.items()
            if op == b"Mul" and not scaled.isdisjoint(inputs)
        } - set(factors)
        for name in means:
            yield from ((each, Role.STATISTIC) for each in self._arithmetic[name][1])
        for op, inputs in self._arithmetic.values():
            if op == b"Sub" and not means.isdisjoint(inputs):
                yield from ((each, Role.WEIGHT) for each in inputs)


def assign_roles(parsing: Parsing, uses: GraphUses, first: int) -> None:
    """Give the constants that were added from number ``first`` on their roles and layers."""
    constants = {
        tensor.path: (number, tensor)
        for number, tensor in parsing.tensors_from(first)
        if tensor.role is Role.CONSTANT
    }
    roles = uses.roles({name: tensor for name, (_, tensor) in constants.items()})
    for name, (number, tensor) in constants.items():
        use = roles[name]
        if use.role is not tensor.role or use.layer != tensor.layer:
            parsing.replace_tensor(number, replace(tensor, role=use.role, layer=use.layer))


def _may_be_weight(tensor: Tensor) -> bool:
    """Return whether a constant's type is one of weights: floats, or integers of at most 16 bits that
    quantize them.
    """
    if tensor.dtype.kind is ElementKind.FLOAT:
        return tensor.element_count > 1
    return (
        tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT)
        and tensor.dtype.bits <= 16
        and tensor.element_count > 1
    )
