"""One file per command: options, one call of a verb, one renderer."""
