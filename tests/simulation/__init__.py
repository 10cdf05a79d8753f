"""Deterministic simulation: the real engine and the real client against the simulated service, in virtual time.

One seeded source of chance decides faults, delays, crashes and interleaving; the invariants are checked after every
event that can break them. `python -m tests.simulation --help` runs it; README.md here says what is covered.
"""
