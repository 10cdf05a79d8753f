"""What a fleet *is*: pure values, and what can be computed from them alone.

No I/O, no clock, no randomness, no knowledge of files, wire formats or storage. pydantic appears only where
the user's words are checked (`properties`, `vendors`).
"""
