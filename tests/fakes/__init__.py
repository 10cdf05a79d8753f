"""Stand-ins that pass the contracts: a driver in virtual time over the simulator, and small fleets by hand."""
