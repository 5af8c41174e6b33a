"""One file per promise about speed, each measured against a limit or a peer in the same run.

`python -m benchmarks` runs all and writes `results.json`; `python -m benchmarks hot_tier` runs one. Figures are of the
machine that they were measured on: only ratios are worth comparing.
"""
