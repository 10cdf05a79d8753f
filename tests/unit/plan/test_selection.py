"""An address that is typed as it was printed means that address, whatever characters it has."""

from __future__ import annotations

import itertools
import shlex
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.plan.selection import (
    Selection,
    _literal_brackets,
    check_selectors,
    matching,
    nearest_addresses,
)

CHANNELS = st.text("ab1 !#$%&()+-:;<=.>?@[]^_{}|~,", min_size=1, max_size=6)
ADDRESSES = st.builds(Address, CHANNELS, st.sampled_from(["a", "b"]))


def test_brackets_of_a_channel_are_no_pattern() -> None:
    odd, plain = Address("room[1]", "a"), Address("room1", "a")
    assert matching("room[1]/a", [odd, plain]) == {odd}
    assert matching("room[1]/a", [plain]) == {plain}, "without such an address it is a glob"
    spared = Selection(excludes=("room[1]/a",), replaces=("*",))
    assert spared.selected([odd, plain]) == {plain}
    assert spared.forced([odd, plain]) == {odd, plain}


@given(st.sets(ADDRESSES, min_size=1, max_size=8))
def test_every_address_selects_exactly_itself(addresses: set[Address]) -> None:
    for each in addresses:
        assert Selection(targets=(str(each),)).selected(addresses) == {each}
        assert Selection(excludes=(str(each),)).selected(addresses) == addresses - {each}
        assert Selection(replaces=(str(each),)).forced(addresses) == {each}


@given(ADDRESSES)
def test_an_address_is_quoted_for_the_shell(address: Address) -> None:
    assert shlex.split(address.quoted) == [str(address)]
    assert shlex.split(address.argument)[-1] == str(address)
    assert not shlex.split(address.argument)[0].startswith("-") or shlex.split(address.argument)[0] == "--"


def test_a_selector_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="matches no agent"):
        Selection(targets=("nobody/*",)).check([Address("lobby", "a")])


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("a*b?", "a*b?"),
        ("[", "[[]"),
        ("a[b", "a[[]b"),
        ("[]", "[[]]"),
        ("[]]", "[]]"),
        ("[]a]", "[]a]"),
        ("[!]", "[[]!]"),
        ("[!]]", "[!]]"),
        ("[!a]", "[!a]"),
        ("[a][", "[a][[]"),
        ("[a][[", "[a][[][[]"),
        ("[[a]", "[[a]"),
        ("x[a]y[b]z[", "x[a]y[b]z[[]"),
    ],
)
def test_a_bracket_that_nothing_closes_is_itself(pattern: str, literal: str) -> None:
    assert _literal_brackets(pattern) == literal


def test_no_pattern_means_anything_else_after_that() -> None:
    texts = ["".join(each) for size in range(4) for each in itertools.product("[]!a", repeat=size)]
    for pattern in texts:
        same = _literal_brackets(pattern)
        assert [fnmatchcase(each, same) for each in texts] == [fnmatchcase(each, pattern) for each in texts]


@pytest.mark.parametrize(
    ("selector", "known", "said"),
    [
        ("lobby/dsk", ["desk"], "this fleet has lobby/desk"),
        ("lobby/dsk", ["desk", "a b"], "lobby/desk, 'lobby/a b'"),
    ],
)
def test_a_selector_that_matches_nothing_is_told_what_is_near(
    selector: str, known: list[str], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_selectors("--target", [selector], [Address("lobby", each) for each in known])
    assert caught.value.message == f'--target "{selector}" matches no agent; nothing was done'
    assert caught.value.hint is not None
    assert said in caught.value.hint


def test_of_many_addresses_only_the_nearest_are_named() -> None:
    known = [Address("lobby", f"desk-{number}") for number in range(40)]
    with pytest.raises(UsageError) as caught:
        check_selectors("--target", ["lobby/dsk-1"], known)
    assert caught.value.hint is not None
    assert "lobby/desk-1" in caught.value.hint and caught.value.hint.endswith(", …")
    with pytest.raises(UsageError) as few:
        check_selectors("--target", ["lobby/dsk"], known[:1])
    assert few.value.hint is not None and not few.value.hint.endswith("…")


@pytest.mark.parametrize(
    ("targets", "excludes", "chosen"),
    [
        ((), (), "ab"),
        (("l/a",), (), "a"),
        ((), ("l/a",), "b"),
        (("*",), ("l/b",), "a"),
        (("l/a", "l/b"), (), "ab"),
        (("l/a",), ("l/a",), ""),
    ],
)
def test_targets_and_excludes(targets: tuple[str, ...], excludes: tuple[str, ...], chosen: str) -> None:
    known = [Address("l", "a"), Address("l", "b")]
    assert Selection(targets, excludes).selected(known) == {Address("l", each) for each in chosen}
    assert Selection(targets, excludes).forced(known) == frozenset()
    for wrong in (Selection(("x",)), Selection((), ("x",)), Selection((), (), ("x",))):
        with pytest.raises(UsageError, match="matches no agent"):
            wrong.check(known)


def test_the_nearest_addresses_are_arguments() -> None:
    known = [Address("-x", "desk"), Address("hall", "door")]
    assert nearest_addresses(Address("-x", "dsk"), known).startswith("-- -x/desk")
    assert nearest_addresses(Address("-x", "dsk"), []) == ""
