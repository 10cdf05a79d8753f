"""Plan -> effects, as events: the protocol that survives crashes, lost replies and other writers.

Generators that yield effects (`ports`) and are sent their results; no I/O, no clock, no concurrency of their own.
"""
