"""Alert rules and dashboard ask for what Licet exposes, by the names and labels that it has."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from licet.observe.metrics import Metrics

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "licet.rules.yml"
METRICS = DEPLOY.parent / "src/licet/observe/metrics.py"
DASHBOARD = DEPLOY / "grafana" / "licet.json"
_USED = re.compile(r"(licet_[a-z_]+)(?:\{([^}]*)\})?")
_LABELS = re.compile(r"by \(([^)]*)\)")


def exposed() -> set[str]:
    """Return the names of all samples that the metrics may have."""
    families = text_string_to_metric_families(Metrics().render()[1].decode())
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    named = {family.name + suffix for family in families for suffix in suffixes[family.type]}
    return {name for name in named if not name.endswith("_created")}  # the client's own, of when a counter began


def asked() -> list[str]:
    """Return every expression of the rules and the dashboard."""
    rules = re.findall(r"^\s+expr: (.*)$", RULES.read_text(), re.MULTILINE)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return rules + [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_every_metric_asked_for_is_exposed_and_the_reverse() -> None:
    used = {name for expression in asked() for name, _ in _USED.findall(expression)}
    assert used <= exposed(), used - exposed()
    families = {re.sub("_(total|bucket|count|sum)$", "", name) for name in exposed()}
    shown = {re.sub("_(total|bucket|count|sum)$", "", name) for name in used}
    # Told by others better: sizes, and numbers that only grow.
    assert families - shown <= {
        "licet_batch_size",
        "licet_revision",
        "licet_spool_drained",
        "licet_stream_readers",
        "licet_snapshot_customers",
        "licet_door_letters",
    }


def test_every_label_asked_for_is_one_that_a_metric_has() -> None:
    known = {"route", "status", "reason", "outcome", "cause", "code", "when_stale", "kind", "le"}
    declared = set(re.findall(r'\("(\w+)"(?:, "(\w+)")?,?\)', METRICS.read_text()))
    assert known - {"le"} <= {label for pair in declared for label in pair}
    for expression in asked():
        matched = {
            name for _, matchers in _USED.findall(expression) for name in re.findall(r"(\w+)\s*[=!]~?", matchers)
        }
        grouped = {one.strip() for group in _LABELS.findall(expression) for one in group.split(",")}
        assert matched | grouped <= known, expression


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: apt-get install prometheus)")
@pytest.mark.parametrize("arguments", [("check", "rules", RULES.name), ("test", "rules", "licet.test.yml")])
def test_the_rules_hold_by_prometheus_own_tool(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run(["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_names_what_to_do_and_the_pages_that_it_names_exist() -> None:
    text = RULES.read_text()
    assert text.count("- alert:") == text.count(" do: ") == text.count(" summary: ")
    for page in re.findall(r"docs/[\w/.-]+\.md", text):
        assert (DEPLOY.parent / page).is_file(), page
