"""Makes lines with signs from the fields of rows: the part of a change that text, Markdown and HTML have in common.

A changed value is never cut here, because the person who approves a prompt must be able to read it. A sink without room
for all of it says how much is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from reconciler.diagnostics import plural
from reconciler.model.spec import describe
from reconciler.model.tree import dotted
from reconciler.plan.diff import Absent
from reconciler.plan.steps import (
    AwaitGone,
    AwaitRunning,
    CallJoin,
    CallLeave,
    CallUpdate,
    DropMemory,
    Remember,
    Step,
    steps_of,
)
from reconciler.report.alike import HOLES, Hole, Merged, merge
from reconciler.report.escape import visible
from reconciler.report.line_diff import Piece, text_diff
from reconciler.report.masked_values import Side, in_line, is_long, is_text
from reconciler.report.style import Style
from reconciler.report.view import FEW, ChangeRow, Field, Value
from reconciler.values import dataclass

# Braces that would read as our marks around added, removed or varying words, inside a text and at its edges.
_MARK = re.compile(r"\{(?=[-+~])|(?<=[-+~])\}")
_EDGE = re.compile(r"^\}|\{$")


@dataclass(frozen=True, slots=True)
class Shown:
    """One line below a change: `sign` is one of `+ - ~` or a space, `depth` its level of indentation."""

    sign: str
    depth: int
    text: str


class FieldLines:
    """Writes fields as lines. A text that many rows share is written once, and later rows refer to the first.

    `two_sided` writes a changed line of a text as an old and a new line, for diff viewers.
    """

    def __init__(self, style: Style, *, two_sided: bool = False) -> None:
        self._style = style
        self._two_sided = two_sided
        self._seen: dict[object, str] = {}
        self._holes: dict[str, str] = {}
        self._has_shown_hole = False

    def of(self, field: Field, owner: str) -> Iterator[Shown]:
        """Yield a field as lines; `owner` names the row that it belongs to."""
        forces = f"   {self._style.paint('# forces replacement', 31)}" if field.forces else ""
        name = self._plain(field.path)
        if not any(is_long(each.before) or is_long(each.after) for each in field.values):
            yield Shown(field.sign, 0, f"{name} = {self._in_line(field)}{forces}")
            return
        if field.count == 1:
            yield from self._lines(field, name, owner, field.values[0], forces, "", {})
            return
        agents = sum(each.agents for each in field.values)
        kinds = _alike(field.values)
        for value, merged in kinds:
            whose = f"{value.agents:,} of {agents:,} agents, {visible(str(value.first))} first; "
            note = f"{whose if len(kinds) > 1 else ''}{plural(len(merged.members), 'text', 'texts')}"
            yield from self._lines(field, name, owner, value, forces, note, merged.holes)
        if field.count > sum(len(each.members) for _, each in kinds):
            note = f"{field.count:,} texts in all; --full shows each"
            yield Shown(field.sign, 0, f"{name}:{self._note(note)}")

    def _lines(
        self,
        field: Field,
        name: str,
        owner: str,
        value: Value,
        forces: str,
        note: str,
        holes: Mapping[str, Hole],
    ) -> Iterator[Shown]:
        """Yield the lines of a value with a long text, or a reference to the row that shows the same lines."""
        self._holes = {each: self._hole(hole) for each, hole in holes.items()}
        self._has_shown_hole = False
        title, found = self._text(value.before, value.after)
        key = (repr(value.before), repr(value.after), tuple(holes.items()))
        first = self._seen.setdefault(key, owner)
        lines = list(found) if first == owner else []
        if first != owner:
            title = f"{title} {self._style.dim(self._style.text(f'as for {visible(first)}'))}"
        if self._has_shown_hole:
            note += "; what varies is marked"
        self._holes = {}
        yield Shown(field.sign, 0, f"{name}{title}{self._note(note)}{forces}")
        yield from lines

    def _note(self, note: str) -> str:
        return f"   {self._style.dim(self._style.text(f'# {note}'))}" if note else ""

    def _text(self, before: Side, after: Side) -> tuple[str, Iterator[Shown]]:
        """Return the text behind the field's name, and the lines below it."""
        arrow = self._style.text("->")
        if is_text(before) and is_text(after):
            return ":", self._text_lines(str(before), str(after))
        if is_long(after):
            title = ":" if isinstance(before, Absent) else f" = {self._value(before)} {arrow}"
            return title, self._whole("+", str(after))
        title = ":" if isinstance(after, Absent) else f" {arrow} {self._value(after)}:"
        return title, self._whole("-", str(before))

    # --- short values ---------------------------------------------------------------------------------------

    def _in_line(self, field: Field) -> str:
        few = field.values[: FEW + (field.count == FEW + 1)]
        befores = [each.before for each in few]
        afters = [each.after for each in few]
        more = [] if len(few) == field.count else ["…"]
        arrow = f" {self._style.text('->')} "
        if isinstance(befores[0], Absent):
            text = self._one_of(afters, "+", more)
        elif isinstance(afters[0], Absent):
            text = self._one_of(befores, "-", more)
        elif len({in_line(each) for each in befores}) == 1 or len({in_line(each) for each in afters}) == 1:
            text = f"{self._one_of(befores, '-', more)}{arrow}{self._one_of(afters, '+', more)}"
        else:
            pairs = [
                f"{self._value(a, '-')}{arrow}{self._value(b, '+')}"
                for a, b in zip(befores, afters, strict=True)
            ]
            text = " | ".join([*pairs, *more])
        if field.count == 1:
            return text
        return f"{text}{self._note(plural(field.count, 'value', 'values'))}"

    def _one_of(self, values: Sequence[Side], kind: str, more: Sequence[str]) -> str:
        distinct = list(dict.fromkeys(self._value(each, kind) for each in values))
        return " | ".join([*distinct, *(more if len(distinct) > 1 or len(values) == 1 else [])])

    def _value(self, value: Side, kind: str = " ") -> str:
        text = self._style.text(_spelled(in_line(value)))
        return self._painted(kind, text)

    def _painted(self, kind: str, text: str) -> str:
        return {"+": self._style.added, "-": self._style.removed}.get(kind, str)(text)

    # --- long texts -----------------------------------------------------------------------------------------

    def _whole(self, sign: str, text: str) -> Iterator[Shown]:
        """Yield the lines of a text that is all new or all old."""
        for line in text.split("\n"):
            yield Shown(sign, 1, self._painted(sign, self._plain(line)))

    def _text_lines(self, before: str, after: str) -> Iterator[Shown]:
        for line in text_diff(before, after):
            if line.mark == "~" and self._two_sided:
                yield Shown("-", 1, self._marked([each for each in line.pieces if each.kind != "+"]))
                yield Shown("+", 1, self._marked([each for each in line.pieces if each.kind != "-"]))
            elif line.mark == "@":
                yield Shown(" ", 1, self._style.dim(line.pieces[0].text))
            elif line.mark in ("+", "-"):
                yield Shown(line.mark, 1, self._painted(line.mark, self._plain(line.pieces[0].text)))
            else:
                yield Shown(line.mark, 1, self._marked(line.pieces))

    def _marked(self, pieces: Sequence[Piece]) -> str:
        return "".join(map(self._piece, pieces))

    def _piece(self, piece: Piece) -> str:
        if piece.kind == " ":
            return self._plain(piece.text)
        if self._style.colour:
            return self._style.marked(piece.kind, self._plain(piece.text))
        return f"{{{piece.kind}{_spelled(self._plain(piece.text), _EDGE)}{piece.kind}}}"

    def _plain(self, text: str) -> str:
        """Return foreign text with invisible characters and our marks escaped, and holes shown by their values."""
        if not self._holes:
            return self._style.text(_spelled(visible(text)))
        shown, at = "", 0
        for found in HOLES.finditer(text):
            self._has_shown_hole = True
            shown += self._style.text(_spelled(visible(text[at : found.start()]))) + self._holes.get(
                found[0], ""
            )
            at = found.end()
        return shown + self._style.text(_spelled(visible(text[at:])))

    def merged(self, found: Merged) -> str:
        """Return the text of a merged row, on one line."""
        self._holes = {each: self._hole(hole) for each, hole in found.holes.items()}
        text = self._plain(found.texts[0])
        self._holes = {}
        return text

    def _hole(self, hole: Hole) -> str:
        """Return the first values of a hole, between marks."""
        values = [_spelled(_spelled(visible(each)), _EDGE) or "(nothing)" for each in hole.values]
        more = [f"… {hole.count:,} values"] if hole.count > len(values) else []
        text = self._style.text(" | ".join([*values, *more]))
        return self._style.marked("~", text) if self._style.colour else f"{{~{text}~}}"


def _alike(values: Sequence[Value]) -> list[tuple[Value, Merged]]:
    """Return values with long texts, similar ones merged into one."""
    # Read once, and not kept: there may be a text for each agent.
    texts = ((_text(each.before), _text(each.after)) for each in values)
    found = []
    for merged in merge(texts, ((_other(each.before), _other(each.after)) for each in values)):
        value = values[merged.members[0]]
        before, after = (
            text if is_text(side) else side
            for side, text in zip((value.before, value.after), merged.texts, strict=True)
        )
        agents = sum(values[each].agents for each in merged.members)
        found.append((Value(before, after, value.first, agents), merged))
    return found


def _text(side: Side) -> str:
    return str(side) if is_text(side) else ""


def _other(side: Side) -> str:
    """Return a value that is no text in words."""
    return "" if is_text(side) else in_line(side)


def row_steps(row: ChangeRow) -> list[str]:
    """Return the steps of an apply for a row; for several agents, the steps of the first."""
    steps = [f"{number}. {visible(_step_words(step))}" for number, step in enumerate(steps_of(row.change), 1)]
    whose = f"the steps of {visible(str(row.address))}; those of the others are alike"
    return [*([whose] if len(row.addresses) > 1 else []), *(steps or ["no steps: it is not done"])]


def _step_words(step: Step) -> str:
    """Return what a step does, for `--explain`."""
    match step:
        case CallLeave(target):
            return f"leave agent {target.agent_id}"
        case AwaitGone(agent_id):
            return f"wait until agent {agent_id} has ended"
        case CallJoin(other_uid):
            return f"join the next agent{' under its other uid' if other_uid else ''}"
        case AwaitRunning():
            return "wait until the new agent runs"
        case CallUpdate(values, token):
            paths = [describe(("properties", *path)) for path in sorted(values, key=dotted)]
            return f"update {', '.join([*paths, *(['the token'] if token else [])])}"
        case Remember():
            return "write the running agent into the state"
        case DropMemory():
            return "drop its record"
        case _:
            assert_never(step)


def row_texts(texts: Sequence[str], all_of_them: str = "`--full` spells each") -> list[str]:
    """Return reasons with invisible characters escaped; of those that differ in a few words the first, and their number.

    A reason names agents, channels and commands in many places, so it is not readable with all values in each place.
    """
    if len(texts) < 2:
        return [visible(each) for each in texts]
    found = merge([(text,) for text in texts], [None] * len(texts))
    shown = []
    for each in found:
        more = f"; and {len(each.members) - 1:,} more like this ({all_of_them})" if each.holes else ""
        shown.append(f"{visible(texts[each.members[0]])}{more}")
    left = len(texts) - sum(len(each.members) for each in found)
    return [*shown, *([f"and {left:,} other texts ({all_of_them})"] if left else [])]


def merged_texts(texts: Sequence[str]) -> list[str]:
    """Return texts with invisible characters escaped; those that differ in a few words as one, with the first values."""
    lines = FieldLines(Style(colour=False))
    return [lines.merged(each) for each in merge([(text,) for text in texts], [None] * len(texts))]


def _spelled(text: str, marks: re.Pattern[str] = _MARK) -> str:
    return marks.sub(lambda brace: f"\\u{{{ord(brace[0]):x}}}", text)
