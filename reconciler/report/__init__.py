"""Makes text from plans, events and problems: pure functions.

Renderers return strings or yield lines; only `cli` writes to a stream. Every sink has its own escaping.
"""
