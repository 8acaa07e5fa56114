"""Metrics: declared in one place, scraped as one page."""

import re

from licet.observe.metrics import Metrics


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
