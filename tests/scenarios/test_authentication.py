"""App ID and certificate are enough; the customer's credentials are used where they are given and taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler import workflow
from reconciler.errors import AuthenticationFailed
from reconciler.secrets import Secret
from reconciler.simulator import Credentials, Simulator, Store
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import SETTINGS, Virtual

WANTED = fleet(agent("lobby/greeter"), agent("bar/waiter"))


def strict(**changes: Secret | None) -> Virtual:
    """A service that knows its own credentials, and a client with other ones."""
    virtual = Virtual(settings=replace(SETTINGS, **changes))
    known = Credentials(
        SETTINGS.app_id, "fedcba9876543210fedcba9876543210", customer_id="customer", customer_secret="secret"
    )
    virtual.service = Simulator(Store(), clock=lambda: virtual.now, credentials=known)
    return virtual


def apply(virtual: Virtual) -> bool:
    ledger = virtual.run(workflow.apply(virtual.job(WANTED), virtual.provider()))
    return ledger.is_complete


def test_a_certificate_alone_joins_and_looks() -> None:
    virtual = strict(customer_id=None, customer_secret=None)
    assert apply(virtual)
    assert len(virtual.live()) == 2
    assert virtual.run(workflow.plan(virtual.job(WANTED), virtual.provider())).acts == ()


def test_where_the_customers_credentials_are_refused_a_token_is_tried_once() -> None:
    virtual = strict(customer_secret=Secret("a wrong one"))
    assert apply(virtual)
    assert len(virtual.live()) == 2


def test_a_refusal_names_all_that_was_refused() -> None:
    virtual = strict(customer_secret=Secret("a wrong one"), certificate=Secret("0" * 32))
    with pytest.raises(AuthenticationFailed) as refused:
        apply(virtual)
    for name in ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_CERTIFICATE", "AGORA_APP_ID"):
        assert name in (refused.value.hint or "")
    assert virtual.sent == {}


def test_a_plan_needs_no_certificate_beside_the_customers_credentials() -> None:
    virtual = strict(certificate=None)
    assert len(virtual.run(workflow.plan(virtual.job(WANTED), virtual.provider())).acts) == 2
