"""Settings come from the environment, all problems at once, by name and never by value."""

from __future__ import annotations

import pytest

from reconciler.errors import UsageError
from reconciler.providers import Purpose
from reconciler.providers.agora.settings import AgoraSettings, base_url, from_environment, read_timeout
from reconciler.secrets import Secret

APP_ID = "a1" * 16
CERTIFICATE = "b2" * 16
ENV = {
    "AGORA_APP_ID": APP_ID,
    "AGORA_APP_CERTIFICATE": CERTIFICATE,
    "AGORA_CUSTOMER_ID": "customer-id-canary",
    "AGORA_CUSTOMER_SECRET": "customer-secret-canary",
}
PATH = "/api/conversational-ai-agent"


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ENV.items() if name not in names}


def test_everything_is_taken_from_the_environment() -> None:
    assert from_environment(ENV, None, None) == AgoraSettings(
        app_id=APP_ID,
        certificate=Secret(CERTIFICATE),
        customer_id=Secret("customer-id-canary"),
        customer_secret=Secret("customer-secret-canary"),
        area=None,
        base_url=f"https://api.agora.io{PATH}",
    )


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        from_environment({"AGORA_APP_ID": ""}, "EU", None)
    assert caught.value.message == ("missing in the environment: AGORA_APP_ID, AGORA_APP_CERTIFICATE")


@pytest.mark.parametrize(
    ("env", "area", "purpose", "missing"),
    [
        (without("AGORA_APP_CERTIFICATE"), None, Purpose.OBSERVE, None),
        (without("AGORA_APP_CERTIFICATE"), None, Purpose.CHANGE, "AGORA_APP_CERTIFICATE"),
        (without("AGORA_APP_CERTIFICATE"), "CN", Purpose.CHANGE, None),
        (
            without("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"),
            None,
            Purpose.OBSERVE,
            None,
        ),
        (without("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"), None, Purpose.CHANGE, None),
        (without("AGORA_CUSTOMER_SECRET"), None, Purpose.OBSERVE, "AGORA_CUSTOMER_SECRET"),
        (without("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET"), None, Purpose.TALK, None),
        (without("AGORA_CUSTOMER_ID"), None, Purpose.TALK, "AGORA_CUSTOMER_ID"),
        (without("AGORA_APP_CERTIFICATE"), None, Purpose.TALK, None),
    ],
)
def test_only_what_a_purpose_needs_is_needed(
    env: dict[str, str], area: str | None, purpose: Purpose, missing: str | None
) -> None:
    if missing is None:
        assert from_environment(env, area, None, purpose=purpose).app_id == APP_ID
    else:
        with pytest.raises(UsageError, match=missing):
            from_environment(env, area, None, purpose=purpose)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGORA_APP_ID", "short-canary"),
        ("AGORA_APP_CERTIFICATE", CERTIFICATE[:-1]),
        ("AGORA_APP_CERTIFICATE", CERTIFICATE + "\n"),
        ("AGORA_CUSTOMER_SECRET", "secret-canary\r\nx-evil: 1"),
        ("AGORA_CUSTOMER_SECRET", "secret canary"),
        ("AGORA_CUSTOMER_SECRET", "sécret-canary"),
        ("AGORA_CUSTOMER_ID", "id:canary"),
    ],
)
def test_a_malformed_variable_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        from_environment({**ENV, name: value}, None, None)
    assert value not in caught.value.message
    assert "canary" not in caught.value.message


def test_the_app_id_of_the_files_is_only_compared() -> None:
    assert from_environment(ENV, None, APP_ID).app_id == APP_ID
    with pytest.raises(UsageError, match=f"{APP_ID}"):
        from_environment(ENV, None, "c" * 32)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (None, f"https://api.agora.io{PATH}"),
        ("US", f"https://api-us-west-1.agora.io{PATH}"),
        ("EU", f"https://api-eu-west-1.agora.io{PATH}"),
        ("AP", f"https://api-ap-southeast-1.agora.io{PATH}"),
        ("CN", f"https://api-cn-east-1.sd-rtn.com/cn{PATH}"),
    ],
)
def test_each_area_has_its_host(area: str | None, expected: str) -> None:
    assert base_url(None, area) == expected


def test_an_unknown_area_is_refused() -> None:
    with pytest.raises(UsageError, match='no area "eu"'):
        from_environment(ENV, "eu", None)


@pytest.mark.parametrize(
    ("override", "area", "expected"),
    [
        ("https://proxy.example", None, f"https://proxy.example{PATH}"),
        ("https://proxy.example:8443/agora/", "CN", f"https://proxy.example:8443/agora/cn{PATH}"),
        ("http://127.0.0.1:9000", "EU", f"http://127.0.0.1:9000{PATH}"),
        ("http://localhost:1", None, f"http://localhost:1{PATH}"),
        ("http://[::1]:1", None, f"http://[::1]:1{PATH}"),
        ("  ", None, f"https://api.agora.io{PATH}"),
    ],
)
def test_an_override_gets_the_areas_path(override: str, area: str | None, expected: str) -> None:
    assert base_url(override, area) == expected


@pytest.mark.parametrize(
    "override",
    [
        "http://api.agora.io",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "https://user:password@api.agora.io",
        "https://user@api.agora.io",
        "https://api.agora.io?x=1",
        "https://api.agora.io#x",
        "https://api.agora.io:99999",
        "https://",
        "api.agora.io",
        "ftp://api.agora.io",
        "file:///etc/passwd",
        "https://[::1",
    ],
)
def test_credentials_are_sent_nowhere_else(override: str) -> None:
    with pytest.raises(UsageError, match="AGORA_AGENTS_API_BASE_URL"):
        base_url(override, None)


@pytest.mark.parametrize("path", [PATH, f"/proxy/cn{PATH}/"])
def test_an_override_that_has_the_path_already_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="which is appended to it"):
        base_url(f"https://proxy.example{path}", None)


def test_settings_show_no_secret() -> None:
    shown = repr(from_environment(ENV, None, None))
    assert not any(ENV[name] in shown for name in ENV if name != "AGORA_APP_ID")


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 28.0), (" ", 28.0), ("2m", 120.0), ("45", 45.0), ("1h", 3600.0)]
)
def test_the_environment_may_give_reads_another_deadline(text: str, seconds: float) -> None:
    assert read_timeout({"RECONCILER_READ_TIMEOUT": text}) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "0s", "2h", "nan", "9" * 400])
def test_a_deadline_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="RECONCILER_READ_TIMEOUT"):
        read_timeout({"RECONCILER_READ_TIMEOUT": text})
