"""The floors: the same work written out by hand for this one fleet, with the same libraries.

One compiled function for the block, run over the items, in which what is constant is shared. Then the same check of
the properties, canonical JSON and BLAKE2b. No files to merge, no places to remember, no rules to check, no mistakes to explain.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from reconciler.contract.check import check as check_properties
from reconciler.model.spec import AgentSpec

# A template of `fleets.VALUES`: text with a field of the desk in it.
_TEMPLATE = re.compile(r"\{\{ desk\.(\w+) \}\}")


class _Writer:
    """Writes the expression that builds one agent's tree from its `desk`; `names` are what the expression uses."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def expression(self, tree: Any) -> str:
        """Python that gives the tree."""
        if "{{" not in json.dumps(tree):
            return self._name(tree)
        if isinstance(tree, Mapping):
            return "{" + ", ".join(f"{key!r}: {self.expression(value)}" for key, value in tree.items()) + "}"
        if isinstance(tree, list):
            return "[" + ", ".join(map(self.expression, tree)) + "]"
        pieces = _TEMPLATE.split(tree)  # text, field, text, …
        if pieces[0::2] == ["", ""]:
            return f"desk[{pieces[1]!r}]"
        return " + ".join(
            f"str(desk[{each!r}])" if at % 2 else repr(each) for at, each in enumerate(pieces) if each
        )

    def _name(self, value: Any) -> str:
        name = f"t{len(self.names)}"
        self.names[name] = value
        return name


def load_for_each(directory: Path) -> int:
    """Load, render, validate and digest a fleet of `fleets.write_for_each`; the number of its agents."""
    block = yaml.load((directory / "agents" / "desks.yaml").read_text(), yaml.CSafeLoader)["channels"][0]
    writer = _Writer()
    channel, tree = writer.expression(block["channel"]), writer.expression(block["agents"][0]["properties"])
    build = eval(f"lambda desk: ({channel}, {tree})", writer.names)
    agents = {}
    for desk in json.loads((directory / "data" / "desks.json").read_text()):
        address, properties = build(desk)
        agents[address] = (properties, check(properties))
    return len(agents)


def read_events(directory: Path) -> int:
    """libyaml's events of every file, and nothing made of them; their number."""
    return sum(
        1
        for file in sorted((directory / "agents").iterdir())
        for _ in yaml.parse(file.read_text(), yaml.CSafeLoader)
    )


def check(tree: dict[str, Any]) -> bytes:
    """Validate and digest the properties of one agent."""
    check_properties(tree)
    return hashlib.blake2b(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


# --- HTTP


def join_body(spec: AgentSpec) -> bytes:
    """The body of an agent's join, with a token and secrets of the usual length."""
    properties = {"channel": spec.address.channel, "token": "007" + "e" * 240, **spec.body.properties}
    return orjson.dumps({"name": "n" * 60, "properties": properties})


def whole_body(spec: AgentSpec, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The body of an agent's join with the values of its secrets, and everything but a token."""
    text = orjson.dumps(dict(spec.body.properties)).decode()
    for name, value in secrets.items():
        text = text.replace(f"ref+env://{name}", value)
    channel = spec.address.channel
    return {"name": f"by-hand-{channel}", "properties": {"channel": channel, **orjson.loads(text)}}


async def post(url: str, bodies: Sequence[bytes], parallelism: int) -> None:
    """Post every body once, with one client and one connection for each worker."""
    waiting = iter(bodies)
    headers = {"content-type": "application/json", "authorization": "Basic Y3VzdG9tZXI6c2VjcmV0"}

    async def work() -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        async with httpx.AsyncClient(verify=False, trust_env=False, limits=limits) as client:
            for body in waiting:
                reply = await client.post(url, content=body, headers=headers)
                reply.raise_for_status()

    await asyncio.gather(*(work() for _ in range(parallelism)))
