"""Canaries: one unmistakable value for every kind of secret, and every spelling in which it would be a leak.

The spellings are written here by hand, not with the product's own masking, which is what they are to catch.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

APP_ID = "0123456789abcdef0123456789abcdef"
# Characters that JSON, HTML and addresses spell differently: whoever escapes must still be found out.
ENVIRONMENT: Mapping[str, str] = {
    "AGORA_CUSTOMER_ID": "cid-Zq4T9wLm2Xv7/Kd8+Rb1",
    "AGORA_CUSTOMER_SECRET": "csec+Hj3N6pYt/5Wc0Qe8=Ua2",
    "AGORA_APP_CERTIFICATE": "c0ffee11d00dfeed5ca1ab1e0ddba115",
    "CANARY_LLM": 'llm-k9"Vx<2&Fs>8/Bn+4=Jg7é',
    "CANARY_TTS": "tts-mP5rD1zC8hG3/yL6+oA9=w",
    "CANARY_BEARER": "brr-eT7iU4qS0nX2/vK5+jF8=z",
    "CANARY_MCP": "mcp-aR6dW3gY9bM1/tQ4+uH7=k",
    "CANARY_RTC": "rtc-pZ8xC2vB5nL0/sE3+iO6=f",
    "CANARY_URL": "url-hJ1kT4mN7qW9_rV2-yU5.x",
    "CANARY_HEADER": "hdr-bG9fD6sA3zP0/cX7+lK4=o",
}
FILE_VALUE = "fil-wE2rT5yU8iO1/pA4+sD7=g"
VALUES: Mapping[str, str] = {**ENVIRONMENT, "ref+file": FILE_VALUE}
TOKEN = re.compile(rb"007e[A-Z][A-Za-z0-9+/]{20,}")
_GAPS = re.compile(rb"\s+|\x00")


def spellings(value: str) -> dict[str, bytes]:
    """The value in every spelling, by the name of the spelling; all of it in ASCII or UTF-8."""
    raw = value.encode()
    found = {
        "raw": raw,
        "json": json.dumps(value)[1:-1].encode(),
        "html": html.escape(value).encode(),
        "percent": quote(value, safe="").encode(),
        "percent, path": quote(value).encode(),
        "form": quote_plus(value).encode(),
        "percent, lower": re.sub("%..", lambda m: m[0].lower(), quote(value, safe="")).encode(),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "reversed": value[::-1].encode(),
        "base64 of utf-16": base64.b64encode(value.encode("utf-16-le")).rstrip(b"="),
    }
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
        inner = text[(0, 2, 3)[shift] : (len(raw) + shift) // 3 * 4]
        found[f"base64, {shift}"] = inner
        found[f"base64url, {shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    for kind in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        found[f"{kind}, unsalted"] = hashlib.new(kind, raw).hexdigest().encode()
    found["blake2b of 32, unsalted"] = hashlib.blake2b(raw, digest_size=32).hexdigest().encode()
    return found


def basic() -> str:
    """The customer's credentials as HTTP's Basic scheme carries them."""
    pair = f"{ENVIRONMENT['AGORA_CUSTOMER_ID']}:{ENVIRONMENT['AGORA_CUSTOMER_SECRET']}"
    return base64.b64encode(pair.encode()).decode()


def hits(data: bytes, tokens: Iterable[str] = ()) -> Iterator[str]:
    """What leaks in some bytes: `kind of secret: spelling`. Broken over lines and UTF-16 count too."""
    squeezed = _GAPS.sub(b"", data)
    for name, value in {**VALUES, "Basic": basic()}.items():
        for spelling, form in spellings(value).items():
            if form in data or _GAPS.sub(b"", form) in squeezed:
                yield f"{name}: {spelling}"
    if TOKEN.search(squeezed):
        yield "a token"
    for token in tokens:
        for spelling, form in spellings(token).items():
            if form in data or form in squeezed:
                yield f"a minted token: {spelling}"


FLEET = """\
fleet: canary
service: {kind: agora}
limits: {hang_ups: 100%, leave: 100%, quota: 100}
channels:
  - channel: lobby
    agents:
      - name: greeter
        properties:
          agent_rtc_uid: "1001"
          remote_rtc_uids: ["*"]
          idle_timeout: 0
          advanced_features: {enable_tools: true}
          rtc: {encryption_mode: 5, encryption_key: ref+env://CANARY_RTC}
          asr: {vendor: microsoft, language: en-US, params: {key: "ref+file://secret.txt", region: eastus}}
          tts: {vendor: microsoft, params: {key: ref+env://CANARY_TTS, region: eastus, voice_name: en-US-AvaNeural}}
          llm:
            url: https://llm.example.com/v1/chat/completions?key=ref+env://CANARY_URL
            api_key: ref+env://CANARY_LLM
            headers: {Authorization: Bearer ref+env://CANARY_BEARER+, X-Api-Key: ref+env://CANARY_HEADER}
            system_messages: [{role: system, content: Be kind.}]
            params: {model: gpt-4o-mini}
            mcp_servers:
              - name: orders
                endpoint: https://mcp.example.com/orders
                transport: streamable_http
                headers: {Authorization: Bearer ref+env://CANARY_MCP+}
                allowed_tools: [find_order]
"""
