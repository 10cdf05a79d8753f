"""What `status --all` says of each agent, with the line that adopts it, at every width."""

from __future__ import annotations

import pytest

from reconciler.report.formats import RenderOptions, ReportKind, named
from reconciler.report.survey import SurveyReport, SurveyRow

ID = "A42KB20JB10CG53VV33ML62CL46UT72C"
STRAY = SurveyRow(
    ID, "night desk", "RUNNING", 60.0, "night-desk", "", f"adopt: {ID}", "night-desk/night-desk"
)
OWNED = SurveyRow(ID, "n" * 64, "RUNNING", 60.0, "c" * 20, "hotel-desk.prod", f"adopt: {ID}")


def shown(*rows: SurveyRow, width: int | None = None) -> str:
    report = SurveyReport(rows, running=len(rows))
    return named("text").render(ReportKind.SURVEY, report, RenderOptions(width=width))


def test_without_a_width_an_agent_has_two_lines() -> None:
    assert shown(STRAY).splitlines()[1:3] == [
        "  night desk  RUNNING  1m  channel night-desk",
        f"      adopt: {ID}    # under night-desk/night-desk",
    ]


@pytest.mark.parametrize("width", [80, 40])
def test_lines_fit_the_terminal_and_the_line_that_adopts_is_whole(width: int) -> None:
    lines = shown(STRAY, OWNED, width=width).splitlines()
    assert [line for line in lines if len(line) > width and line.strip() != OWNED.name] == []
    assert [line.partition("    #")[0].strip() for line in lines].count(f"adopt: {ID}") == 2
    assert any(line.endswith("# under night-desk/night-desk") for line in lines)


def test_import_is_named_where_it_would_write_something() -> None:
    assert "import --running" in shown(STRAY, OWNED)
    assert "import --running" not in shown(OWNED)
    assert "import --running" not in shown()
