"""Check a join body: the contract, its conditions, and what was seen of the live service; also its warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.simulator.contract import Strictness, unknown_vendors
from reconciler.simulator.join_conditions import MISSING_PARTS, check_join, managed_problem, samples_problem
from reconciler.simulator.messages import ErrorReason, Headers, RefusedCall
from reconciler.simulator.switches import Switches


def refuse_join(body: Any, strictness: Strictness, switches: Switches) -> None:
    """Raise `RefusedCall` for a body that the service would refuse, in the service's order of checks."""
    problem = check_join(body, strictness)
    if switches.missing_parts == "500" and problem in MISSING_PARTS:
        detail = "core: edge failed, reason: 'NoneType' object has no attribute 'output_modalities'"
        raise RefusedCall(500, ErrorReason.INTERNAL_SERVER_ERROR, detail)
    if problem is not None:
        # the documented example of a 400 has this prefix; the texts that were seen live do not
        raise RefusedCall(400, problem.reason, f"create agent failed, code: 400, msg: {problem}")
    text = samples_problem(body["properties"])
    if text is None and switches.managed_credentials == "checked":
        text = managed_problem(body["properties"])
    if text is not None:
        raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, text)


def warnings(properties: Mapping[str, Any]) -> Headers:
    """Return the header about vendors that no page lists, for an accepted body."""
    # a client's text is quoted and cut, since it becomes part of a header
    told = [f"{slot}.vendor {ascii(vendor)[:80]}" for slot, vendor in unknown_vendors(properties)]
    text = f"not in the simulator's catalogue, taken unchecked: {', '.join(told)}"
    return (("x-simulator-warning", text),) if told else ()
