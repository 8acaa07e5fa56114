"""Measured speed: each figure beside its limit in the same run. ``python -m benches`` (or ``make bench``)."""
