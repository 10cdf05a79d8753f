"""A state as a log: numbered entries in a drawer, each made once, and a snapshot every hundred entries."""
