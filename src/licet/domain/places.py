"""Where the keys of a TOML text stand, so that a fault can point there.

tomllib reads the text and tells no lines. But it also tells where a statement ends: lines are added to one until it can
be read, so each key belongs to a statement whose first line is known.
"""

import io
import re
import tomllib
from collections.abc import Iterator
from typing import Any

Place = tuple[int, int]
_HEADER = re.compile(r"\s*(\[\[?)")


def places(text: str) -> dict[str, Place]:
    """Return line and column, from 1, of each key of a valid TOML text, by its dotted path.

    Items of an array of tables are told by their number from 0, and their ``name``: ``exclude.0``, ``exclude.tests``.
    """
    found: dict[str, Place] = {}
    counted: dict[str, int] = {}
    header, first, statement = "", 1, ""
    for number, line in enumerate(io.StringIO(text), 1):
        first, statement = (first, statement + line) if statement else (number, line)
        opens = _HEADER.match(statement)
        try:
            read = tomllib.loads(statement if opens else header + statement)
        except tomllib.TOMLDecodeError:
            continue  # the statement goes on in the next line
        if opens:
            header = statement.rstrip() + "\n"
            if opens[1] == "[[":
                array = next(iter(read))
                counted[array] = counted.get(array, -1) + 1
        for key, path in _paths(read, "", counted):
            found.setdefault(path, _place(key, statement, first))
        statement = ""
    return found


def _paths(value: Any, above: str, counted: dict[str, int]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{above}.{key}" if above else key
            yield key, path
            yield from _paths(inner, path, counted)
    elif isinstance(value, list) and above in counted and value and isinstance(value[0], dict):
        for name in filter(None, (str(counted[above]), value[0].get("name"))):
            yield above, f"{above}.{name}"
            yield from _paths(value[0], f"{above}.{name}", {})


def _place(key: str, statement: str, first: int) -> Place:
    named = re.search(rf"(?<![\w\-])[\"']?({re.escape(key)})[\"']?\s*[=.\]]", statement)
    before = statement[: named.start(1)] if named else statement[: len(statement) - len(statement.lstrip())]
    return first + before.count("\n"), len(before) - before.rfind("\n")
