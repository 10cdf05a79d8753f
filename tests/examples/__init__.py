"""The examples are promises: each is validated, planned, applied and read against its README."""
