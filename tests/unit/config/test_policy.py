"""A team's policy: how it is read, what is a mistake in it, and that it only ever tightens."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config import POLICY_FILE, load_policy
from reconciler.config.schema import policy_schema
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import Limit, Limits
from reconciler.model.policy import TeamPolicy, is_listed
from tests.fakes.fleets import agent, fleet

WHOLE = """\
secret_hosts: api.openai.com
limits: {leave: 10%, hang_ups: 5, quota: 50, usd_per_day: 99.5}
protect: ["lobby/*", bar/desk]
freeze: [{until: 2027-01-02T08:00:00Z, reason: holidays}]
"""


def test_a_policy_is_read() -> None:
    found = load_policy(WHOLE, POLICY_FILE)
    assert found.secret_hosts == ("api.openai.com",)
    assert found.limits == {
        "leave": Limit(percent=10.0),
        "hang_ups": Limit(number=5),
        "quota": 50,
        "usd_per_day": 99.5,
    }
    assert found.protect == ("lobby/*", "bar/desk")
    (freeze,) = found.freezes
    assert (freeze.reason, freeze.targets) == ("holidays", ("*",))
    assert load_policy("{}", POLICY_FILE) == TeamPolicy()
    assert load_policy("secret_hosts: []", POLICY_FILE).secret_hosts == ()


@pytest.mark.parametrize(
    ("text", "place", "summary"),
    [
        ("", "1:1", "a policy must be a mapping"),
        ("- a", "1:1", "a policy must be a mapping"),
        ("limits: {leave: 10%", "2:1", "the mapping is not closed"),
        ("secret_hosts:", "1:1", "secret_hosts is empty"),
        ("protected: [a]", "1:1", '"protected" is not a key of a policy'),
        ("protect: {a: b}", "1:1", "protect must be a name or a list of names"),
        ("\nsecret_hosts: [1]", "2:1", "secret_hosts must be a name or a list of names"),
        ("limits: {leave: many}", "1:17", "limits.leave"),
        ("limits: {usd_per_minute: 0.01}", "1:10", "usd_per_minute"),
        ("freeze: [{until: 2027-01-02T08:00:00Z}]", "1:10", 'this freeze has no "reason"'),
        ('secret_hosts: ["{{ hosts }}"]', "1:15", "secret_hosts cannot be a template"),
        ("protect: [a]\nprotect: [b]", "2:1", "protect"),
    ],
)
def test_a_mistake_has_its_place(text: str, place: str, summary: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        load_policy(text, POLICY_FILE)
    first = refused.value.diagnostics[0]
    assert str(first.where).startswith(f"{POLICY_FILE}:{place}")
    assert summary in first.summary


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    good = {"secret_hosts": ["a"], "limits": {"leave": "10%"}, "protect": "lobby/*", "freeze": []}
    assert list(check.iter_errors(good)) == []
    assert list(check.iter_errors({"protected": []}))


@pytest.mark.parametrize(
    ("host", "listed", "expected"),
    [
        ("api.openai.com", ("api.openai.com",), True),
        ("API.openai.com", ("api.openai.com",), True),
        ("api.openai.com", ("openai.com",), False),
        ("api.openai.com", ("*.openai.com",), True),
        ("openai.com", ("*.openai.com",), False),
        ("evilopenai.com", ("*.openai.com",), False),
        ("api.openai.com:8443", ("api.openai.com",), False),
        ("api.openai.com:8443", ("api.openai.com:8443",), True),
        ("vendor:microsoft", ("vendor:microsoft",), True),
        ("vendor:microsoft", ("*",), False),
        # What two readers could read differently is its own destination, as written.
        ("https://evil.example\\.openai.com", ("*.openai.com",), False),
        ("https://evil.example/?x=.openai.com", ("*.openai.com",), False),
        ("ref+env://URL", ("*.openai.com",), False),
        ("", (), False),
    ],
)
def test_which_hosts_a_list_names(host: str, listed: tuple[str, ...], expected: bool) -> None:
    assert is_listed(host, listed) is expected


SHARES = st.builds(Limit, number=st.integers(0, 50)) | st.builds(Limit, percent=st.floats(0, 100))


@given(own=SHARES, ours=SHARES, total=st.integers(0, 1000))
def test_of_two_shares_the_smaller_one_counts_whatever_they_are_shares_of(
    own: Limit, ours: Limit, total: int
) -> None:
    under = TeamPolicy(limits={"leave": ours}).over(fleet(agent("a/b"), limits=Limits(leave=own)))
    assert under.limits.leave.of(total) == min(own.of(total), ours.of(total))
    assert under.limits.leave.binding(total).of(total) == under.limits.leave.of(total)
    assert under.limits.hang_ups == Limits().hang_ups


def test_a_limit_that_the_fleet_does_not_set_is_set_by_the_policy() -> None:
    bare = fleet(agent("a/b"), limits=Limits())
    under = TeamPolicy(limits={"quota": 5, "replace": Limit(number=1)}).over(bare)
    assert (under.limits.quota, under.limits.replace) == (5, Limit(number=1))
    assert TeamPolicy(limits={"quota": 5}).over(under).limits.quota == 5
    assert TeamPolicy(limits={"quota": 9}).over(under).limits.quota == 5
