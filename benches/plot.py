"""``python -m benches.plot FILE``: draw docs/performance.svg of the rows that ``python -m benches --json FILE`` wrote.

Licet beside its peers: checks over HTTP and in process. Follows the reader's light or dark.
"""

import json
import pathlib
import sys
from collections.abc import Sequence
from html import escape
from typing import Any

from benches.machine import ROOT

TARGET = ROOT / "docs" / "performance.svg"
_WIDTH, _LABEL, _BAR, _STEP, _HEAD = 720, 190, 18, 26, 34  # pixels
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .number { fill: #57606a }
.licet { fill: #0969da } .peer { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .number { fill: #9198a1 } .licet { fill: #4493f8 } .peer { fill: #656c76 }
}
"""
Bar = tuple[str, float]


def panels(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[Bar]]]:
    """Return each panel's title and bars; none of what was not measured."""
    http = [row for row in rows if row["peer"] and row["what"].startswith("check, 64 connections") and row["bar"]]
    p99s = [row for row in rows if row["peer"] and row["what"].endswith("p99")]
    others = [
        (row["what"].removesuffix(", a flag"), row["measured"]) for row in rows if row["what"].endswith(", a flag")
    ]
    own = [row for row in rows if row["what"].endswith("() beside these")]
    found = [
        ("HTTP checks a second on one core, 64 connections (more is better)", _beside(_of(http, "req/s"))),
        ("Their 99th percentile, ms (less is better)", _beside(_of(p99s, "ms"))),
        (
            "In process, ns a question (less is better)",
            [(f"Licet {row['what'].split()[1]}", row["measured"]) for row in own] + others,
        ),
    ]
    return [(title, bars) for title, bars in found if bars]


def _of(rows: Sequence[dict[str, Any]], unit: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["unit"] == unit]


def _beside(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    """Return Licet's bar, then that of each peer."""
    return [("Licet", row["measured"]) for row in rows[:1]] + [(row["peer"], row["limit"]) for row in rows]


def draw(found: Sequence[tuple[str, Sequence[Bar]]], about: str) -> str:
    """Draw the panels, one below the other."""
    parts, y = [], 0
    for title, bars in found:
        parts.append(f'<text class="title" x="8" y="{y + 22}">{escape(title)}</text>')
        y += _HEAD
        scale = (_WIDTH - _LABEL - 90) / max(value for _, value in bars)
        for name, value in bars:
            kind, width = "licet" if name.startswith("Licet") else "peer", max(1.0, value * scale)
            number = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
            parts += [
                f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="{kind}" x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
                f'<text class="number" x="{_LABEL + width + 6:.1f}" y="{y + 14}">{number}</text>',
            ]
            y += _STEP
        y += 12
    parts.append(f'<text class="number" x="8" y="{y + 10}">{escape(about)}</text>')
    size = f'viewBox="0 0 {_WIDTH} {y + 22}" width="{_WIDTH}" height="{y + 22}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>\n<style>{_STYLE}</style>\n{body}\n</svg>\n'


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    told = json.loads(pathlib.Path(sys.argv[1]).read_text())
    if not (drawn := panels(told["rows"])):
        sys.exit(f"{sys.argv[1]} has no row of check or sdk")
    TARGET.write_text(draw(drawn, f"python -m benches check sdk; {told['about'].partition(';')[0]}"))
    print(TARGET)
