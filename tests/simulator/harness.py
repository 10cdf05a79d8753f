"""A simulator with a clock of its own, and the few calls that its tests make on it."""

from __future__ import annotations

import base64
import hmac
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

import orjson

from reconciler.simulator import (
    Credentials,
    Fate,
    FaultScript,
    Outage,
    Request,
    Response,
    Simulator,
    Store,
    Switches,
)

APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
NOON = 1_800_000_000.0
BASES = {"global": "/api/conversational-ai-agent", "cn": "/cn/api/conversational-ai-agent"}
LIVE = "0,1,2,3"
EXITS = "agent exits with reason: "


def basic(customer_id: str = "customer", secret: str = "secret") -> str:
    return "Basic " + base64.b64encode(f"{customer_id}:{secret}".encode()).decode()


def token(
    channel: str = "lobby",
    uid: str = "1001",
    *,
    issued: float = NOON,
    lives: int = 3600,
    app_id: str = APP_ID,
    certificate: str = CERTIFICATE,
    rtm: str | None = None,
    joins: int | None = None,
) -> str:
    """An AccessToken2, minted by this file's own reading of its layout."""

    def text(value: bytes) -> bytes:
        return struct.pack("<H", len(value)) + value

    def service(kind: int, privileges: Mapping[int, int], *names: str) -> bytes:
        packed = b"".join(struct.pack("<HI", key, value) for key, value in sorted(privileges.items()))
        head = struct.pack("<HH", kind, len(privileges))
        return head + packed + b"".join(text(name.encode()) for name in names)

    services = [service(1, {1: lives if joins is None else joins}, channel, uid)]
    if rtm is not None:
        services.append(service(2, {1: lives}, rtm))
    salt = 4711
    info = (
        text(app_id.encode())
        + struct.pack("<IIIH", int(issued), lives, salt, len(services))
        + b"".join(services)
    )
    inner = hmac.digest(struct.pack("<I", int(issued)), certificate.encode(), "sha256")
    key = hmac.digest(struct.pack("<I", salt), inner, "sha256")
    content = zlib.compress(text(hmac.digest(key, info, "sha256")) + info)
    return "007" + base64.b64encode(content).decode()


def join_body(
    name: str = "greeter", channel: str = "lobby", uid: str = "1001", **properties: Any
) -> dict[str, Any]:
    """A small body that the contract allows. A property given as None is left out."""
    body: dict[str, Any] = {
        "channel": channel,
        "token": "",
        "agent_rtc_uid": uid,
        "remote_rtc_uids": ["*"],
        "idle_timeout": 0,
        "asr": {"vendor": "ares", "language": "en-US"},
        "tts": {
            "vendor": "microsoft",
            "params": {"key": "k", "region": "eastus", "voice_name": "en-US-AvaNeural"},
        },
        "llm": {
            "url": "https://api.openai.com/v1/chat/completions",
            "api_key": "sk-canary",
            "system_messages": [{"role": "system", "content": "Be brief."}],
            "params": {"model": "gpt-4o-mini", "temperature": 0.4},
        },
    } | properties
    return {"name": name, "properties": {key: value for key, value in body.items() if value is not None}}


@dataclass(frozen=True)
class Answer:
    """A response, read."""

    status: int
    body: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def reason(self) -> str:
        return str(self.body["reason"])

    @property
    def agent_id(self) -> str:
        assert self.status == 200, self.body
        return str(self.body["agent_id"])

    @property
    def listed(self) -> list[str]:
        assert self.status == 200, self.body
        return [item["agent_id"] for item in self.body["data"]["list"]]


def read(response: Response) -> Answer:
    is_json = dict(response.headers).get("content-type") == "application/json" and response.body
    body = orjson.loads(response.body) if is_json else None
    return Answer(response.status, body, dict(response.headers), response.body)


class Service:
    """A simulator under test; its clock stands still until `wait` moves it. A fixture closes what a test
    opened."""

    opened: ClassVar[list[Service]] = []

    def __init__(
        self,
        store: Store | None = None,
        *,
        credentials: Credentials | None = None,
        script: FaultScript | list[Mapping[str, object]] | None = None,
        **switches: object,
    ) -> None:
        self.opened.append(self)
        self.time = NOON
        self.simulator = Simulator(
            store,
            clock=lambda: self.time,
            credentials=credentials,
            switches=Switches().with_settings(switches) if switches else None,
        )
        if script is not None:
            self.simulator.set_script(script)
        self.authorization = basic()
        self.area = "global"

    @property
    def world(self) -> Any:
        return self.simulator.world

    def wait(self, seconds: float) -> None:
        self.time += seconds

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | str = "",
        **options: Any,
    ) -> Response | Outage:
        raw = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        query = query if isinstance(query, str) else urlencode(query)
        headers = {"Authorization": options.pop("authorization", self.authorization)}
        url = f"{BASES[options.pop('area', self.area)]}/v2/projects/{options.pop('app_id', APP_ID)}/{path}"
        fate: Fate | None = options.pop("fate", None)
        assert not options
        return self.simulator.handle(Request(method, url, query, headers, raw), fate=fate)

    def call(self, *args: Any, **options: Any) -> Answer:
        outcome = self.send(*args, **options)
        assert isinstance(outcome, Response), outcome
        return read(outcome)

    def join(
        self, name: str = "greeter", channel: str = "lobby", uid: str = "1001", **properties: Any
    ) -> Answer:
        return self.call("POST", "join", join_body(name, channel, uid, **properties))

    def started(
        self, name: str = "greeter", channel: str = "lobby", uid: str = "1001", **properties: Any
    ) -> str:
        """The id of a new agent that is RUNNING."""
        agent_id = self.join(name, channel, uid, **properties).agent_id
        self.wait(self.simulator.switches.start_seconds)
        return agent_id

    def leave(self, agent_id: str) -> Answer:
        return self.call("POST", f"agents/{agent_id}/leave")

    def update(self, agent_id: str, **properties: Any) -> Answer:
        return self.call("POST", f"agents/{agent_id}/update", {"properties": properties})

    def query(self, agent_id: str) -> Answer:
        return self.call("GET", f"agents/{agent_id}")

    def status(self, agent_id: str) -> str:
        return str(self.query(agent_id).body["status"])

    def list(self, **query: object) -> Answer:
        return self.call(
            "GET", "agents", query={key: value for key, value in query.items() if value is not None}
        )

    def pages(self, **query: object) -> list[list[str]]:
        """Every page of a list, by following the cursor."""
        pages, cursor = [], None
        for _ in range(100):
            answer = self.list(**query, cursor=cursor)
            pages.append(answer.listed)
            cursor = answer.body["meta"].get("cursor")
            if not cursor:
                return pages
        raise AssertionError("the list never ends")
