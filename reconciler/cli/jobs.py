"""Makes the job of a command from its flags: the selection, what `--allow` and `--only` say, and the team's policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from reconciler.apply.context import Settings
from reconciler.cli.output import Output
from reconciler.cli.parameters import UNREVIEWED
from reconciler.cli.revisions import commit_named
from reconciler.cli.session import Session
from reconciler.config import POLICY_FILE, load_policy
from reconciler.diagnostics import did_you_mean
from reconciler.durations import spelled
from reconciler.errors import InvalidConfig, UsageError
from reconciler.git import Git
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.ports import Pace
from reconciler.providers import Paced
from reconciler.values import dataclass
from reconciler.workflow import Job

# The keys of `--allow`, with UNREVIEWED: the limits that it raises, and what else it allows.
LIMITS = ("hang_ups", "leave", "replace", "join", "quota", "usd_per_day")
SECRET_HOST = "secret-host"
BESIDE = "beside"
_COUNT = re.compile(r"[0-9]{1,7}")
_MONEY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,2})?")
# The longest time until the next run: a day, since no token lives longer, and a late start.
_FURTHEST = 30 * 3600.0
# The kinds of change that `--only` and `--allow-kinds` accept.
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
    horizon: float = 0.0

    def __post_init__(self) -> None:
        self.policy()
        if 0 < self.horizon < 60:
            raise click.BadParameter(
                f"--horizon {spelled(self.horizon)} is less than a minute; a number without a unit is in seconds: write 12h"
            )
        if self.horizon > _FURTHEST:
            raise click.BadParameter(
                f"--horizon is at most {spelled(_FURTHEST)}: tokens live 24h, so a fleet needs a run a day"
            )

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
            ("--horizon", self.horizon),
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
            horizon=flags.horizon,
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
        alone = next((each for each in named if each in words), None)
        if alone is not None:
            raise click.BadParameter(f"{flag} takes {alone} by itself, without other kinds")
        known = " and ".join((", ".join(KINDS), *words))
        meant = did_you_mean(unknown[0], (*KINDS, *words)) if unknown else None
        raise click.BadParameter(
            f'{flag} knows {known}; not "{", ".join(unknown) or text}"{f"; {meant}" if meant else ""}'
        )
    return frozenset(map(Action, named))


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
            known = (*LIMITS, SECRET_HOST, BESIDE, UNREVIEWED)
            meant = did_you_mean(name, known) or f"known are {', '.join(known)}"
            raise click.BadParameter(f'there is no limit "{key}"; {meant}')
        if name in limits:
            raise click.BadParameter(f"--allow {key} is given twice; which one is meant?")
        limits[name] = _read_amount(name, value)
    return limits, frozenset(hosts), tuple(beside)


def _read_amount(name: str, value: str) -> float:
    """Return a raised limit. Only plain digits are accepted: `nan`, `inf` or `1e9` would remove the limit."""
    amount = _MONEY if name == "usd_per_day" else _COUNT
    if amount.fullmatch(value) is None:
        what = "an amount such as 500 or 499.50" if amount is _MONEY else "a whole number such as 5"
        more = "; repeat --allow for another limit" if "," in value else ""
        raise click.BadParameter(f'--allow {name} wants {what}, not "{value[:40]}"{more}')
    return float(value)


def with_team_policy(
    fleet: DesiredFleet, flags: Flags, directory: str, output: Output
) -> tuple[DesiredFleet, Policy]:
    """Return the fleet and the run's policy, both restricted by the policy of the commit that `--policy-from` names.

    Raises `UsageError` if the commit is missing or its policy cannot be read.
    """
    policy = flags.policy()
    if flags.policy_from is None:
        return fleet, policy
    git = Git(Path(directory))
    commit = commit_named(git, flags.policy_from)
    if not git.read("ls-tree", "--full-tree", commit, POLICY_FILE):
        output.warn_once(f"{flags.policy_from} has no {POLICY_FILE}: no policy restricts this plan")
        return fleet, policy
    text = git.read("cat-file", "blob", f"{commit}:{POLICY_FILE}")
    try:
        team = load_policy((text or b"").decode("utf-8"), POLICY_FILE)
    except UnicodeDecodeError:
        raise UsageError(f"{POLICY_FILE} of {flags.policy_from} is not UTF-8; nothing was done") from None
    except InvalidConfig as problem:
        first = next(each for each in problem.diagnostics if each.is_error)
        more = len(problem.diagnostics) - 1
        raise UsageError(
            f"{first.where}: {first.summary}{f' (and {more:,} more)' if more else ''}; this is the policy of "
            f"{flags.policy_from}, and without it nothing was done",
            hint=first.help
            or "correct it in a change of its own: no plan goes without the policy that it names",
        ) from None
    under = team.over(fleet)
    tightened = frozenset(
        name for name in team.limits if getattr(under.limits, name) != getattr(fleet.limits, name)
    )
    policy = replace(policy, secret_hosts=team.secret_hosts, protect=team.protect, tightened=tightened)
    return under, policy


def team_part(policy: Policy) -> Policy:
    """Return the team's part of a policy: secret hosts and protection, without what the flags of this run allow."""
    return Policy(secret_hosts=policy.secret_hosts, protect=policy.protect)
