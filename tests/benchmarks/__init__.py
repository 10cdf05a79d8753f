"""What `reconciler` costs, as ratios to floors measured in the same run: `python -m tests.benchmarks --help`.

Every row pairs our work with the least that the same machine could do for it, run in turns, medians of both. Nothing
here is ever an assertion of the ordinary tests: machines are noisy, and the table is for people.
"""
