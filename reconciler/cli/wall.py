"""The second wall: what this process knows to be secret is masked in everything that it prints.

Adapters redact what they quote, each with what it sent; this wall knows nothing of them and stands where bytes
leave. One per process: what was secret once stays so.
"""

from __future__ import annotations

from reconciler.model.wall import Wall

WALL = Wall()
