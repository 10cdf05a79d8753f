"""The peer of an apply: the vendor's own SDK, joining the same agents in ten threads.

    python -m tests.benchmarks.sdk BODIES.json

BODIES.json has a list of join bodies. The service is that of AGORA_AGENTS_API_BASE_URL, the credentials are those of the
environment, and a token is made for each agent, as an apply does. It plans, records and proves nothing.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK is written for two versions of pydantic
    from agora_agent import Agora, Area
    from agora_agent.agentkit.token import generate_rtc_token
    from agora_agent.agents.types.start_agents_request_properties import StartAgentsRequestProperties

THREADS = 10


def main() -> None:
    """Join every agent of a file."""
    app_id, certificate = os.environ["AGORA_APP_ID"], os.environ["AGORA_APP_CERTIFICATE"]
    client = Agora(
        area=Area.US,
        app_id=app_id,
        app_certificate=certificate,
        customer_id=os.environ["AGORA_CUSTOMER_ID"],
        customer_secret=os.environ["AGORA_CUSTOMER_SECRET"],
    )

    def join(body: dict[str, Any]) -> None:
        written = body["properties"]
        token = generate_rtc_token(app_id, certificate, written["channel"], int(written["agent_rtc_uid"]))
        properties = StartAgentsRequestProperties(**{**written, "token": token})
        client.agents.start(app_id, name=body["name"], properties=properties)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(join, json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()
