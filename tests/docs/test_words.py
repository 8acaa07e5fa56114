"""What the documents tell to type, set or look for is there: commands, options, settings, metrics, alerts."""

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from licet.cli.main import app
from licet.observe.metrics import Metrics
from licet.settings import Settings

ROOT = pathlib.Path(__file__).parents[2]
# commands.md is written from the command line itself.
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")}
    - {ROOT / "docs/reference/commands.md"}
)
_TYPED = re.compile(r"^(?:[ >]*\$ |\s*)(licet [a-z].*)$", re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_ENDS = {"|", ">", "&&", ";", "#", "&"}
# Of the SDK, of the compose file, and names that stand for a whole.
_NO_SETTINGS = {"LICET_URL", "LICET_KEY", "LICET_WHO", "LICET_OIDC_", "LICET_"}


def commands(text: str) -> Iterator[list[str]]:
    """Return the words of each `licet …` line of the blocks, up to where the shell goes on with something else."""
    for block in _FENCED.findall(text):
        for line in _TYPED.findall(block):
            words = shlex.split(line, comments=True)
            ends = [at for at, word in enumerate(words) if word in _ENDS]
            yield words[1 : ends[0]] if ends else words[1:]


def lacking(words: list[str]) -> str | None:
    """Say what of a command line the command line does not have."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    wrong = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no option {wrong[0]}" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_and_setting_of_a_page_is_there(page: pathlib.Path) -> None:
    text = page.read_text()
    for words in commands(text):
        assert lacking(words) is None, f"licet {' '.join(words)}: {lacking(words)}"
    settings = {name for name, _, _ in Settings().listing()} | _NO_SETTINGS
    named = {name for name in re.findall(r"\bLICET_[A-Z_]*", text) if not name.startswith(("LICET_TEST_", "LICET_SIM"))}
    assert named <= settings, named - settings
    metrics = {sample for one in Metrics().registry.collect() for sample in (one.name, f"{one.name}_total")}
    told = {
        name for name in re.findall(r"`(licet_[a-z_]+)(?:\{[a-z_,]+\})?`", text) if not name.startswith("licet_sdk")
    }
    assert told <= metrics | {"licet_simulator", "licet_lost", "licet_spool", "licet_local_"}, told - metrics


def test_each_alert_that_a_page_names_is_a_rule() -> None:
    rules = (ROOT / "deploy/prometheus/licet.rules.yml").read_text()
    named = {name for page in PAGES for name in re.findall(r"`(Licet[A-Z]\w+)`", page.read_text())}
    assert named - {"LicetMiddleware", "LicetProvider", "LicetError"} <= set(re.findall(r"alert: (\w+)", rules))
    assert "LicetSpooling" in named


def test_a_command_that_is_none_is_seen() -> None:
    assert lacking(["catalog", "plan", "x", "--limit", "3"]) is None
    assert lacking(["catalog", "plans"]) == "no command plans"
    assert lacking(["keys", "create", "x", "--scopes", "read"]) == "no option --scopes"
