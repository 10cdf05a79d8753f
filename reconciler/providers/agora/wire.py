"""Build request bodies from orders, with token and secrets filled in.

The values of secrets stay `Secret` objects inside the body; they are revealed only where its bytes are made. Field
names and their meaning: v2 API reference, "join" and "update" (OpenAPI v2).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from reconciler.contract.agora.avatar import TOKEN_LIFE, UID_PATH
from reconciler.contract.agora.updatable import MAINLAND_CHINA, WORLDWIDE
from reconciler.errors import UsageError
from reconciler.model.capabilities import Capabilities, EndKind, EndMeaning
from reconciler.model.tree import NON_TEXTS, Tree, dotted, value_at
from reconciler.ports import JoinOrder, UpdateOrder
from reconciler.secrets import MARK, Secret, SecretRef, substitute

HOUR = 3600.0
_NO_VALUES: Mapping[SecretRef, Secret] = MappingProxyType({})

# A body ready to be encoded: a tree with `Secret` leaves.
Filled: TypeAlias = "dict[str, Filled] | list[Filled] | Secret | str | int | float | bool | None"
_NOTHING: Mapping[str, Filled] = MappingProxyType({})


_NO_ENTRY = (
    "it could not enter or stay in its channel: most often AGORA_APP_CERTIFICATE is not the project's (no answer to a join "
    "tells that), or its token has run out, or another user of the channel has its uid"
)
# The service's messages for the end of an agent (v2 API reference: "Lifecycle", end messages); the prefix that some
# replies have is removed in `replies`.
_ENDS = (
    EndMeaning("Task lifetime limit exceeded", EndKind.LIFETIME),
    EndMeaning("Idle for too long", EndKind.IDLE),
    EndMeaning("OK", EndKind.ASKED),
    EndMeaning("RTC connection error", EndKind.NO_ENTRY, _NO_ENTRY),
    EndMeaning("RTC connection failed", EndKind.NO_ENTRY, _NO_ENTRY),
    EndMeaning(
        "Connecting for too long",
        EndKind.NO_START,
        "it could not come up in time: see the status of the service",
    ),
)


def capabilities(*, mainland_china: bool) -> Capabilities:
    """Return what the service can do to a running agent; v2 API reference: "Lifecycle", "Authentication", "Billing"."""
    return Capabilities(
        updatable=MAINLAND_CHINA if mainland_china else WORLDWIDE,
        max_lifetime=72 * HOUR,
        part_lives=((UID_PATH, TOKEN_LIFE),),
        max_token_ttl=24 * HOUR,
        usd_per_minute=0.10,
        default_quota=20,
        ends=_ENDS,
    )


def join_body(
    order: JoinOrder,
    token: Secret | str,
    values: Mapping[SecretRef, Secret] = _NO_VALUES,
    avatar: Mapping[str, Filled] = _NOTHING,
) -> Filled:
    """Return the body of a join: the files' properties with name, channel, uid, token and the avatar's parameters."""
    properties: dict[str, Filled] = {"channel": order.channel, "token": token, "agent_rtc_uid": order.uid}
    for key, value in order.body.properties.items():
        if key not in properties:
            properties[key] = fill(value, values)
    if avatar:
        part = properties["avatar"]
        assert isinstance(part, dict)  # else it would have no params to add to
        params = part["params"]
        assert isinstance(params, dict)
        properties["avatar"] = {**part, "params": {**params, **avatar}}
    body: dict[str, Filled] = {"name": order.name}
    if order.body.preset is not None:
        body["preset"] = order.body.preset
    if order.body.pipeline_id is not None:
        body["pipeline_id"] = order.body.pipeline_id
    body["properties"] = properties
    return body


def update_body(
    order: UpdateOrder,
    able: Capabilities,
    token: Secret | None,
    values: Mapping[SecretRef, Secret] = _NO_VALUES,
) -> Filled:
    """Return the body of an update: complete values only, since each replaces the old one as a whole.

    Raises `UsageError` for an empty update and for a path that only a join can set: how the service treats such a key
    is undocumented (v2 API reference: update), so it is never sent.
    """
    if not order.values and token is None:
        raise UsageError("an update without values and token would change nothing")
    properties: dict[str, Filled] = {} if token is None else {"token": token}
    for path in sorted(order.values, key=dotted):
        if path not in able.updatable:
            raise UsageError(f"{dotted(path)} cannot be changed on a running agent", hint="replace the agent")
        node = properties
        for part in path[:-1]:
            below = node.setdefault(str(part), {})
            assert isinstance(below, dict)  # no updatable path is below another one
            node = below
        node[str(path[-1])] = fill(order.values[path], values)
    return {"properties": properties}


def fill(tree: Tree, values: Mapping[SecretRef, Secret]) -> Filled:
    """Return a tree in which each text with references is one `Secret`; parts without any are shared, not copied."""
    if isinstance(tree, str):
        return substitute(tree, values) if MARK in tree else tree
    if isinstance(tree, dict):
        changed: dict[str, Filled] = {}
        for key, value in tree.items():
            # Most values are numbers and texts without references: no call for each of them.
            kind = type(value)
            if kind in NON_TEXTS or (kind is str and MARK not in value):
                continue
            if (filled := fill(value, values)) is not value:
                changed[key] = filled
        return {**tree, **changed} if changed else tree
    if isinstance(tree, list):
        return [fill(value, values) for value in tree]
    if tree is None or isinstance(tree, (int, float)):
        return tree
    if isinstance(tree, Mapping):
        return fill(dict(tree), values)
    return fill(list(tree), values)


def wants_rtm(order: JoinOrder) -> bool:
    """Return whether the agent also uses the messaging service, for which its token must then be valid."""
    return value_at(order.body.properties, ("advanced_features", "enable_rtm")) is True
