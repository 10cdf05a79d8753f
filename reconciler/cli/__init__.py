"""The command line: flags in, exit code out. Only this package writes to a stream, reads the environment or chooses adapters."""
