"""Plans, events and problems -> words: pure functions from values to text.

Renderers return strings or yield lines; only `cli` writes to a stream. Every sink has its own escaping.
"""
