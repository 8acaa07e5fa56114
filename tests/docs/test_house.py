"""The house's measures: no file over 400 lines, no function over 60, nine in ten functions under 30."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
FILES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "sdk/src").rglob("*.py"), *(ROOT / "simulator").rglob("*.py")]


def test_files_and_functions_stay_readable() -> None:
    lengths: dict[str, int] = {}
    for file in FILES:
        text = file.read_text("utf-8")
        assert len(text.splitlines()) <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                where = f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
                lengths[where] = node.end_lineno - node.lineno + 1
    assert len(lengths) > 1000, "the functions were not found"
    assert {where: length for where, length in lengths.items() if length > 60} == {}
    assert sum(length < 30 for length in lengths.values()) >= 0.9 * len(lengths)
