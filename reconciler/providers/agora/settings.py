"""The settings of one connection (host, App ID, credentials), from the environment only.

A fleet's files may name the area and the App ID; that ID is only compared. Hosts and credentials can never be set in
files, so that no change to the files can send credentials elsewhere. Messages name variables, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from reconciler import durations
from reconciler.errors import UsageError
from reconciler.providers import Purpose
from reconciler.providers.agora.tokens import is_credential
from reconciler.secrets import Secret
from reconciler.secrets.endpoints import ALLOWED, taken_apart
from reconciler.values import dataclass

APP_ID = "AGORA_APP_ID"
APP_CERTIFICATE = "AGORA_APP_CERTIFICATE"
CUSTOMER_ID = "AGORA_CUSTOMER_ID"
CUSTOMER_SECRET = "AGORA_CUSTOMER_SECRET"
BASE_URL = "AGORA_AGENTS_API_BASE_URL"

CN = "CN"
READ_TIMEOUT = "RECONCILER_READ_TIMEOUT"
# A command's half a minute, less the start of the process.
_USUAL_TIMEOUT = 28.0
_LONGEST_TIMEOUT = 3600.0
GLOBAL_PATH = "/api/conversational-ai-agent"
CN_PATH = "/cn/api/conversational-ai-agent"
# v2 API reference: "Base URLs" (OpenAPI v2 servers; the regional hosts are those of the official SDK).
HOSTS: Mapping[str | None, str] = MappingProxyType(
    {
        None: "https://api.agora.io",
        "US": "https://api-us-west-1.agora.io",
        "EU": "https://api-eu-west-1.agora.io",
        "AP": "https://api-ap-southeast-1.agora.io",
        CN: "https://api-cn-east-1.sd-rtn.com",
    }
)


@dataclass(frozen=True, slots=True)
class AgoraSettings:
    """One App ID on one service. `base_url` ends before `/v2`; `area` is None for the global host."""

    app_id: str
    certificate: Secret | None = None
    customer_id: Secret | None = None
    customer_secret: Secret | None = None
    area: str | None = None
    base_url: str = HOSTS[None] + GLOBAL_PATH

    @property
    def is_mainland_china(self) -> bool:
        """Whether it is the service of mainland China, with other limits (v2 API reference: list, update)."""
        return self.area == CN

    @property
    def host(self) -> str:
        """The service's host, with its port where one is given."""
        return urlsplit(self.base_url).netloc


def from_environment(
    env: Mapping[str, str],
    area: str | None = None,
    app_id_in_file: str | None = None,
    *,
    purpose: Purpose = Purpose.CHANGE,
) -> AgoraSettings:
    """Return the settings that an environment gives.

    Raises `UsageError` with every variable that is missing or malformed, or when the files name another App ID.
    """
    if area not in HOSTS:
        known = ", ".join(sorted(each for each in HOSTS if each))
        raise UsageError(f'there is no area "{area}"', hint=f"service.area is one of {known}, or left out")
    _refuse_missing(env, area, purpose)
    _refuse_malformed(env)
    app_id = env[APP_ID]
    if app_id_in_file is not None and app_id_in_file != app_id:
        raise UsageError(
            f"these files are for App ID {app_id_in_file}, but {APP_ID} is {app_id}",
            hint="use the environment that belongs to these files, or change service.app_id in them",
        )
    return AgoraSettings(
        app_id=app_id,
        certificate=_secret(env, APP_CERTIFICATE),
        customer_id=_secret(env, CUSTOMER_ID),
        customer_secret=_secret(env, CUSTOMER_SECRET),
        area=area,
        base_url=base_url(env.get(BASE_URL), area),
    )


def read_timeout(env: Mapping[str, str]) -> float:
    """Return the seconds that a list, or a command without a successful read, may take; 28 by default.

    Raises `UsageError` for a value that is not a duration.
    """
    text = env.get(READ_TIMEOUT, "").strip()
    if not text:
        return _USUAL_TIMEOUT
    try:
        seconds = durations.parse(text, bare_seconds=True)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise UsageError(
            f"{READ_TIMEOUT} is no duration of at most an hour", hint="write 30s, 2m or 90, or leave it out"
        )
    return seconds


def base_url(override: str | None, area: str | None) -> str:
    """Return the URL before `/v2`: the area's own, or the override followed by the area's path.

    The path is appended as the official SDK does (v2 API reference: "Base URLs"). Raises `UsageError` unless the
    override is https, or plain http to this machine.
    """
    path = CN_PATH if area == CN else GLOBAL_PATH
    if override is None or not override.strip():
        return HOSTS[area] + path
    parts = taken_apart(override.strip())
    if isinstance(parts, str):
        raise UsageError(
            f"{BASE_URL} is not an address that credentials may be sent to: it {parts}",
            hint=f"{ALLOWED}; or leave it out",
        )
    if parts.path.rstrip("/").endswith(GLOBAL_PATH):
        raise UsageError(
            f"{BASE_URL} ends with {GLOBAL_PATH}, which is appended to it",
            hint="write the address without this path, as the official SDK takes it",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}"


def _refuse_missing(env: Mapping[str, str], area: str | None, purpose: Purpose) -> None:
    """Refuse an environment without the App ID, or without a way to authenticate: a token, or customer credentials.

    Either authenticates any request (v2 API reference: "Authentication").
    """
    has = {name for name in (APP_ID, APP_CERTIFICATE, CUSTOMER_ID, CUSTOMER_SECRET) if env.get(name)}
    customer = (CUSTOMER_ID, CUSTOMER_SECRET)
    needed: tuple[str, ...] = (APP_ID,)
    if has.intersection(customer):
        needed += customer  # one of the two without the other cannot be used
    # A mainland-China project may be without a certificate; its token is then empty (v2 API reference: join).
    if (purpose is Purpose.CHANGE and area != CN) or not has.intersection(customer):
        needed += (APP_CERTIFICATE,)
    missing = [name for name in needed if name not in has]
    if missing:
        instead = (
            ""
            if purpose is Purpose.CHANGE or APP_CERTIFICATE not in missing
            else (f"; to look only, {CUSTOMER_ID} and {CUSTOMER_SECRET} will do instead of {APP_CERTIFICATE}")
        )
        raise UsageError(
            f"missing in the environment: {', '.join(missing)}",
            hint="set them where this runs; App ID and certificate stand in the project's settings, "
            f"the customer's ID and secret under RESTful API in Agora's console{instead}",
        )


def _refuse_malformed(env: Mapping[str, str]) -> None:
    present = [name for name in (APP_ID, APP_CERTIFICATE, CUSTOMER_ID, CUSTOMER_SECRET) if env.get(name)]
    problems = [
        f"{name} has white space or control characters in it" for name in present if not _is_clean(env[name])
    ]
    problems += [
        f"{name} is not 32 hexadecimal digits (it has {len(env[name])} characters)"
        for name in (APP_ID, APP_CERTIFICATE)
        if name in present and _is_clean(env[name]) and not is_credential(env[name])
    ]
    if ":" in env.get(CUSTOMER_ID, ""):
        problems.append(f"{CUSTOMER_ID} contains a colon, which HTTP's Basic scheme cannot carry")
    if problems:
        raise UsageError("; ".join(problems), hint="copy the value anew from Agora's console")


def _is_clean(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _secret(env: Mapping[str, str], name: str) -> Secret | None:
    value = env.get(name)
    return Secret(value) if value else None
