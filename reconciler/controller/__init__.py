"""The controller: keeps fleets standing, turn by turn, until it is stopped.

Each turn makes one plan of the whole fleet, which says what to do; the clock, the roll and the files say when. Sans-I/O
like all of the core. Nothing that must outlive the process is kept here: that is in the state.
"""
