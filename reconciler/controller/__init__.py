"""The controller: keeps fleets standing, turn by turn, until it is stopped.

Each turn asks one plan of the whole fleet what is to be done, and the clock and the world when. Sans-I/O like all of the
core; nothing of what must outlive a process is remembered here.
"""
