"""Parsing of `--allow`: raised limits, hosts that secrets may go to, addresses to join beside, and `unreviewed`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

LIMITS = ("hang_ups", "leave", "replace", "join", "quota", "usd_per_day")
SECRET_HOST = "secret-host"
BESIDE = "beside"
# The only key that takes no value.
UNREVIEWED = "unreviewed"
_COUNT = re.compile(r"[0-9]{1,7}")
_MONEY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,2})?")


def read_allows(
    allows: Sequence[tuple[str, str]],
) -> tuple[dict[str, float], frozenset[str], tuple[str, ...]]:
    """Return the raised limits by name, the hosts that secrets may go to, and the addresses that may join beside.

    Raises `click.BadParameter` for any other key and for an invalid value.
    """
    limits: dict[str, float] = {}
    hosts: set[str] = set()
    beside: list[str] = []
    for key, value in allows:
        if key == UNREVIEWED:
            if value:
                raise click.BadParameter("--allow unreviewed takes no value")
            continue
        if key == SECRET_HOST:
            if not value.strip():
                raise click.BadParameter(
                    "--allow secret-host wants a host, as the plan's danger line names it"
                )
            hosts.add(value)
            continue
        if key == BESIDE:
            beside.append(value)
            continue
        name = key.replace("-", "_")
        if name not in LIMITS:
            raise click.BadParameter(
                f'there is no limit "{key}"; known are {", ".join((*LIMITS, SECRET_HOST, BESIDE, UNREVIEWED))}'
            )
        if name in limits:
            raise click.BadParameter(f"--allow {key} is given twice; which one is meant?")
        limits[name] = _read_amount(name, value)
    return limits, frozenset(hosts), tuple(beside)


def _read_amount(name: str, value: str) -> float:
    """Return a raised limit. Only plain digits are accepted: `nan`, `inf` or `1e9` would remove the limit."""
    amount = _MONEY if name == "usd_per_day" else _COUNT
    if amount.fullmatch(value) is None:
        what = "an amount such as 500 or 499.50" if amount is _MONEY else "a whole number such as 5"
        raise click.BadParameter(f'--allow {name} wants {what}, not "{value[:40]}"')
    return float(value)
