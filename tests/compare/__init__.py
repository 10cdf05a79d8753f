"""Compares the plans of two versions of the code, byte by byte: `python -m tests.compare --against REV`."""
