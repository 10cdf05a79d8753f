"""How many of ten planted one-line bugs the quick tests notice: `python -m tests.quick_score`."""
