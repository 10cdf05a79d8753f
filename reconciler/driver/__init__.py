"""Effects, performed: the one room in which the core's effects meet asyncio, sockets and the clock."""

import sys

# httpx imports a command line of its own where rich and pygments are installed, and does without it where it cannot:
# that is half of the time that its import takes.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # what Python keeps for what cannot be imported
