"""Secrets: what the page says of references, of keys that change, and of what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import SERVICE, Command, copied, live, served

REFERENCES = (
    "ref+env://OPENAI_API_KEY",
    "ref+file://secrets/minimax.key",
    "ref+env://ORDERS_TOKEN",
    "ref+env://GEMINI_API_KEY",
    "ref+vault://secret/voice/openai#/api_key",
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the example, with no value anywhere."""
    monkeypatch.chdir(copied("secrets", tmp_path))
    monkeypatch.setenv("PATH", "")  # no vals
    for reference in REFERENCES:
        monkeypatch.delenv(reference.rpartition("/")[2], raising=False)
    return tmp_path


def test_a_plan_needs_no_value(reconciler: Command) -> None:
    plan = reconciler.well("plan", "--format", "markdown")
    assert all(reference in plan for reference in REFERENCES)


def test_a_new_value_is_no_change_until_it_is_asked_for(
    directory: Path, reconciler: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-old-value")
    reconciler.well("apply", "--auto-approve")
    monkeypatch.setenv("OPENAI_API_KEY", "the-new-value")
    assert reconciler("plan", "--detailed-exitcode").code == 0
    assert "1 replaced" in reconciler.well("apply", "--replace", "from-env/*", "--auto-approve")
    reconciler.well("plan", "--check-secrets")
    printed = "".join(each.out + each.err for each in reconciler.done)
    kept = b"".join(
        each.read_bytes() for each in (directory / ".reconciler").iterdir() if "world" not in each.name
    )
    for value in ("the-old-value", "the-new-value"):
        assert value not in printed
        assert value.encode() not in kept


def test_the_real_service_gets_no_stand_ins(reconciler: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as url:
        for name, value in {**SERVICE, "AGORA_AGENTS_API_BASE_URL": url}.items():
            monkeypatch.setenv(name, value)
        done = reconciler("apply", "-e", "prod", "--auto-approve")
        assert done.code == 1
        assert all(f"{reference} has no value" in done.err for reference in REFERENCES)
        assert live(url) == {}
        assert "Running: 0." in reconciler.well("status", "-e", "prod")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("api_key: ref+env://OPENAI_API_KEY", "api_key: a-real-key-0123456789", "literal-secret"),
        (
            "You answer questions",
            "You know ref+env://OPENAI_API_KEY and answer questions",
            "secret-misplaced",
        ),
        ("ref+env://OPENAI_API_KEY", "ref+env://AGORA_CUSTOMER_SECRET", "secret-reserved"),
    ],
)
def test_what_the_page_calls_refused_is_refused(
    directory: Path, reconciler: Command, old: str, new: str, rule: str
) -> None:
    files = directory / "fleet.yaml"
    files.write_text(files.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    done = reconciler("validate")
    assert done.code == 1
    assert f"[{rule}]" in done.err + done.out


def test_a_secret_that_goes_to_another_host_wants_consent(directory: Path, reconciler: Command) -> None:
    reconciler.well("apply", "--auto-approve")
    files = directory / "fleet.yaml"
    text = files.read_text(encoding="utf-8")
    files.write_text(text.replace("https://api.openai.com/", "https://llm.example.com/"), encoding="utf-8")
    assert "llm.example.com" in reconciler.well("plan")
    assert reconciler("apply", "--auto-approve").code == 5
    assert (
        reconciler(
            "apply", "--auto-approve", "--allow", "secret-host=llm.example.com", "--allow", "hang_ups=3"
        ).code
        == 0
    )
