"""Keeps one issue for each fleet and environment that drifts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from reconciler.cli.ci.commenting import reports_in
from reconciler.cli.ci.job import perform, this_job
from reconciler.cli.output import MASKER, Output
from reconciler.codehosts import Posted, sticky
from reconciler.codehosts.settings import CodeHostJob
from reconciler.errors import UsageError
from reconciler.ports import Steps
from reconciler.report import markers

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
            marker = markers.marker(markers.DRIFT, each.owner)
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
        found = reports_in(file, markers.DRIFT)
    else:
        with suppress(UsageError, OSError):
            found = reports_in(file, markers.DRIFT)
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
        marker = markers.marker(report.kind, report.owner)
        return f"{marker}\n\n{note}{rest}\n\n_Last checked {checked}_\n"

    return made


def _checked(settings: CodeHostJob) -> str:
    """Return when and where the check ran, so that a reader sees whether the check itself still runs."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"{now}, by [this job]({settings.page})." if settings.page else f"{now}."
