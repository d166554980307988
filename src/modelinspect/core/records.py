"""Dataclasses that are cheap to declare: each method is made when it is first used.

The `dataclass` of the standard library compiles the text of five to seven methods for each class at import. A
command imports about two hundred classes and uses some of them: compiling took a quarter of the time of a
small inspection. Here a class declares its slots at once, and the standard library makes `__init__`,
`__eq__`, `__hash__` and `__repr__` on first access. The result behaves as its dataclass does;
`dataclasses.fields`, `replace`, `asdict`, `copy` and `pickle` work on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field as field
from dataclasses import fields as fields
from dataclasses import replace as replace
from inspect import get_annotations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        slots: bool = False,
        eq: bool = True,
        order: bool = False,
        kw_only: bool = False,
    ) -> Any:
        """Make a dataclass.

        What has no slots, is ordered, takes keywords only or has class variables is one of the standard
        library.
        """

        def decorate(plain: type) -> type:
            if not slots or order or kw_only or _is_special(plain):
                return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, order=order, kw_only=kw_only)(
                    plain
                )
            return _declare(plain, frozen, eq)

        return decorate if cls is None else decorate(cls)


class _Pending:
    """An attribute of a class that is made when something first asks for it, and then takes its own place."""

    __slots__ = ("make", "name", "owner")

    def __init__(self, owner: type, name: str, make: Callable[[type], Any]) -> None:
        self.owner = owner
        self.name = name
        self.make = make

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        made = self.make(self.owner)
        setattr(self.owner, self.name, made)
        bind = getattr(type(made), "__get__", None)
        return made if instance is None or bind is None else bind(made, instance, owner)


class _Plan:
    """What the methods of a class are made from: its fields in order, and whether values can be assigned."""

    __slots__ = ("annotations", "defaults", "frozen")

    def __init__(self, annotations: dict[str, str], defaults: dict[str, Any], frozen: bool) -> None:
        self.annotations = annotations
        self.defaults = defaults
        self.frozen = frozen

    def described(self, name: str) -> Any:
        """Return a field as its declaration describes it."""
        default = self.defaults.get(name, dataclasses.MISSING)
        return default if isinstance(default, dataclasses.Field) else field(default=default)

    @property
    def positional(self) -> tuple[str, ...]:
        """The fields that are positional parameters."""
        special = {name for name, default in self.defaults.items() if isinstance(default, dataclasses.Field)}
        chosen = {name for name in special if (each := self.defaults[name]).init and each.kw_only is not True}
        return tuple(name for name in self.annotations if name not in special or name in chosen)


_PLAN = "__record_plan__"
_SPECIAL = ("ClassVar", "InitVar", "KW_ONLY")


def _is_special(cls: type) -> bool:
    """Return whether a class has annotations that are not fields, or inherits from a dataclass of the
    standard library.
    """
    annotations = get_annotations(cls).values()
    if any(not isinstance(each, str) or any(word in each for word in _SPECIAL) for each in annotations):
        return True
    return any(
        _PLAN not in base.__dict__ and "__dataclass_params__" in base.__dict__ for base in cls.__mro__[1:]
    )


def _declare(plain: type, frozen: bool, eq: bool) -> type:
    """Return the class with slots for its fields and with methods that wait for their first use."""
    body = dict(plain.__dict__)
    annotations: dict[str, str] = {}
    defaults: dict[str, Any] = {}
    for base in plain.__mro__[-1:0:-1]:
        above: _Plan | None = base.__dict__.get(_PLAN)
        if above is not None:
            if above.frozen is not frozen:
                raise TypeError(f"{plain.__name__} and {base.__name__}: only one of them is frozen")
            annotations.update(above.annotations)
            defaults.update(above.defaults)
    inherited = {name for base in plain.__mro__[1:] for name in _slots_of(base)}
    for name, annotation in get_annotations(plain).items():
        annotations[name] = annotation
        defaults.pop(name, None)
        if name in body:
            defaults[name] = default = body.pop(name)
            if type(default).__hash__ is None:
                raise ValueError(f"the default of {name} is mutable: use default_factory")
    body["__slots__"] = tuple(name for name in annotations if name not in inherited)
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body[_PLAN] = plan = _Plan(annotations, defaults, frozen)
    body["__match_args__"] = plan.positional
    explicit_hash = "__hash__" in body and not (body["__hash__"] is None and "__eq__" in body)
    if frozen:
        body = {**_STATE, **body, **_FROZEN}
    if eq and not frozen and not explicit_hash:
        body["__hash__"] = None
    pending = ["__init__", "__dataclass_fields__", "__dataclass_params__"]
    if "__repr__" not in body:
        pending.append("__repr__")
    if eq and "__eq__" not in body:
        pending.append("__eq__")
    if eq and frozen and not explicit_hash:
        pending.append("__hash__")
    waiting = {name: _Pending(plain, name, _MAKERS[name]) for name in pending}
    body.update(waiting)
    made = type(plain)(plain.__name__, plain.__bases__, body)
    made.__qualname__ = plain.__qualname__
    for each in waiting.values():
        each.owner = made
    return made


def _slots_of(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _from_library(name: str, **wanted: bool) -> Callable[[type], Any]:
    """Return what makes a method: the standard library, for a class with the same fields."""

    def make(cls: type) -> Any:
        twin = _twin(cls, **wanted)
        made = twin.__dict__[name]
        if callable(made):
            made.__qualname__ = f"{cls.__qualname__}.{name}"
            made.__module__ = cls.__module__
        return made

    return make


def _twin(
    cls: type, *, init: bool = False, repr: bool = False, eq: bool = False, frozen: bool | None = None
) -> type:
    """Return a dataclass of the standard library with the same fields and only the methods that are
    wanted.
    """
    plan: _Plan = cls.__dict__[_PLAN]
    body: dict[str, Any] = {
        **plan.defaults,
        "__annotations__": dict(plan.annotations),
        "__module__": cls.__module__,
        "__doc__": "",
    }
    body["__qualname__"] = cls.__qualname__
    if hasattr(cls, "__post_init__"):
        body["__post_init__"] = None  # that there is one is all that `__init__` is made from
    frozen = plan.frozen if frozen is None else frozen
    return dataclasses.dataclass(init=init, repr=repr, eq=eq, frozen=frozen, slots=init)(
        type(cls.__name__, (), body)
    )


_MAKERS = {
    "__init__": _from_library("__init__", init=True),
    "__repr__": _from_library("__repr__", repr=True, frozen=False),
    "__eq__": _from_library("__eq__", eq=True, frozen=False),
    "__hash__": _from_library("__hash__", eq=True, frozen=True),
    "__dataclass_fields__": _from_library("__dataclass_fields__"),
    "__dataclass_params__": _from_library("__dataclass_params__"),
}


def _refuse_assignment(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in getattr(self, _PLAN).annotations]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(getattr(self, _PLAN).annotations, state, strict=True):
        object.__setattr__(self, name, value)


_FROZEN: dict[str, Any] = {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
_STATE: dict[str, Any] = {"__getstate__": _get_state, "__setstate__": _set_state}
