"""The summary at the end of an apply: every change with its result, why changes were not made, and how to go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.errors import ReadAbandoned, ReconcilerError
from reconciler.model.address import Address
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Hold
from reconciler.report.actions import WORDS
from reconciler.report.addresses import BRACES, WIDEST, braced, every, shortened
from reconciler.report.alike import grouped_by
from reconciler.report.documents import as_json_line
from reconciler.report.escape import code, fenced, prose, visible
from reconciler.report.fieldlines import row_texts
from reconciler.report.folding import folded, in_lines
from reconciler.report.formats import RenderOptions
from reconciler.report.groups import nameless
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.markdown import BUDGET
from reconciler.report.problems import render_error
from reconciler.report.progress import finished_tree, outcome
from reconciler.report.style import Style
from reconciler.values import dataclass

# The word for each result that is not done, and the title of its section; what needs a person comes first.
_UNFINISHED = {
    Result.FAILED: ("failed", "Failed"),
    Result.UNKNOWN: ("of unknown outcome", "Of unknown outcome (the next apply finds out)"),
    Result.HELD: ("held", "Held"),
    Result.DEFERRED: ("deferred", "Deferred, until the time that is named"),
    Result.SKIPPED: ("skipped", "Skipped"),
}

# How each kind of hold is lifted, in the order of the output.
_LIFTS = {
    Because.PROTECTED: "protected: write `protect: false` for it under `lifecycle` and apply; an agent that the files "
    "dropped is declared once more with that",
    Because.UNRECORDED: "not in the state: `--prune-unrecorded` leaves it, if no other checkout wants it",
    Because.BACKING_OFF: "waiting after failures: a later apply tries again, `--replace ADDRESS` tries now",
    Because.DEFERRED: "deferred: an apply from the time that is named does it; a saved plan holds what it showed as held, "
    "so plan again then",
    Because.FROZEN: "frozen: the same command goes on when the freeze ends, `--override-freeze REASON` lifts it once",
    Because.UNREVIEWED: "not reviewed: a new plan shows it to reviewers, `--allow unreviewed` does it at once",
    Because.NOT_IN_ONLY: "left out by --only: apply without it, or name that kind, too",
    Because.KEPT_ENDING: "ended again and again by somebody: `reconciler apply --target ADDRESS` joins it",
    Because.OTHER_VERSION: "of another version: `--replace ADDRESS` replaces it and ends its conversation",
}


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an apply for a report: its ledger, what comes after the counts, and its plan if that is known.

    `command` goes on with what is left, if something can; `lifts` say how holds are lifted; `verb` is Apply or Destroy.
    """

    ledger: Ledger
    command: str = ""
    lifts: tuple[str, ...] = ()
    plan: Plan | None = None
    verb: str = "Apply"

    @property
    def verdict(self) -> str:
        """How the run ended, in two words."""
        ended = "complete" if self.ledger.is_complete else "incomplete"
        return f"{self.verb} {'interrupted' if self.ledger.interrupted else ended}"

    @property
    def resume(self) -> str:
        """The command to go on with; empty after a complete run."""
        return "" if self.ledger.is_complete else self.command

    @property
    def error(self) -> ReconcilerError | None:
        """The error that broke the run; not one that only says that it was told to stop, which is reported elsewhere."""
        broken = self.ledger.broken
        return None if self.ledger.interrupted and isinstance(broken, ReadAbandoned) else broken

    @property
    def notices(self) -> list[str]:
        """The notices, without the one that repeats the error that stopped the run."""
        broken = self.ledger.broken
        return [each for each in self.ledger.notices if broken is None or broken.message not in each]

    @property
    def afterwards(self) -> Iterator[str]:
        """The sentences after the counts."""
        if self.ledger.interrupted:
            yield "Calls in flight were finished or are recorded."
        if self.ledger.counts()[Result.HELD]:
            yield from (f"To lift a hold: {each}" for each in self.lifts)


def lifts_of(plan: Plan) -> tuple[str, ...]:
    """Return how the holds of a plan are lifted, a line for each kind."""
    found = {change.reason.because for change in plan.changes if isinstance(change, Hold)}
    return tuple(text for because, text in _LIFTS.items() if because in found)


def render_text(finish: Finish, options: RenderOptions = RenderOptions()) -> str:
    """Return the final summary; `full` shows each agent by itself.

    `quiet` leaves out what was done. It adds the notices, since a quiet run did not print them when they came.
    """
    ledger = finish.ledger
    style, width, quiet = Style(options.colour), options.columns, options.quiet
    blocks = ["\n".join(_section_lines(each, style, width)) for each in sections(ledger, full=options.full)]
    if finish.error is not None:
        blocks.append(render_error(finish.error, colour=options.colour))
    if quiet and finish.notices:
        blocks.append("\n".join(f"{style.warning('notice:')} {visible(each)}" for each in finish.notices))
    if not ledger.is_complete and not quiet and (done := done_by_kind(ledger)):
        lines = [
            line for action, addresses in done for line in _named(WORDS[action].done, addresses, style, width)
        ]
        blocks.append("\n".join([style.bold("Done"), *lines]))
    paint = style.good if ledger.is_complete else style.error
    last = paint(f"{finish.verdict}:") + f" {tally(ledger)}."
    last += "".join(f"\n{visible(each)}" for each in finish.afterwards)
    text = folded("\n\n".join([*blocks, last]) + "\n", width)
    if finish.resume:  # the terminal may break it: it can be pasted nevertheless
        text += folded(f"To go on: {visible(finish.resume)}\n")
    return text


def render_markdown(finish: Finish, options: RenderOptions = RenderOptions()) -> str:
    """Return the final summary for a job's page or a comment; it names every address, if need be as shell braces."""
    text = _markdown(finish, every, options.full)
    return text if len(text) <= BUDGET else _markdown(finish, _braced, options.full)


def render_json(finish: Finish, options: RenderOptions) -> str:
    """Return the last line of an apply."""
    return as_json_line(ledger_tree(finish.ledger))


def _braced(addresses: Iterable[Address]) -> list[str]:
    return in_lines(braced(addresses), WIDEST, " ")


def _markdown(finish: Finish, named: Callable[[Iterable[Address]], list[str]], full: bool) -> str:
    ledger = finish.ledger
    mark = "✅" if ledger.is_complete else "❌"
    lines = [f"### {mark} {finish.verdict}: {tally(ledger)}", ""]
    for section in sections(ledger, full=full):
        lines += [f"**{section.title}**", ""]
        for addresses, outcomes in section.groups:
            subject = code(str(addresses[0])) if len(addresses) == 1 else f"**{len(addresses):,} agents**"
            lines += [f"- {subject}: {prose(each)}" for each in outcomes]
            if len(addresses) > 1:
                block = fenced(named(addresses))
                lines += ["", *(f"  {line}" for line in block.split("\n")), ""]
        lines.append("")
    if (error := finish.error) is not None:
        lines += [f"> [!WARNING]\n> {prose(error.message)} {prose(error.hint or '')}".rstrip(), ""]
    lines += [f"> {prose(each)}\n" for each in finish.notices]
    if done := done_by_kind(ledger):
        lines += [
            f"<details><summary>{ledger.counts()[Result.DONE]:,} done</summary>",
            "",
            *(f"- {WORDS[action].done}: {prose(' '.join(named(addresses)))}" for action, addresses in done),
            "",
        ]
        lines += ["</details>", ""]
    if named is _braced:
        lines.append(f"{BRACES.replace('`', '')}\n")
    lines += [f"{prose(each)}\n" for each in finish.afterwards]
    if finish.resume:
        lines.append(f"To go on: {code(finish.resume)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def ledger_tree(ledger: Ledger) -> dict[str, Any]:
    """Return the final summary as a plain tree."""
    broken = ledger.broken
    return {
        "format_version": FORMAT_VERSION,
        "type": "apply_finished",
        "complete": ledger.is_complete,
        "interrupted": ledger.interrupted,
        "error": None
        if broken is None
        else {"rule": broken.rule, "message": broken.message, "hint": broken.hint},
        "summary": {result.value: count for result, count in ledger.counts().items()},
        "changes": [finished_tree(each) for each in ledger.finished],
        "notices": list(ledger.notices),
    }


def tally(ledger: Ledger) -> str:
    """Return `2 joined, 1 updated; 1 failed`, in the order of the plan's summary."""
    done = Counter(row.action for row in ledger.finished if row.result is Result.DONE)
    good = [f"{done[action]:,} {WORDS[action].done}" for action in Action if done[action]]
    counts = ledger.counts()
    bad = [f"{counts[result]:,} {_words(ledger, result)[0]}" for result in _UNFINISHED if counts[result]]
    return "; ".join(part for part in (", ".join(good), ", ".join(bad)) if part) or "nothing was done"


def _words(ledger: Ledger, result: Result) -> tuple[str, str]:
    """Return the word for a result and its title; unknown changes of an interrupted run are called interrupted."""
    if ledger.interrupted and result is Result.UNKNOWN:
        return "interrupted", "Interrupted in flight (the next apply finds out)"
    return _UNFINISHED[result]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The changes with one result that is not done: a title, and groups of addresses with the same lines of text."""

    title: str
    result: Result
    groups: list[tuple[list[Address], list[str]]]


def sections(ledger: Ledger, *, full: bool = False) -> Iterator[Unfinished]:
    """Yield the unfinished changes, those that need a person first; `full` makes a group of each address."""
    for result in _UNFINISHED:
        rows = [each for each in ledger.finished if each.result is result]
        if rows:
            groups = [([row.address for row in group], _outcomes(group)) for group in _alike(rows, full)]
            yield Unfinished(_words(ledger, result)[1], result, groups)


def _section_lines(section: Unfinished, style: Style, width: int) -> Iterator[str]:
    paint = style.error if section.result in (Result.FAILED, Result.UNKNOWN) else style.warning
    yield paint(section.title)
    for addresses, [first, *others] in section.groups:
        named = shortened(addresses, min(width - 7, WIDEST))
        if len(named) == 1:
            yield f"  {style.bold(named[0])}: {first}"
        else:
            yield f"  {style.bold(f'{len(addresses):,} agents')}: {first}"
        yield from (f"      {each}" for each in others)
        yield from (f"      {each}" for each in named if len(named) > 1)


def _alike(rows: list[Finished], full: bool) -> tuple[tuple[Finished, ...], ...]:
    """Return the rows in groups whose texts differ only in agents' names and ids."""
    if full:
        return tuple((row,) for row in rows)
    return grouped_by(
        rows,
        lambda row: (
            row.action,
            nameless(row.detail, str(row.address), row.address.channel, row.address.name, row.agent_id),
        ),
    )


def _outcomes(group: Sequence[Finished]) -> list[str]:
    """Return the results of a group's changes, with the agent's id if there is one agent."""
    if len(group) == 1:
        return [outcome(group[0])]
    details = row_texts(tuple(dict.fromkeys(row.detail for row in group)))
    bare = outcome(replace(group[0], detail="", agent_id=""))
    return [f"{bare}: {each}" if each else bare for each in details]


def done_by_kind(ledger: Ledger) -> list[tuple[Action, list[Address]]]:
    """Return the addresses of the changes that were made, by kind."""
    done = [row for row in ledger.finished if row.result is Result.DONE]
    return [
        (rows[0].action, [row.address for row in rows]) for rows in grouped_by(done, lambda row: row.action)
    ]


def _named(word: str, addresses: Sequence[Address], style: Style, width: int) -> Iterator[str]:
    """Yield `  joined: a, b, c`, with further lines below the first address."""
    for number, line in enumerate(shortened(addresses, min(width - len(word) - 5, WIDEST))):
        yield f"{' ' * (len(word) + 4)}{style.good(line)}" if number else f"  {style.good(f'{word}: {line}')}"
