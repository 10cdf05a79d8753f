"""`values.dataclass` makes what the standard library's makes with the same flags."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from reconciler import values


def _made(dataclass: Any) -> dict[str, Any]:
    @dataclass(frozen=True, slots=True, order=True)
    class Place:
        """A place."""

        channel: str
        name: str = "x"
        more: dict[str, int] = dataclasses.field(default_factory=dict, compare=False)
        hidden: int = dataclasses.field(default=3, repr=False)

    @dataclass(frozen=True, slots=True)
    class One:
        """A single field."""

        value: float

    @dataclass(slots=True)
    class Open:
        """Can be changed."""

        count: int = 0
        seen: list[int] = dataclasses.field(default_factory=list, init=False)
        is_new: bool = dataclasses.field(default=True, init=False)

        def __post_init__(self) -> None:
            self.count += 1

    @dataclass(frozen=True)
    class Named:
        """Has a method of its own."""

        name: str

        def __repr__(self) -> str:
            return "own"

    return {each.__name__: each for each in (Place, One, Open, Named)}


@dataclasses.dataclass(frozen=True)
class _Pair:
    theirs: Any
    ours: Any


@pytest.fixture
def pair() -> _Pair:
    theirs, ours = _made(dataclasses.dataclass), _made(values.dataclass)
    return _Pair(theirs, ours)


def test_values_compare_hash_and_print_as_the_standard_ones(pair: _Pair) -> None:
    def seen(kinds: dict[str, Any]) -> list[object]:
        place, one, open_, named = kinds["Place"], kinds["One"], kinds["Open"], kinds["Named"]
        a, b, c = place("a"), place("a", more={"n": 1}), place("a", "y", hidden=4)
        nan = float("nan")
        changed = open_(2)
        changed.count = 7
        return [
            a == b, a == c, a == 1, a < c, a <= b, c > a, c >= a, hash(a) == hash(b), hash(a), hash(one(1.0)),
            one(nan) == one(nan), repr(a).rpartition(".")[2], repr(named("n")), dataclasses.asdict(c),
            dataclasses.replace(a, name="z") == place("a", "z"), repr(changed).rpartition(".")[2],
            open_() == open_(), open_().seen is open_().seen, open_.__hash__, place.__match_args__,
            place.__slots__, [each.name for each in dataclasses.fields(place)],
        ]  # fmt: skip

    # The first calls of a method work on the list of fields, the later ones are compiled.
    for _ in range(8):
        assert seen(pair.ours) == seen(pair.theirs)


def test_a_frozen_value_cannot_be_changed(pair: _Pair) -> None:
    for kinds in (pair.theirs, pair.ours):
        place = kinds["Place"]("a")
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
            place.name = "b"
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
            del place.name
        assert place.name == "x"


def test_wrong_arguments_are_refused(pair: _Pair) -> None:
    for kinds in (pair.theirs, pair.ours):
        for positional, named in (
            ((), {}),
            (("a", "b", {}, 3, 4), {}),
            (("a",), {"channel": "b"}),
            (("a",), {"x": 1}),
        ):
            place = kinds["Place"]
            with pytest.raises(TypeError, match="argument"):
                place(*positional, **named)
            assert place("a", name="b") == place(channel="a", name="b")
        with pytest.raises(TypeError):
            kinds["Place"]("a") < 1


def test_the_first_values_of_a_class_are_checked_as_the_later_ones_are() -> None:
    for calls in range(6):
        place = _made(values.dataclass)["Place"]
        for _ in range(calls):
            place("a")
        for positional, named in (
            ((), {}),
            (("a", "b", {}, 3, 4), {}),
            (("a",), {"channel": "b"}),
            (("a",), {"x": 1}),
        ):
            with pytest.raises(TypeError, match="argument"):
                place(*positional, **named)


@values.dataclass(frozen=True, slots=True)
class Kept:
    """Stands in a module, so that it can be pickled."""

    name: str
    numbers: tuple[int, ...] = ()


def test_a_value_survives_pickle_and_copy() -> None:
    kept = Kept("a", (1, 2))
    assert pickle.loads(pickle.dumps(kept)) == kept == copy.deepcopy(kept) == copy.copy(kept)
