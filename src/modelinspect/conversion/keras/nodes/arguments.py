"""The arguments of functions of tensors, as the configurations of Keras 2 and Keras 3 store them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from modelinspect.conversion.keras.call import UnknownLayerError
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import Value

Argument = object
"""A tensor, a number, a word, a slice, or a list of these."""
_TENSOR, _SLICE, _ELLIPSIS = "__keras_tensor__", "__slice__", "__ellipsis__"
_ARRAY = "__numpy__"
_NO_TENSOR = "_CONSTANT_VALUE"
_MOST_NESTING = 8


class Arguments:
    """What a function is called with: tensors, numbers, lists and slices, by name and in order."""

    def __init__(self, positional: Sequence[Argument], named: Mapping[str, Argument]) -> None:
        self._positional = list(positional)
        self._named = dict(named)

    def get(self, place: int, *names: str, default: Argument = None) -> Argument:
        """Return an argument by its place or its name."""
        if place < len(self._positional):
            return self._positional[place]
        return next((self._named[name] for name in names if name in self._named), default)

    def tensor(self, place: int, *names: str) -> Value:
        """Return an argument that is a tensor. Raises `UnknownLayerError`."""
        found = self.get(place, *names)
        if not isinstance(found, Value):
            raise UnknownLayerError("of constants only")
        return found

    def integers(self, place: int, *names: str) -> list[int] | None:
        """Return an argument that is one whole number or several, None where it is not given."""
        found = self.get(place, *names)
        if found is None:
            return None
        many = found if isinstance(found, list | tuple) else [found]
        numbers = [each for each in many if isinstance(each, int) and not isinstance(each, bool)]
        if len(numbers) != len(many):
            raise UnknownLayerError("of other settings")
        return numbers


def arguments_of(t: Trace) -> Arguments:
    """Return the arguments of a call, with the settings of the function among those that have a name."""
    values = iter(t.call.inputs)
    node, settings = t.call.node, dict(t.call.settings) if t.is_keras3 else {}
    if isinstance(node, Mapping):
        positional, named = node.get("args"), node.get("kwargs")
        first = _parsed(positional, values, 0)
        rest = _parsed(named, values, 0)
    else:
        first, rest = _of_keras2(node, values)
    if not isinstance(first, list) or not isinstance(rest, Mapping):
        raise UnknownLayerError("of other arguments")
    return Arguments(first, {**settings, **rest})


def _parsed(item: object, values: Iterator[Value], depth: int) -> Argument:
    """Return an argument of Keras 3 with its tensors in place of their references."""
    if depth > _MOST_NESTING:
        raise UnknownLayerError("of other arguments")
    if isinstance(item, list | tuple):
        return [_parsed(each, values, depth + 1) for each in item]
    if not isinstance(item, Mapping):
        return item
    name = item.get("class_name")
    if name == _TENSOR:
        return _next(values)
    if name == _ELLIPSIS:
        return Ellipsis
    if name == _ARRAY:
        config = item.get("config")
        if not isinstance(config, Mapping) or config.get("dtype") != "float32":
            raise UnknownLayerError("of an array of another type")
        return config.get("value")
    if name == _SLICE:
        config = item.get("config")
        bounds = [config.get(key) for key in ("start", "stop", "step")] if isinstance(config, Mapping) else []
        return _sliced(bounds)
    if isinstance(name, str):
        raise UnknownLayerError("of other arguments")
    return {str(key): _parsed(each, values, depth + 1) for key, each in item.items()}


def _next(values: Iterator[Value]) -> Value:
    found = next(values, None)
    if found is None:
        raise UnknownLayerError("of other arguments")
    return found


def _sliced(bounds: Sequence[object]) -> slice:
    numbers = [bound if isinstance(bound, int) else None for bound in bounds]
    if len(numbers) != 3 or any(
        number is None and bound is not None for number, bound in zip(numbers, bounds, strict=True)
    ):
        raise UnknownLayerError("of other arguments")
    return slice(*numbers)


def _of_keras2(node: object, values: Iterator[Value]) -> tuple[Argument, Argument]:
    """Return the first argument and those with names of a call in Keras 2.

    It is ["name", 0, 0, {...}], or a list of these.
    """
    whole = node[0] if isinstance(node, list) and len(node) == 1 else node
    if not isinstance(whole, list) or not whole:
        raise UnknownLayerError("of other arguments")
    if isinstance(whole[0], list):
        many = [_referred(each, values) for each in whole]
        last = whole[-1]
        named = last[3] if isinstance(last, list) and len(last) > 3 else {}
        return [many], named
    first = _referred(whole, values)
    named = whole[3] if len(whole) > 3 and isinstance(whole[3], Mapping) else {}
    return [first], {str(name): _within(item, values, 0) for name, item in named.items()}


def _referred(item: object, values: Iterator[Value]) -> Argument:
    if not isinstance(item, list) or len(item) < 3:
        raise UnknownLayerError("of other arguments")
    return item[2] if item[0] == _NO_TENSOR else _next(values)


def _within(item: object, values: Iterator[Value], depth: int) -> Argument:
    """Return an argument of Keras 2 with its tensors in place of their references."""
    if depth > _MOST_NESTING:
        raise UnknownLayerError("of other arguments")
    if isinstance(item, Mapping):
        if item.get("class_name") == _ELLIPSIS:
            return Ellipsis
        if set(item) == {"start", "stop", "step"}:
            return _sliced([item["start"], item["stop"], item["step"]])
        raise UnknownLayerError("of other arguments")
    if not isinstance(item, list):
        return item
    if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int) and isinstance(item[2], int):
        return _next(values)
    return [_within(each, values, depth + 1) for each in item]
