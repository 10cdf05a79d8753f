"""Read YAML text into plain trees with the place of everything in it."""
