"""The stores behind `ports.StateStore`, and the form in which states are stored.

Every store must pass `tests/contracts/state_store.py`.
"""
