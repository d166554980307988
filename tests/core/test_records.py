"""Records behave as the dataclasses of the standard library do, and make their methods when they are first
used.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from modelinspect.core import records

T = TypeVar("T")


def declare(dataclass: Any) -> dict[str, Any]:
    """Declare the same classes with one of the two decorators."""

    @dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        note: str = dataclasses.field(default="", repr=False, compare=False)
        tags: list[int] = dataclasses.field(default_factory=list, hash=False)

    @dataclass(frozen=True, slots=True)
    class Space(Point):
        z: int = 3

    @dataclass(slots=True)
    class Open(Generic[T]):
        x: T
        count: int = dataclasses.field(default=0, init=False)
        items: list[T] = dataclasses.field(default_factory=list, init=False)
        flag: bool = dataclasses.field(default=False, kw_only=True)
        late: int = dataclasses.field(init=False, default=-1)

        def __post_init__(self) -> None:
            self.late = 7

    @dataclass(slots=True, eq=False)
    class Identity:
        x: int = 0

    @dataclass(frozen=True, slots=True)
    class Custom:
        x: int

        def __repr__(self) -> str:
            return "custom"

        def __hash__(self) -> int:
            return 5

        def __eq__(self, other: object) -> bool:
            return True

    return {each.__name__: each for each in (Point, Space, Open, Identity, Custom)}


OURS, THEIRS = declare(records.dataclass), declare(dataclasses.dataclass)
BOTH = [OURS, THEIRS]


def behaviour(classes: dict[str, Any]) -> list[Any]:
    """Return what can be seen of the classes without their identity."""
    point, space, open_, identity, custom = (
        classes[name] for name in ("Point", "Space", "Open", "Identity", "Custom")
    )
    seen: list[Any] = [
        repr(each) for each in (point(1), space(1, z=9), open_(4, flag=True), identity(), custom(1))
    ]
    seen += [
        hash(point(1, 2, "a")) == hash(point(1, 2, "b", [3])),
        point(1, 2, "a") == point(1, 2, "b"),
        point(1) == space(1),
        point(1) != 1,
    ]
    seen += [
        point(1, tags=[1]) == point(1),
        identity() == identity(),
        open_(1) == open_(1),
        open_.__hash__ is None,
        hash(custom(1)),
    ]
    for each in classes.values():
        seen += [str(inspect.signature(each)), each.__match_args__, list(each.__slots__)]
        seen.append(
            [
                (entry.name, entry.type, entry.init, entry.repr, entry.compare, entry.kw_only)
                for entry in dataclasses.fields(each)
            ]
        )
    seen += [
        dataclasses.asdict(space(1, 5)),
        dataclasses.astuple(point(2)),
        repr(dataclasses.replace(point(1), x=8)),
        repr(copy.copy(point(4))),
    ]
    for action in (
        lambda: setattr(point(1), "x", 2),
        lambda: delattr(point(1), "x"),
        lambda: point(),
        lambda: open_(1, True),
        lambda: point(1, w=2),
    ):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)) as raised:
            action()
        seen.append((type(raised.value), str(raised.value).replace("declare.<locals>.", "")))
    return seen


def test_records_behave_as_dataclasses_of_the_standard_library_do() -> None:
    for ours, theirs in zip(behaviour(OURS), behaviour(THEIRS), strict=True):
        assert ours == theirs


@pytest.mark.parametrize("classes", BOTH, ids=["ours", "theirs"])
def test_records_have_no_dictionary_and_frozen_ones_copy(classes: dict[str, Any]) -> None:
    point = classes["Point"](1, 2, "note", [3])
    assert not hasattr(point, "__dict__")
    assert copy.deepcopy(point) == point
    assert copy.deepcopy(point).tags is not point.tags
    assert dataclasses.is_dataclass(point)


@records.dataclass(frozen=True, slots=True)
class Picklable:
    """A record that a module holds."""

    x: int
    y: str = "y"


def test_records_pickle_and_match() -> None:
    assert pickle.loads(pickle.dumps(Picklable(3))) == Picklable(3)
    match Picklable(3, "z"):
        case Picklable(3, y):
            assert y == "z"
        case _:
            pytest.fail("it does not match by position")


def test_methods_are_made_when_they_are_first_used() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Late:
        x: int

    for name in ("__init__", "__eq__", "__hash__", "__repr__", "__dataclass_fields__"):
        assert type(vars(Late)[name]).__name__ == "_Pending"
    assert Late(1).x == 1
    assert inspect.isfunction(vars(Late)["__init__"])
    assert type(vars(Late)["__eq__"]).__name__ == "_Pending"
    assert repr(Late(1)).endswith("Late(x=1)")
    assert {Late(1), Late(1)} == {Late(1)}


def test_a_subclass_is_made_before_its_base_is_used() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Base:
        x: int

        def __post_init__(self) -> None:
            assert self.x

    class Plain(Base):
        __slots__ = ()

    @records.dataclass(frozen=True, slots=True)
    class Below(Base):
        y: int = 0

    assert (Plain(1).x, Below(1, 2).y, Base(1)) == (1, 2, Base(1))
    assert Plain(1) != Base(1)


def test_what_has_class_variables_or_no_slots_is_a_dataclass_of_the_standard_library() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Known:
        kind: ClassVar[int] = 1
        x: int = 0

    @records.dataclass
    class Loose:
        x: int = 0

    @records.dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        x: int

    assert [len(dataclasses.fields(each)) for each in (Known, Loose, Ordered)] == [1, 1, 1]
    assert vars(Loose())
    assert Ordered(1) < Ordered(2)


def test_declarations_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(ValueError, match="mutable"):

        @records.dataclass(slots=True)
        class _Shared:
            x: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match="frozen"):

        @records.dataclass(slots=True)
        class _Thawed(Picklable):
            z: int = 0


def test_no_module_declares_dataclasses_that_are_compiled_at_import() -> None:
    code = (
        "import dataclasses, sys; made = []; real = dataclasses._process_class\n"
        "def note(cls, *rest):\n"
        "    if sys._getframe(2).f_code.co_name != '_twin': made.append(f'{cls.__module__}.{cls.__name__}')\n"
        "    return real(cls, *rest)\n"
        "dataclasses._process_class = note\n"
        "import modelinspect.cli.inspect, modelinspect.rules.registry as rules; rules.wasteful_rules()\n"
        "print(*(name for name in made if name.startswith('modelinspect')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) <= 6, done.stdout
