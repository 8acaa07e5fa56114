"""Metrics: declared in one place, scraped as one page."""

import re

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from licet.observe.metrics import Metrics
from licet.observe.seconds import BUCKETS, Seconds


def test_the_page_shows_every_metric_with_its_help() -> None:
    metrics = Metrics()
    metrics.changes_accepted.inc(3)
    kind, body = metrics.render()
    assert kind.startswith("text/plain")
    text = body.decode()
    assert "licet_changes_accepted_total 3.0" in text
    for family in metrics.registry.collect():
        assert re.fullmatch(r"licet_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert f"# HELP {family.name}" in text


def test_two_processes_in_one_interpreter_do_not_share_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.changes_accepted.inc()
    assert other.registry.get_sample_value("licet_changes_accepted_total") == 0.0


def test_durations_are_counted_as_prometheus_counts_them() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    kept = Seconds("licet_x_seconds", "It takes.", ("route",), registry=ours).labels("a")
    bounds = [float(bound) for bound in BUCKETS]
    known = Histogram("licet_x_seconds", "It takes.", ("route",), buckets=bounds, registry=theirs).labels("a")
    for seconds in (0.0, 0.0001, 0.00011, 0.3, 5.0, 60.0):
        kept.observe(seconds)
        known.observe(seconds)
    lines = [
        [line for line in generate_latest(one).decode().splitlines() if "_created" not in line]
        for one in (ours, theirs)
    ]
    assert sorted(lines[0]) == sorted(lines[1])
    with pytest.raises(ValueError, match="licet_x_seconds"):
        Seconds("licet_x_seconds", "Again.", registry=ours)
