"""Carry out a plan: the protocol of calls, intents and records that survives crashes, lost replies and other writers.

Everything here is a generator that yields effects (`ports`) and is sent their results: no I/O, clock or concurrency.
"""
