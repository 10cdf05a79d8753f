"""The values of the domain (addresses, specs, records, agents) and what can be computed from them alone.

No I/O, no clock, no randomness, no knowledge of files, wire formats or storage.
"""
