"""Measured speed: each figure beside its limit in the same run. ``python -m benches`` (or ``make bench``)."""

import pathlib
import sys

# The tests' brokers and databases serve here, too; they name each other from tests/ on.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
