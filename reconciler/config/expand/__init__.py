"""Expand the fleet's blocks into agents: layers, profiles, loops and variables."""
