"""Machine-made bugs in engine, state and client: how many of them do simulation and tests notice?

The thirty planted bugs (`tests/simulation/mutants.py`) were thought of by people, who think of what they have tested.
"""
