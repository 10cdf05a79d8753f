"""Real processes, real files, a real socket: the honesty check on top of the simulation."""
