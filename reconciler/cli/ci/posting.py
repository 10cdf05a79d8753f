"""Posts reports where a change is reviewed, one text for each fleet and environment, written anew by each run.

Plans and applies are comments on a pull request; drift is an issue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from reconciler.cli.ci.job import perform, request_of, text_of, this_job
from reconciler.cli.output import MASKER, Output
from reconciler.codehosts import Posted, sticky
from reconciler.codehosts.settings import CodeHostJob
from reconciler.errors import ReconcilerError, UsageError
from reconciler.ports import Steps
from reconciler.report import markers

_TOO_LONG = (
    "{marker}\n\n### {owner}: this report is longer than a comment\n\n"
    "It has {length:,} characters, and a comment takes {most:,}. **Nothing of it is shown here: read all of it {place} "
    "before you approve.**\n"
)


def post_comments(file: str, number: int | None, output: Output, *, is_applied: bool) -> None:
    """Post or rewrite one comment for each report of a file.

    Raises `ReconcilerError` if a report is longer than a comment may be; its comment says so instead.
    """
    settings = this_job()
    reports = _reports_in(file, markers.PLAN)
    if is_applied:
        reports = tuple(each.of_kind(markers.APPLY) for each in reports)
    most = settings.host.longest
    texts = [MASKER.mask(_within(each, most)) for each in reports]
    long = [report.owner for report, text in zip(reports, texts, strict=True) if len(text) > most]
    texts = [
        text if len(text) <= most else _too_long(report, len(text), settings)
        for report, text in zip(reports, texts, strict=True)
    ]

    def steps() -> Steps[tuple[int, list[sticky.PostResult]]]:
        request = yield from request_of(settings, number)
        login = yield from settings.host.login()
        comments = settings.host.comments(request)
        did = []
        for report, text in zip(reports, texts, strict=True):
            did.append((yield from sticky.put(comments, login, _marker(report), text)))
        return request, did

    request, did = perform(steps())
    for report, each in zip(reports, did, strict=True):
        output.say(f"{report.owner}: comment on #{request} {each}")
    if long:
        raise ReconcilerError(
            f"longer than a comment may be ({most:,} characters): {', '.join(long)}; the comment says so",
            hint="show the plan on the job's page, or plan fewer agents with --target",
        )


def _within(report: markers.Marked, most: int) -> str:
    """Return the text of a report; that of an apply without its plan, if both do not fit."""
    is_short = report.kind == markers.APPLY and len(report.text) > most
    return report.without_plan() if is_short else report.text


def _too_long(report: markers.Marked, length: int, settings: CodeHostJob) -> str:
    """Return the text that replaces a report longer than a comment, so that no older report stays there."""
    place = f"on [the page of this job]({settings.page})" if settings.page else "on the page of the job"
    marker, most = _marker(report), settings.host.longest
    return _TOO_LONG.format(marker=marker, owner=report.owner, length=length, most=most, place=place)


# --- issues

# The exit codes of `drift`; any other says that the check failed.
_NONE, _DRIFT = 0, 2
_ROOM = 600
# The last line, which each run writes anew, and the note below the marker after a failed check.
_CHECKED = re.compile(r"\n+_Last checked [^\n]*_\n*\Z")
_CHECK_FAILED = (
    "> [!WARNING]\n> **The check failed: nobody knows whether this is still so.** The job's log says why.\n\n"
)


def keep_issues(file: str, code: int, owner: str | None, output: Output) -> None:
    """Open, rewrite, reopen or close an issue for each report of a file, by the exit code of `drift`."""
    settings = this_job()
    if owner is not None and not markers.is_owner(owner):
        raise UsageError(
            f'"{owner}" is no fleet and environment', hint="write hotel-desk.prod, or hotel-desk.-"
        )
    reports = _reports(file, code, owner)
    if not reports:
        output.say(
            "warning: the check failed and its report names no fleet, so no issue was changed; "
            "--fleet FLEET.ENV says whose it is [ci]",
            level="warning",
        )
        return
    checked = _checked(settings)

    def steps() -> Steps[list[sticky.PostResult]]:
        login = yield from settings.host.login()
        did = []
        for each in reports:
            shelf = settings.host.issues(f"Voice agents have drifted: {each.owner}")
            marker = _marker(each)
            body = _body(each, code, checked, settings)
            wanted = None if code not in (_NONE, _DRIFT) else _is_drift(each, code, len(reports))
            did.append((yield from sticky.put_with(shelf, login, marker, body, is_open=wanted)))
        return did

    for report, did in zip(reports, perform(steps()), strict=True):
        output.say(f"{report.owner}: issue {did}")


def _reports(file: str, code: int, owner: str | None) -> tuple[markers.Marked, ...]:
    """Return the reports of a file. After a failed check it may have none: then one of `owner` without text."""
    found: tuple[markers.Marked, ...] = ()
    if code in (_NONE, _DRIFT):
        found = _reports_in(file, markers.DRIFT)
    else:
        with suppress(UsageError, OSError):
            found = _reports_in(file, markers.DRIFT)
    if owner is None:
        return found
    mine = tuple(each for each in found if each.owner == owner)
    if found and not mine:
        raise UsageError(f"{file} has no report on {owner}; it has {', '.join(each.owner for each in found)}")
    return mine or (markers.Marked(markers.DRIFT, owner, markers.marker(markers.DRIFT, owner) + "\n"),)


def _is_drift(report: markers.Marked, code: int, count: int) -> bool:
    """Return whether a report shows drift: with several reports the exit code is that of the worst."""
    return code == _DRIFT and (count == 1 or "\n### No drift." not in report.text)


def _body(
    report: markers.Marked, code: int, checked: str, settings: CodeHostJob
) -> Callable[[Posted | None], str]:
    """Return a function from the issue's present text to its new one; after a failed check the present text stays."""

    def made(old: Posted | None) -> str:
        text, note = MASKER.mask(report.text), ""
        if code not in (_NONE, _DRIFT):
            text = old.body.replace("\r\n", "\n") if old is not None else text
            note = _CHECK_FAILED
        rest = _CHECKED.sub("", text).split("\n", 1)[-1].replace(_CHECK_FAILED, "").strip("\n")
        if len(rest) > settings.host.longest - _ROOM:
            rest = f"### {report.owner} has drifted\n\nThe report is longer than an issue; the job's page shows it."
        return f"{_marker(report)}\n\n{note}{rest}\n\n_Last checked {checked}_\n"

    return made


def _checked(settings: CodeHostJob) -> str:
    """Return when and where the check ran, so that a reader sees whether the check itself still runs."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"{now}, by [this job]({settings.page})." if settings.page else f"{now}."


# --- both


def _reports_in(file: str, kind: str) -> tuple[markers.Marked, ...]:
    """Return the reports of a kind in a Markdown file. Raises `UsageError` if there is none, or two of one fleet."""
    reports = tuple(each for each in markers.split(text_of(file)) if each.kind == kind)
    if not reports:
        raise UsageError(
            f"{file} has no line {markers.marker(kind, 'FLEET.ENV')}, so it is no Markdown of `{kind}`",
            hint=f"write it with `reconciler {kind} --format markdown`; where that failed, there is nothing to post",
        )
    owners = [each.owner for each in reports]
    if len(set(owners)) < len(owners):
        twice = next(each for each in owners if owners.count(each) > 1)
        raise UsageError(f"{file} has two reports on {twice}; a comment can show one")
    return reports


def _marker(report: markers.Marked) -> str:
    return markers.marker(report.kind, report.owner)
