"""What `make docs` adds to MkDocs: the files of the repository that pages link to, folders in the nav, and a last look.

A page links to a file outside of docs/ by its path, as on a git host. The site gets a copy of each such file under
outside/, and the links lead there; Markdown among them becomes a page.
"""

import fnmatch
import os
import pathlib
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"<pre.*?</pre>", re.DOTALL)
_RAW = re.compile(r"^(?:\d+\. |[*-] |\||```).*", re.MULTILINE)
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+stylesheet[^>]+//|@import"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of docs/, and what those pages link to."""
    waiting = [ROOT / "docs" / page.src_uri for page in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for link in _LINK.findall(_FENCED.sub("", page.read_text())):
            target = _target(page, link)
            uri = _uri(target)
            if uri.startswith("outside/") and files.get_file_from_path(uri) is None and target.is_file():
                files.append(File.generated(config, uri, abs_src_path=str(target)))
                waiting += [target] if target.suffix == ".md" else []
    config.nav = _expanded(config.nav, sorted(page.src_uri for page in files.documentation_pages()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between docs/ and the rest of the repository into links of the site."""
    here, uri = pathlib.Path(page.file.abs_src_path), page.file.src_uri

    def within(link: re.Match[str]) -> str:
        return os.path.relpath(_uri(_target(here, link[1])), os.path.dirname(uri) or ".")

    return _LINK.sub(within, markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Refuse a list or a table that shows as text: a git host takes what MkDocs does not.

    It wants a blank line before a list and before an item that follows a block, and four spaces before a block within.
    """
    if found := _RAW.search(_CODE.sub("", html)):
        raise PluginError(f"{page.file.src_uri}: no list or table: {found[0]}")
    return html


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Refuse a site whose pages would fetch something from elsewhere."""
    for page in pathlib.Path(config.site_dir).rglob("*.html"):
        if found := _FETCHED.search(page.read_text()):
            raise PluginError(f"{page}: {found[0]} would be fetched from elsewhere")


def _target(page: pathlib.Path, link: str) -> pathlib.Path:
    return pathlib.Path(os.path.normpath(page.parent / link))


def _uri(target: pathlib.Path) -> str:
    """Where a file of the repository is in the site, which leaves out what begins with a dot."""
    within = target.relative_to(ROOT).as_posix()
    return within.removeprefix("docs/") if within.startswith("docs/") else f"outside/{within.lstrip('.')}"


def _expanded(nav: Any, pages: list[str]) -> Any:
    named = set(re.findall(r"[\w/.-]+\.md", str(nav)))

    def walk(one: Any) -> list[Any]:
        if isinstance(one, dict):
            return [{title: [line for part in parts for line in walk(part)]} for title, parts in one.items()]
        return [uri for uri in pages if fnmatch.fnmatch(uri, one) and uri not in named] if one.endswith("*") else [one]

    return [line for one in nav for line in walk(one)]
