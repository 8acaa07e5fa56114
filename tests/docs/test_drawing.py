"""The drawing of the data model: tables, columns, types and keys are those of ``schema.sql``.

``LICET_TEST_UPDATE=1 pytest tests/docs/test_drawing.py`` draws it anew. Most of what its lines join are no foreign keys
of PostgreSQL: history outlives what it names.
"""

import os
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = (ROOT / "src/licet/store/sql/schema.sql").read_text()
DRAWING = ROOT / "docs/data-model.svg"
WIDE, GAP, LINE, HEAD, BETWEEN = 196, 44, 18, 26, 20
# Four columns of tables, and which of their columns are shown.
TABLES = (
    {
        "customer_alias": "alias customer_id origin",
        "customer_domain": "domain customer_id origin",
        "user_membership": "user_id customer_id origin",
        "override": "customer_id sku feature effect ends_at reason author",
        "catalog_version": "version document author",
    },
    {
        "customer": "customer_id name deleted fields revision",
        "sku": "catalog_version sku flag_field",
        "feature": "catalog_version feature title",
    },
    {
        "license": "row_id license_id customer_id sku status starts_at ends_at valid recorded opened_delivery",
        "sku_feature": "catalog_version sku feature value",
        "dead_letter": "letter sequence reason value",
        "change_feed": "revision kind subject",
    },
    {
        "delivery": "log partition offset sequence revision event_id customer_id outcome reason payload",
        "revision_log": "revision recorded_at",
    },
)
JOINS = (
    "customer_alias.customer_id customer.customer_id",
    "customer_domain.customer_id customer.customer_id",
    "user_membership.customer_id customer.customer_id",
    "override.customer_id customer.customer_id",
    "license.customer_id customer.customer_id",
    "license.opened_delivery delivery.sequence",
    "license.sku sku.sku",
    "sku.catalog_version catalog_version.version",
    "feature.catalog_version catalog_version.version",
    "sku_feature.sku sku.sku",
    "sku_feature.feature feature.feature",
    "dead_letter.sequence delivery.sequence",
    "change_feed.revision revision_log.revision",
)
STYLE = """text { font: 12px system-ui, sans-serif; fill: #24292f } .name { font-weight: 600; fill: #fff }
.type { fill: #57606a; text-anchor: end } .key { font-weight: 600 } .box { fill: #fff; stroke: #d0d7de }
.head { fill: #3f51b5 } .join { fill: none; stroke: #8c959f; stroke-width: 1.2 } circle { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .type { fill: #9198a1 } .box { fill: #161b22; stroke: #3d444d } .join { stroke: #656c76 }
}"""


def columns(table: str) -> dict[str, str]:
    """Return the type of each column, as short as a person says it."""
    body = re.search(rf"CREATE TABLE public\.{table} \((.*?)^\)", SCHEMA, re.DOTALL | re.MULTILINE)
    assert body is not None, table
    short = {"timestamp with time zone": "timestamptz", "double precision": "float"}
    found = re.findall(r'^    "?(\w+)"? (timestamp with time zone|double precision|\w+)', body[1], re.MULTILINE)
    return {name: short.get(kind, kind) for name, kind in found if name != "CONSTRAINT"}


def keys(table: str) -> set[str]:
    found = re.search(rf"{table}_pkey PRIMARY KEY \(([^)]*)\)", SCHEMA)
    return set(re.findall(r"\w+", found[1])) if found else set()


def drawn() -> str:
    boxes, places, lowest = [], {}, 0
    for number, tables in enumerate(TABLES):
        x, y = number * (WIDE + GAP) + 1, 1
        for table, shown in tables.items():
            types, rows = columns(table), shown.split()
            high = HEAD + LINE * len(rows) + 6
            boxes.append(f'<rect class="box" x="{x}" y="{y}" width="{WIDE}" height="{high}" rx="4"/>')
            boxes.append(f'<path class="head" d="M{x} {y + HEAD}v-22q0-4 4-4h{WIDE - 8}q4 0 4 4v22z"/>')
            boxes.append(f'<text class="name" x="{x + 8}" y="{y + 18}">{table}</text>')
            for at, row in enumerate(rows):
                base = y + HEAD + LINE * (at + 1) - 3
                key = ' class="key"' if row in keys(table) else ""
                boxes.append(f'<text{key} x="{x + 8}" y="{base}">{row}</text>')
                boxes.append(f'<text class="type" x="{x + WIDE - 8}" y="{base}">{types[row]}</text>')
                places[f"{table}.{row}"] = (number, x, base - 4)
            y += high + BETWEEN
        lowest = max(lowest, y)
    x, y = len(TABLES) * (WIDE + GAP) - GAP + 2, lowest - BETWEEN + 2
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {x} {y}" width="{x}" height="{y}">'
    lines = [line(places[one], places[other]) for one, other in map(str.split, JOINS)]
    return "\n".join([opening, f"<style>\n{STYLE}\n</style>", *boxes, *lines, "</svg>"]) + "\n"


def line(one: tuple[int, int, int], other: tuple[int, int, int]) -> str:
    """Draw a line between two rows of neighbouring columns; the dot stands at the one that is named by many."""
    (left, x1, y1), (right, x2, y2) = one, other
    assert abs(left - right) == 1, "neighbours alone"
    begin, end, out = (x1 + WIDE, x2, 1) if left < right else (x1, x2 + WIDE, -1)
    bend = out * GAP * 0.75
    path = f'<path class="join" d="M{begin} {y1}C{begin + bend:g} {y1} {end - bend:g} {y2} {end} {y2}"/>'
    return f'{path}<circle cx="{end}" cy="{y2}" r="3"/>'


def test_the_drawing_is_of_the_schema() -> None:
    found = drawn()
    if os.environ.get("LICET_TEST_UPDATE"):
        DRAWING.write_text(found)
    assert DRAWING.read_text() == found
