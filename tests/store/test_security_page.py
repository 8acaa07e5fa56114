"""The page on security names tests that exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+)(?:\.py)?(?:::(\w+))?`", page)
    assert len(named) > 15
    for path, test in named:
        file = ROOT / f"{path}.py"
        assert file.is_file(), path
        assert not test or f"def {test}(" in file.read_text(), test
