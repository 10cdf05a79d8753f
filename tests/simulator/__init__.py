"""Tests of the simulator: the world afterwards is what they look at."""
