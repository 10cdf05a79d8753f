"""YAML text read into plain trees with the place of everything in it."""
