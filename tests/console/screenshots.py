"""Screenshots of every page at both widths, in light and in dark, into docs/images: ``make screenshots``."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from playwright.sync_api import Browser

from licet.console.session import Role
from support.browser import DESKTOP, PHONE, SCHEMES, browser, person
from support.database import migrated_template, server
from support.staged import ACME, Staged, fill_customers, staged_console

IMAGES = pathlib.Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 1_500_000
# Each page by the name of its images.
PAGES = {
    "sign-in": "/console/sign-in",
    "customers": "/console",
    "customer": f"/console/customers/{ACME}?feature=account-takeover-protection&user=ada@acme.example",
    "now": "/console/now",
    "dead-letters": "/console/dead-letters",
    "dead-letter": "/console/dead-letters/1",
    "brake": "/console/brake",
    "drift": "/console/drift",
    "sources": "/console/sources",
    "catalog": "/console/catalog",
    "keys": "/console/keys",
    "audit": "/console/audit",
}


def take(stage: Staged, running: Browser, name: str, path: str) -> int:
    """Take the images of one page; returns how many bytes they have."""
    role, size = None if name == "sign-in" else Role.ADMIN, 0
    with person(running, stage.at, role) as page:
        page.goto(path)
        if name == "now":
            page.get_by_text("Live.").wait_for()
        for width, height in (PHONE, DESKTOP):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                # A page that is long is cut at one and a half windows: it is to be looked at, not to be read.
                whole = min(page.evaluate("() => document.documentElement.scrollHeight"), height * 3 // 2)
                clip = {"x": 0, "y": 0, "width": width, "height": max(height * 2 // 3, whole)}
                taken = _with_palette(page.screenshot(full_page=True, clip=clip))  # type: ignore[arg-type]
                (IMAGES / f"{name}-{width}-{scheme}.png").write_bytes(taken)
                size += len(taken)
    return size


def _with_palette(png: bytes) -> bytes:
    """A page has few colours; a palette of them takes a third of the bytes."""
    return subprocess.run(["pngquant", "--strip", "48", "-"], input=png, stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    """Take all."""
    if shutil.which("pngquant") is None:
        sys.exit("pngquant is not on this machine: apt-get install pngquant")
    IMAGES.mkdir(exist_ok=True)
    with (
        server() as url,
        migrated_template(url) as template,
        tempfile.TemporaryDirectory() as folder,
        staged_console(url, template) as stage,
        browser() as running,
    ):
        fill_customers(stage.at)
        stage.fill(pathlib.Path(folder))
        sizes = {name: take(stage, running, name, path) for name, path in PAGES.items()}
    for name, size in sizes.items():
        print(f"{name:15} {size:9,}")
    print(f"{'all':15} {sum(sizes.values()):9,}")
    if sum(sizes.values()) > MOST_BYTES:
        sys.exit(f"the images have more than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
