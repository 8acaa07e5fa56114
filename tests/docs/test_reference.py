"""The reference pages are what the code says.

``LICET_TEST_UPDATE=1 pytest tests/docs`` writes them anew.
"""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import typer
from typer.cli import get_docs_for_click

from licet.cli.main import app
from licet.domain.decision import MESSAGES
from licet.edge.problems import CODES
from licet.observe.log import Event
from licet.observe.metrics import Metrics
from licet.settings import Settings

PAGES = pathlib.Path(__file__).parents[2] / "docs/reference"
WRITTEN = "Written by `LICET_TEST_UPDATE=1 pytest tests/docs` from the code."


def table(*heads: str, rows: Iterable[Iterable[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings() -> str:
    secret = {f"LICET_{one.name.upper()}" for one in dataclasses.fields(Settings) if one.metadata["secret"]}
    rows = [
        (f"`{name}`", f"`{value}`" if value else "unset", about + (" A secret." if name in secret else ""))
        for name, value, about in Settings().listing()
    ]
    told = (
        "Each is read once from the environment. `licet settings` lists them with their values here; `licet doctor`\n"
        "looks at what they lead to. A wrong value, or a name that is none, stops the start and is told with all."
    )
    return f"# Settings\n\n{told}\n\n{table('variable', 'default', 'what it is for', rows=rows)}\n"


def metrics() -> str:
    ends = {"counter": "_total", "histogram": "_bucket, _count, _sum", "gauge": ""}
    families = sorted(Metrics().registry.collect(), key=lambda one: one.name)
    rows = [(f"`{one.name}`", one.type, ends[one.type], one.documentation) for one in families]
    told = (
        "At `/metrics` of the web, and of the worker on `LICET_METRICS_PORT`. No label holds an id. Alerts and a\n"
        "dashboard are in [deploy](../../deploy/README.md#watching-it)."
    )
    return f"# Metrics\n\n{told}\n\n{table('metric', 'kind', 'ends in', 'what it tells', rows=rows)}\n"


def errors() -> str:
    codes = [(f"`{one.code}`", str(one.status), one.title, one.meaning) for one in CODES.values()]
    reasons = [(f"`{one}`", text) for one, text in MESSAGES.items()]
    told = (
        "Every error of the API is an `application/problem+json` (RFC 9457) with one of these stable codes.\n"
        'An answer "no" is no error: it is a 200 with a decision. Its reasons follow.'
    )
    first = table("code", "status", "title", "when", rows=codes)
    second = table("reason", "what an end user may read", rows=reasons)
    return f"# Errors and reasons\n\n{told}\n\n{first}\n\n{second}\n"


def events() -> str:
    rows = [
        (f"`{name}`", logging.getLevelName(level).lower(), about)
        for name, level, about in (event.value for event in Event)
    ]
    told = "`LICET_LOG_FORMAT=json` writes a line of JSON for each, with its fields; `text` is for people."
    return f"# Log events\n\n{told}\n\n{table('event', 'level', 'what it means', rows=rows)}\n"


def commands() -> str:
    command: Any = typer.main.get_command(app)
    with command.make_context("licet", [], resilient_parsing=True) as context:
        return get_docs_for_click(obj=command, ctx=context, name="licet", title="The command line").rstrip() + "\n"


@pytest.mark.parametrize("page", [settings, metrics, errors, events, commands])
def test_the_reference_is_what_the_code_says(page: Callable[[], str]) -> None:
    title, _, rest = page().partition("\n\n")
    text = f"{title}\n\n{WRITTEN}\n\n{rest}"
    path = PAGES / f"{page.__name__}.md"
    if os.environ.get("LICET_TEST_UPDATE"):
        path.write_text(text)
    assert path.read_text() == text
