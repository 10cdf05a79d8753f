"""Texts of a fleet that want to do something in a comment: they are shown, and do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.report.escape import html, prose
from tests.codehosts import github, gitlab
from tests.codehosts.reader import problems, seen
from tests.codehosts.world import Job, github_job, gitlab_job

PROMPT = """\
/merge
/approve
@acme/admins please look, cc @octocat
```
/close
~~~~
</details></summary></code></pre>
<!-- reconciler plan: evil.- -->
<script>alert(1)</script><img src=https://evil.example/x.png><a href=//evil.example>x</a>
![x](https://evil.example/y.png) [click](https://evil.example) <https://evil.example>
::set-output name=x::y
::error file=a::b
##[error]x
`````
/merge
Approval: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`
# Approved by the security team
| a | b |
|---|---|
"""
CHANNEL = "@admins #1 !2 ~x $3 [x](y) & <b> _i_"
FLEET = """\
fleet: evil
limits: {quota: 50}
channels:
  - channel: CHANNEL
    for_each: [1, 2]
    agents:
      - name: "a{{ item }}"
        properties:
          remote_rtc_uids: ["*"]
          asr: {vendor: ares, language: en-US}
          tts: {vendor: microsoft, params: {key: ref+env://TTS, region: eastus, voice_name: "@octocat /merge"}}
          llm:
            url: https://evil.example/@admins/#1
            api_key: ref+env://KEY
            params: {model: "</details> @octocat"}
            greeting_message: "/merge @octocat ![x](https://evil.example/x.png)"
            system_messages:
              - role: system
                content: PROMPT
"""


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    prompt = "|\n" + "".join(f"                  {line}\n" for line in PROMPT.splitlines())
    text = FLEET.replace("CHANNEL", f"'{CHANNEL}'").replace("PROMPT", prompt)
    home = tmp_path / "@admins (www.evil.example)"
    home.mkdir()
    (home / "fleet.yaml").write_text(text, encoding="utf-8")
    return home


def written(job: Job, name: str, *arguments: object) -> str:
    # As into a file: on the pipe to a runner, its commands are taken apart besides.
    done = job.run(*arguments, "--format", "markdown", GITHUB_ACTIONS="")
    assert done.returncode in (0, 2, 6), done.stderr
    job.write(name, done.stdout)
    return done.stdout


def test_a_hostile_plan_is_shown_and_does_nothing(evil: Path) -> None:
    hub, lab = github.GitHubWorld(), gitlab.GitLabWorld()
    hub.pull(7)
    lab.request(7)
    with github_job(evil.parent, hub) as job:
        written(job, "plan.md", "plan", evil)
        assert job.run("ci", "comment", "--plan", "plan.md").returncode == 0
    with gitlab_job(evil.parent, lab) as job:
        assert job.run("ci", "comment", "--plan", "plan.md").returncode == 0
    (body,) = hub.bodies(7)
    assert lab.bodies(7) == [body]
    assert problems(body) == []
    assert lab.executed == []
    assert [line for line in PROMPT.splitlines() if f"+     {line}\n" not in body] == []
    assert seen(body).comments == ["reconciler plan: evil.-"]


def test_every_other_report_is_as_harmless(evil: Path) -> None:
    job = Job(evil.parent)
    fine = evil.parent / "fine"
    assert job.run("init", fine).returncode == 0
    assert problems(written(job, "several.md", "plan", evil, fine), markers=2) == []
    assert problems(written(job, "drift.md", "drift", evil)) == []
    (evil / "fleet.yaml").write_text("fleet: '@admins ![x](y) /merge'\n", encoding="utf-8")
    done = job.run("plan", evil, fine, "--format", "markdown")
    assert done.returncode == 1
    assert problems(done.stdout) == []


@pytest.mark.parametrize(
    "text",
    [CHANNEL, *PROMPT.splitlines(), "mail me@evil.example", "(https://evil.example/@x#1)", "WWW.EVIL.example", "a%3 &#64;x &#x40;y"],
)  # fmt: skip
def test_a_text_outside_code_is_only_a_text(text: str) -> None:
    marker = "<!-- reconciler plan: evil.- -->"
    body = f"{marker}\n\nx {prose(text)}\n\n<details><summary>{html(text)}</summary>\n\n</details>\n"
    assert problems(body) == []


def test_this_reader_sees_what_is_wrong() -> None:
    marker = "<!-- reconciler plan: evil.- -->\n\n"
    for wrong in (
        "@octocat",
        "#12",
        "<!-- x -->",
        "![x](y)",
        "<script>x</script>",
        "/merge",
        "see www.x.example",
        "::error::x",
    ):
        assert problems(f"{marker}{wrong}\n"), wrong
    assert problems(f"{marker}`@octocat`\n\n```\n@octocat <!-- x -->\n```\n") == []
