"""`service` and `limits`: the fleet's own, with the environment's over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.config.expand.layers import Layer, deciding, merged
from reconciler.config.words import Wrong, amount, share, shown, whole, word
from reconciler.config.yaml.scalars import Templated
from reconciler.diagnostics import Diagnostics
from reconciler.model.fleet import Area, Limits, Service, ServiceKind

_APP_ID = re.compile(r"[0-9A-Fa-f]{32}")


def _app_id(value: Any) -> str:
    if isinstance(value, str) and _APP_ID.fullmatch(value):
        return value
    raise Wrong(
        "app-id",
        f"{shown(value)} is not an App ID",
        "an App ID is 32 hexadecimal digits, from the Agora console",
    )


_SERVICE: Mapping[str, Callable[[Any], Any]] = {
    "kind": lambda value: word(value, ServiceKind),
    "area": lambda value: word(value, Area),
    "app_id": _app_id,
}
_LIMITS: Mapping[str, Callable[[Any], Any]] = {
    "leave": share,
    "replace": share,
    "join": share,
    "quota": whole,
    "usd_per_day": amount,
    "usd_per_minute": amount,
}


def parse_service(layers: Sequence[Layer], problems: Diagnostics) -> Service:
    """Whom the fleet talks to."""
    return Service(**_parsed("service", layers, _SERVICE, problems))


def parse_limits(layers: Sequence[Layer], problems: Diagnostics) -> Limits:
    """How much one apply may do."""
    return Limits(**_parsed("limits", layers, _LIMITS, problems))


def _parsed(
    name: str, layers: Sequence[Layer], readers: Mapping[str, Callable[[Any], Any]], problems: Diagnostics
) -> dict[str, Any]:
    tree: Any = {}
    for layer in layers:
        tree = merged(tree, layer.tree)
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if value is None or key not in readers or isinstance(value, Templated):
            continue
        try:
            values[key] = readers[key](value)
        except Wrong as wrong:
            place = deciding(layers, (key,))
            where = place.value_span if place is not None else None
            problems.error(
                wrong.rule, f"{name}.{key}: {wrong.summary}", where, help=wrong.help, path=f"{name}.{key}"
            )
    return values
