"""The shape of a JSON plan, as types: built by `json_plan`, published as `schemas/plan.schema.json`.

The docstrings of the types are descriptions in that schema. Keys are added within a format version and never change
their meaning; readers ignore keys that they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from reconciler.plan.change import Action, Because

# Terraform's words, for tools that read Terraform's plans.
TerraformAction = Literal["create", "update", "delete", "no-op", "forget"]


class Location(TypedDict):
    """A place in the fleet's files: path below the fleet's directory, line and column from 1."""

    file: str
    line: int
    column: int


class Related(TypedDict):
    """Another place that belongs to a problem."""

    location: Location
    text: str


class ProblemTree(TypedDict):
    """A problem in the files; `rule` is stable."""

    severity: Literal["error", "warning"]
    rule: str
    summary: str
    why: str | None
    help: str | None
    path: str | None
    location: Location | None
    related: list[Related]


class Why(TypedDict):
    """Why a change is planned: a stable word, and the same for people."""

    because: Because
    text: str


class Held(TypedDict):
    """What would be done were it not held, and why it is not; `retry_after` is the time that lifts it, if time does."""

    action: Action
    because: Because
    text: str
    retry_after: str | None


class BodyChange(TypedDict):
    """A body before and after, secrets as references; a literal credential is null, true in `*_sensitive`.

    `before_unknown` says that the service runs, or may run, with something else than `before`: it returns no
    configuration, and we did not send all of it.
    """

    actions: list[TerraformAction]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    replace_paths: list[list[str | int]]
    before_sensitive: bool | dict[str, Any]
    after_sensitive: bool | dict[str, Any]
    before_unknown: bool


class ResourceChange(TypedDict):
    """One change of one address. `reason` says why it is wanted; `held` is set where it is not made."""

    address: str
    mode: Literal["managed"]
    type: Literal["agent"]
    channel: str
    name: str
    action: Action
    reason: Why
    held: Held | None
    agent_id: str | None
    change: BodyChange
    location: Location | None


class CostTree(TypedDict):
    """Live agents of the App ID before and after, and USD a day after."""

    running_before: int
    running_after: int
    quota: int | None
    usd_per_day: float
    usd_per_day_change: float


class DangerTree(TypedDict):
    """A secret that starts to go to another host than any before; `forbidden` where the team's policy does not list it."""

    reference: str
    host: str
    before: list[str]
    allowed: bool
    held: bool
    forbidden: bool


class IgnoredTree(TypedDict):
    """Paths of a running agent of which the files say otherwise; ignored until its next join."""

    address: str
    paths: list[str]


class NewSecret(TypedDict):
    """A reference with a new value behind it, and how many agents still have the old one (`--check-secrets`)."""

    reference: str
    agents: int


class RefusalTree(TypedDict):
    """A limit that refuses the apply as a whole."""

    limit: str
    planned: float
    allowed: float
    text: str


class UnmanagedTree(TypedDict):
    """A foreign agent that runs in a channel of the fleet; it is never touched."""

    agent_id: str
    name: str | None
    channel: str | None
    status: str


class PlanDocument(TypedDict):
    """What an apply would do. Equal plans are equal bytes.

    `approval` is the token that `apply --approved` takes: the tree of the fleet's directory and the commit of the state,
    `<tree>.<snapshot>`; null where a plan is no function of the two. `no_approval` then says why, if it was made offline
    with a state in Git. `complete`: after an apply nothing is pending. `applyable`: something is to be done, and no limit refuses.
    """

    format_version: Literal["1.0"]
    fleet: str
    environment: str | None
    digest: str
    against: str | None
    approval: str | None
    no_approval: str | None
    complete: bool
    applyable: bool
    summary: dict[Action, int]
    hang_ups: int
    cost: CostTree
    dangers: list[DangerTree]
    refusals: list[RefusalTree]
    interrupted: int
    ignored: list[IgnoredTree]
    new_secrets: list[NewSecret]
    resource_changes: list[ResourceChange]
    unmanaged: list[UnmanagedTree]
    unmanaged_elsewhere: int
    warnings: list[ProblemTree]


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of a plan."""
    from pydantic import TypeAdapter  # imported only for the schema

    schema = TypeAdapter(PlanDocument).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated by `reconciler schema plan`; edit reconciler/report/plan_document.py instead.",
        **schema,
        "title": "A plan of reconciler",
    }
