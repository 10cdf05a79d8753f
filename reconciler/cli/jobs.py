"""Makes the job of a command from its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from reconciler.apply.context import Settings
from reconciler.cli.allowances import UNREVIEWED, read_allows
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.ports import Pace
from reconciler.providers import Paced
from reconciler.values import dataclass
from reconciler.workflow import Job

KINDS = tuple(each.value for each in Action if each not in (Action.HOLD, Action.NONE))


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that shape a plan, as click gives them; an invalid one is refused before any file is read."""

    targets: Sequence[str] = ()
    excludes: Sequence[str] = ()
    replaces: Sequence[str] = ()
    allows: Sequence[tuple[str, str]] = ()
    only: str | None = None
    prune_unrecorded: bool = False
    override_freeze: str | None = None
    parallelism: int = 10
    rate: float | None = None
    wait: float = 120.0
    lock_timeout: float = 60.0
    grace: float | None = None
    policy_from: str | None = None

    def __post_init__(self) -> None:
        self.policy()

    @property
    def allows_unreviewed(self) -> bool:
        return any(key == UNREVIEWED for key, _ in self.allows)

    def shaping(self) -> list[str]:
        """Return the names of the given flags that make the plan differ from that of the files alone."""
        given = (
            ("--target", self.targets),
            ("--exclude", self.excludes),
            ("--replace", self.replaces),
            ("--only", self.only),
            ("--prune-unrecorded", self.prune_unrecorded),
        )
        return [name for name, is_given in given if is_given]

    def selection(self) -> Selection:
        return Selection(tuple(self.targets), tuple(self.excludes), tuple(self.replaces))

    def policy(self) -> Policy:
        limits, hosts, beside = read_allows(self.allows)
        if self.override_freeze is not None and not self.override_freeze.strip():
            raise click.BadParameter("--override-freeze needs a reason, which is recorded")
        return Policy(
            limits,
            hosts,
            beside,
            None if self.only is None else read_kinds("--only", self.only),
            self.prune_unrecorded,
            override_freeze=(self.override_freeze or "").strip(),
        )


def make_job(session: Session, flags: Flags, *, destroying: bool = False) -> Job:
    """Return the job for a session and its flags. Raises click's usage errors for invalid flags."""
    if flags.rate is not None and isinstance(session.provider, Paced):
        session.provider.start_at(Pace(flags.rate))
    usual, connection = Settings(), session.connection
    graces = (flags.grace, connection.grace, usual.grace)
    from reconciler.cli.base_policy import with_team_policy

    fleet, policy = with_team_policy(session.fleet, flags, str(session.directory), session.output)
    return Job(
        fleet=fleet,
        app_id=session.connection.project,
        selection=flags.selection(),
        policy=policy,
        settings=Settings(
            parallelism=flags.parallelism,
            wait=flags.wait,
            grace=next(each for each in graces if each is not None),
            proven_after=usual.proven_after if connection.proven_after is None else connection.proven_after,
        ),
        lock_timeout=flags.lock_timeout,
        destroying=destroying,
        memory=session.memory,
    )


def parse_address(text: str, *, or_file: bool = False) -> Address:
    """Return an address given on the command line. Raises `UsageError` if the text is not an address.

    `or_file`: the text might have been the name of a file that is not there.
    """
    try:
        return Address.parse(text)
    except ValueError as problem:
        missing = f"there is no file {text}, and " if or_file else ""
        raise UsageError(f"{missing}{problem}", hint="`reconciler status` lists addresses") from problem


def read_kinds(flag: str, text: str, words: Mapping[str, frozenset[Action]] = {}) -> frozenset[Action]:
    """Return the kinds of change in a comma-separated list, or those that a single word of `words` stands for.

    Raises `click.BadParameter` for an unknown kind and for an empty list.
    """
    named = [each.strip() for each in text.split(",") if each.strip()]
    if len(named) == 1 and named[0] in words:
        return words[named[0]]
    unknown = [each for each in named if each not in KINDS]
    if unknown or not named:
        known = " and ".join((", ".join(KINDS), *words))
        raise click.BadParameter(f'{flag} knows {known}; not "{", ".join(unknown) or text}"')
    return frozenset(map(Action, named))
