"""The checker, which shares no code with the client.

Names, ownership, targets, uids, Retry-After, limits, protection and the life of tokens are written here again, in words
of their own: a mistake in the engine must not be the checker's, too. Of `reconciler` only the simulator is imported,
which is itself independent of the client; `test_witness.py` holds both by what is really loaded.
"""
