"""The fleet's blocks expanded into agents: layers, profiles, loops and variables."""
