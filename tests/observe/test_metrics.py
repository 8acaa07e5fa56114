"""Metrics: declared in one place, scraped as one page."""

import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from licet.observe.metrics import _FAST, Metrics


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


def test_the_hot_paths_numbers_are_shown_as_the_librarys_own_would_be() -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    name = "licet_http_request_seconds"
    library = Histogram(name, "x", ("route",), buckets=_FAST, registry=registry).labels("/a")
    for seconds in (0.0, 0.0001, 0.00010001, 0.5, 5.0, 99.0):
        metrics.http_request_seconds.labels("/a").observe(seconds)
        library.observe(seconds)
    counter = Counter("licet_checks", "x", ("reason",), registry=registry).labels("licensed")
    for _ in range(3):
        metrics.checks.labels("licensed").inc()
        counter.inc()

    def lines(page: str) -> list[str]:
        return sorted(
            one for one in page.splitlines() if re.match(r"licet_(http_request_seconds|checks)_(?!created)", one)
        )

    assert lines(metrics.render()[1].decode()) == lines(generate_latest(registry).decode())
