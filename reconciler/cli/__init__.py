"""The front door: flags in, exit code out. The only room that writes to a stream or chooses adapters."""
