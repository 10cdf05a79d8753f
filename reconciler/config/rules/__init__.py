"""Rules across fields and across agents: one function each, with an id that users can search for.

A rule about one agent is registered for the parts of `properties` that it reads, and runs only where one of them is
written. A rule about the fleet gets all agents. A new rule is a function in the module of its subject, and a bad fleet
in `tests/bad_fleets/<id>/`.
"""

from reconciler.config.rules import avatars, identity, lifecycle, models, secrets, session, urls
from reconciler.config.rules.registry import Rules, Subject

__all__ = ["Rules", "Subject", "avatars", "identity", "lifecycle", "models", "secrets", "session", "urls"]
