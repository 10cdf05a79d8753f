"""Jinja templates: what they may do, and the process in which they run."""
