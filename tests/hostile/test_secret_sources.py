"""References that would have the runner hand out what is not a vendor's secret, or ask a stranger for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.driver.secrets import SecretSources
from reconciler.errors import SecretUnavailable
from reconciler.secrets import SecretRef
from tests.hostile.bench import Bench

CANARY = "canary-wE2rT5yU8iO1"
AGENT = """\
fleet: sources
defaults:
  properties:
    remote_rtc_uids: ["*"]
    llm: {{url: "https://api.openai.com/v1/chat/completions", api_key: "{reference}", params: {{model: gpt-4o-mini}}}}
    tts: {{vendor: microsoft, params: {{key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}}}
channels:
  - channel: lobby
    agents: [{{name: greeter}}]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet's directory with what lies around in one, inside of a home with what lies around there."""
    home = tmp_path / "home" / "fleet"
    for name in (".git/config", ".env", ".reconciler/secret.key", "keys/real", "keys/old/.hidden"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CANARY)
    for name in (".aws/credentials", "notes"):
        path = home.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CANARY)
    return home


def resolved(home: Path, reference: str, environment: Mapping[str, str] | None = None) -> str:
    """The value behind a reference, or what the refusal says."""
    ref = SecretRef(reference)
    try:
        return SecretSources(environment or {}, home).resolve(frozenset({ref}))[ref].reveal()
    except SecretUnavailable as problem:
        assert CANARY not in str(problem)
        return f"refused: {problem.message}"


def validated(bench: Bench, reference: str, **environment: str) -> str:
    """What `validate` says about an agent with this reference."""
    home = bench.home / "validated"
    home.mkdir(exist_ok=True)
    (home / "fleet.yaml").write_text(AGENT.format(reference=reference), encoding="utf-8")
    return bench.run("validate", home, **environment).said


# --- files ----------------------------------------------------------------------------------------------------

OWN_FILES = (
    "/proc/self/environ",
    "//proc/self/environ",
    "////proc/self/environ",
    "/./proc/self/environ",
    "/tmp/../proc/self/environ",
    "/proc/../proc/self/environ",
    "/tmp/..//proc//self/./environ",
    "/proc",
    "/dev/stdin",
    "/dev/fd/0",
    "/sys/kernel/notes",
    "/x?/../proc/self/environ",
    "/x#/../proc/self/environ",
)
OUTSIDE = (
    "../notes",
    "../../../../../../../../proc/self/environ",
    "keys/../../notes",
    "..",
    "../fleet/../notes",
)
HIDDEN = (
    ".git/config",
    ".env",
    "./.env",
    ".reconciler/secret.key",
    "keys/../.env",
    "keys/old/.hidden",
    "~/.aws/credentials",
    "/home/runner/.aws/credentials",
    "/home/runner/.ssh/../.netrc",
)


@pytest.mark.parametrize("path", [*OWN_FILES, *OUTSIDE, *HIDDEN])
def test_a_path_that_shows_where_it_leads(fleet: Path, bench: Bench, path: str) -> None:
    assert resolved(fleet, f"ref+file://{path}").startswith("refused: ")
    said = validated(bench, f"ref+file://{path}")
    assert "[secret-reserved]" in said if path in OWN_FILES else "[secret-file]" in said
    assert "fleet.yaml:5:" in said


@pytest.mark.parametrize(
    "target",
    [
        "/proc/self/environ",
        "../.git/config",
        "../.reconciler/secret.key",
        "../../.aws/credentials",
        "../../notes",
        "..",
    ],
)
def test_a_link_that_shows_nothing(fleet: Path, bench: Bench, target: str) -> None:
    """Git keeps links; whoever reads the reference sees a file of the fleet."""
    (fleet / "keys" / "openai").symlink_to(target)
    assert resolved(fleet, "ref+file://keys/openai").startswith("refused: ")
    assert resolved(fleet, f"ref+file://{fleet}/keys/openai").startswith("refused: ")


def test_a_link_to_a_directory(fleet: Path) -> None:
    (fleet / "keys" / "here").symlink_to("..")
    (fleet / "keys" / "root").symlink_to("/")
    (fleet / "keys" / "git").symlink_to("../.git")
    assert resolved(fleet, "ref+file://keys/root/proc/self/environ").startswith("refused: ")
    assert resolved(fleet, "ref+file://keys/git/config").startswith("refused: ")
    assert resolved(fleet, "ref+file://keys/here/keys/real") == CANARY
    assert resolved(fleet, f"ref+file://{fleet}/keys/root{fleet.parent}/notes").startswith("refused: ")


def test_a_committed_link_beside_the_fleet(fleet: Path) -> None:
    """The repository is larger than the fleet's directory, and its place on a runner is known."""
    (fleet.parent / "innocent").symlink_to(".aws/credentials")
    assert resolved(fleet, f"ref+file://{fleet.parent}/innocent").startswith("refused: ")


def test_what_is_no_file(fleet: Path) -> None:
    os.mkfifo(fleet / "keys" / "pipe")  # opening it would wait for a writer, for ever
    (fleet / "keys" / "nul").write_bytes(b"A=1\0B=2\0")
    (fleet / "keys" / "large").write_bytes(b"x" * 70_000)
    (fleet / "keys" / "circle").symlink_to("circle")
    for name in ("pipe", "nul", "large", "circle", "old", "nowhere", "real/x"):
        assert resolved(fleet, f"ref+file://keys/{name}").startswith("refused: "), name


def test_mounted_secrets_are_read(fleet: Path, bench: Bench, tmp_path: Path) -> None:
    """Kubernetes: token -> ..data/token, ..data -> ..2024_05_01. Docker: a plain file. Relative: a file of the fleet."""
    for mount in (tmp_path / "run" / "secrets" / "x", fleet / "mounted"):
        (mount / "..2024_05_01_12_00_00.123").mkdir(parents=True)
        (mount / "..2024_05_01_12_00_00.123" / "token").write_text(f"{CANARY}\n")
        (mount / "..data").symlink_to("..2024_05_01_12_00_00.123")
        (mount / "token").symlink_to("..data/token")
    (tmp_path / "run" / "secrets" / "docker").write_text(CANARY)
    good = (
        *(f"{tmp_path}/run/secrets/x/token", f"{tmp_path}/run/secrets/docker", f"{fleet}/keys/real"),
        *("mounted/token", "keys/real", "./keys//real", "keys/old/../real"),
    )
    for path in good:
        assert resolved(fleet, f"ref+file://{path}") == CANARY, path
        assert "is valid" in validated(bench, f"ref+file://{path}"), path


# --- other sources --------------------------------------------------------------------------------------------

STRANGE_SCHEMES = (
    "ref+exec:///bin/sh?args=-c,id",
    "ref+tfstategitlab://evil.example/api/v4/x",
    "ref+tfstateremote://evil.example/org/ws/x",
    "ref+tfstate://../../terraform.tfstate/x",
    "ref+gitlab://evil.example/1/key",
    "ref+httpjson://evil.example/x#///*[1]",
    "ref+http://evil.example/x",
    "ref+https://evil.example/x",
    "ref+sops://keys/evil.yaml#/x",
    "ref+echo://literal",
    "ref+envsubst://$AGORA_CUSTOMER_SECRET",
    "ref+k8s://v1/Secret/kube-system/x/y",
    "ref+s3://bucket/key",
    "ref+googlesheets://x?credentials_file=/etc/passwd#/y",
    "ref+pulumistateapi://stack/x?pulumi_api_endpoint_url=https://evil.example",
    "ref+evn://OPENAI_API_KEY",
)
STRANGE_SERVERS = (
    "ref+vault://keys/llm?address=https://evil.example#/key",
    "ref+vault://keys/llm?host=evil.example#/key",
    "ref+vault://keys/llm?token_env=GITHUB_TOKEN#/key",
    "ref+vault://keys/llm?token_file=/proc/self/environ#/key",
    "ref+vault://keys/llm?Address=x#/key",
    "ref+vault://keys/llm?version=1&address=https://evil.example#/key",
    "ref+vault://keys/llm?version=1;address=https://evil.example#/key",
    "ref+vault://keys/llm?%61ddress=https://evil.example#/key",
    "ref+vault://keys/llm#/key?address=https://evil.example",
    "ref+vault://keys/llm??address=https://evil.example#/key",
    "ref+awssecrets://x?region=evil.example/",
    "ref+awssecrets://x?region=evil%2eexample%2f",
    "ref+awsssm://x?role_arn=arn:aws:iam::1:role/evil",
    "ref+awsssm://x?endpoint_url=https://evil.example",
    "ref+doppler://p/c/k?no_verify_tls=1",
    "ref+azurekeyvault://evil.example/secret",
    "ref+azurekeyvault://evil%2eexample/secret",
    "ref+azurekeyvault://user@evil/secret",
    "ref+azurekeyvault://evil:443/secret",
    "ref+azurekeyvault:///evil.example/secret",
    "ref+azurekeyvault://evil",
)
GOOD = (
    "ref+vault://secret/voice/openai#/api_key",
    "ref+vault://secret/voice/openai?version=3#/api_key",
    "ref+openbao://secret/voice/openai#/api_key",
    "ref+awssecrets://myteam/mydoc?region=us-west-2&version_stage=AWSPREVIOUS#/foo/bar",
    "ref+awsssm://myteam/mykey?region=eu-central-1",
    "ref+gcpsecrets://project/secret?version=3",
    "ref+azurekeyvault://my-vault/secret/0123abcd",
    "ref+op://My%20Vault/item/field",
    "ref+onepasswordconnect://vault/item#/field",
    "ref+doppler://project/prod/OPENAI",
    "ref+conjur://voice/openai",
    "ref+bw://0123-4567/password",
    "ref+infisical://OPENAI?project=voice&environment=prod",
)


@pytest.fixture
def vals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `vals` that answers everything, and writes down what it was asked and with which environment."""
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "vals"
    program.write_text(
        f"#!/bin/sh\n/usr/bin/env > {tmp_path}/environment\n/bin/cat > {tmp_path}/asked\n"
        f"""echo '{{"0": "{CANARY}"}}'\n""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    return tmp_path


@pytest.mark.parametrize("reference", [*STRANGE_SCHEMES, *STRANGE_SERVERS])
def test_what_would_run_or_ask_a_stranger(fleet: Path, vals: Path, bench: Bench, reference: str) -> None:
    assert resolved(fleet, reference).startswith("refused: ")
    assert not (vals / "asked").exists()
    said = validated(bench, reference)
    assert "[secret-scheme]" in said if reference in STRANGE_SCHEMES else "[secret-server]" in said


@pytest.mark.parametrize("reference", GOOD)
def test_what_the_runner_s_own_environment_answers(
    fleet: Path, vals: Path, bench: Bench, reference: str
) -> None:
    environment = {"PATH": os.environ["PATH"], "VAULT_TOKEN": "x", "AGORA_CUSTOMER_SECRET": "never"}
    assert resolved(fleet, reference, environment) == CANARY
    assert json.loads((vals / "asked").read_text()) == {"0": reference}
    told = (vals / "environment").read_text()
    assert "VAULT_TOKEN=x" in told
    assert "AGORA_" not in told
    assert "is valid" in validated(bench, reference)


@pytest.mark.parametrize("blank", ["", " ", "\t \n", "\u3000"], ids=ascii)
def test_a_blank_value_is_none(fleet: Path, vals: Path, blank: str) -> None:
    refused = "refused: secrets without a value: "
    assert resolved(fleet, "ref+env://NAME", {"NAME": blank}) == (
        f"{refused}ref+env://NAME: the environment variable is empty"
    )
    assert (
        resolved(fleet, "ref+env://NAME") == f"{refused}ref+env://NAME: the environment variable is not set"
    )
    (fleet / "blank").write_text(blank, encoding="utf-8")
    assert resolved(fleet, "ref+file://blank") == f"{refused}ref+file://blank: the file is empty"
    (vals / "answer").write_text(json.dumps({"0": blank}), encoding="utf-8")
    (vals / "tools" / "vals").write_text(f"#!/bin/sh\n/bin/cat {vals}/answer\n", encoding="utf-8")
    assert resolved(fleet, "ref+vault://a#/b") == f"{refused}ref+vault://a#/b: vals found an empty value"


def test_the_stand_in_that_import_prints_is_no_value(fleet: Path) -> None:
    assert resolved(fleet, "ref+env://NAME", {"NAME": "…"}) == (
        "refused: secrets without a value: ref+env://NAME: "
        "the environment variable is …, which `import` prints in the place of a value"
    )


def test_of_several_secrets_only_those_without_a_value_are_named(fleet: Path, vals: Path) -> None:
    script = f"""#!/bin/sh
asked=$(/bin/cat)
case "$asked" in *missing*) exit 1 ;; esac
/bin/cat {vals}/answer
"""
    (vals / "answer").write_text('{"0": "a value"}', encoding="utf-8")
    (vals / "tools" / "vals").write_text(script, encoding="utf-8")
    wanted = frozenset(
        map(SecretRef, ("ref+vault://there#/a", "ref+vault://missing#/a", "ref+env://NOT_SET"))
    )
    with pytest.raises(SecretUnavailable) as refused:
        SecretSources(os.environ, fleet).resolve(wanted)
    assert refused.value.missing == {
        "ref+env://NOT_SET": "the environment variable is not set",
        "ref+vault://missing#/a": "vals failed (CalledProcessError)",
    }


def test_blanks_around_a_value_are_part_of_it(fleet: Path) -> None:
    assert resolved(fleet, "ref+env://NAME", {"NAME": f" {CANARY} "}) == f" {CANARY} "


def test_a_misspelt_scheme_is_offered_the_right_one(bench: Bench) -> None:
    assert 'did you mean "env"?' in validated(bench, "ref+evn://OPENAI_API_KEY")
    assert 'did you mean "vault"?' in validated(bench, "ref+valut://x#/y")


def test_whoever_runs_apply_may_add_schemes_and_the_files_may_not(
    fleet: Path, vals: Path, bench: Bench
) -> None:
    reference = "ref+gitlab://gitlab.example/1/key"
    more = {"RECONCILER_SECRET_SCHEMES": "sops, gitlab"}
    assert resolved(fleet, reference, more) == CANARY
    assert "is valid" in validated(bench, reference, **more)
    assert "[secret-server]" in validated(bench, f"{reference}?address=x", **more)
    assert "[secret-scheme]" in validated(bench, "ref+exec:///bin/id", **more)
    assert "[secret-reserved]" in validated(
        bench, "ref+env://AGORA_CUSTOMER_SECRET", RECONCILER_SECRET_SCHEMES="env,file"
    )
    for command in (("render",), ("render", "--trace"), ("plan",)):
        assert bench.run(*command, bench.home / "validated").code == 1
    validated(bench, reference, **more)
    for command in (("render",), ("render", "--trace"), ("plan",)):
        assert bench.run(*command, bench.home / "validated", **more).code == 0, command
