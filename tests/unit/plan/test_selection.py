"""An address that is typed as it was printed means that address, whatever characters it has."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.plan.selection import Selection, matching

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
