"""Every parser of the product, fed with what nobody would write. `python -m tests.fuzz --help` runs it."""
