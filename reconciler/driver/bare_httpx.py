"""httpx without its command line, whose imports take longer than the rest of httpx where rich is installed."""

from __future__ import annotations

import sys

_COMMAND_LINE = "httpx._main"

# None makes its import fail, and httpx then goes on without it, as it does where rich is not installed.
sys.modules.setdefault(_COMMAND_LINE, None)  # type: ignore[arg-type]  # the type does not know of None
import httpx  # noqa: E402

if sys.modules[_COMMAND_LINE] is None:
    del sys.modules[_COMMAND_LINE]

__all__ = ["httpx"]
