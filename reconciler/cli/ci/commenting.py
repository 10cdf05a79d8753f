"""Posts reports as comments on a pull request, one for each fleet and environment, written anew by each run."""

from __future__ import annotations

from reconciler.cli.ci.job import perform, request_of, text_of, this_job
from reconciler.cli.output import MASKER, Output
from reconciler.codehosts import sticky
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
    reports = reports_in(file, markers.PLAN)
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


def reports_in(file: str, kind: str) -> tuple[markers.Marked, ...]:
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


def _within(report: markers.Marked, most: int) -> str:
    """Return the text of a report; that of an apply without its plan, if both do not fit."""
    is_short = report.kind == markers.APPLY and len(report.text) > most
    return report.without_plan() if is_short else report.text


def _marker(report: markers.Marked) -> str:
    return markers.marker(report.kind, report.owner)


def _too_long(report: markers.Marked, length: int, settings: CodeHostJob) -> str:
    """Return the text that replaces a report longer than a comment, so that no older report stays there."""
    place = f"on [the page of this job]({settings.page})" if settings.page else "on the page of the job"
    marker, most = _marker(report), settings.host.longest
    return _TOO_LONG.format(marker=marker, owner=report.owner, length=length, most=most, place=place)
