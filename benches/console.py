"""The console with a million customers: a search as one types, a customer's page, the first page in a real browser.

The customers are those of benches/million.py with names of three words and more, of few words, so that the worst text
to look for begins a word of a quarter million names. The answers come over HTTP on one connection, one after the other.
"""

import datetime as dt
import http.client
import random
import shutil
import statistics
import time
import urllib.parse
from collections.abc import Sequence

import psycopg

from benches.machine import KEY, Machine, licet_web, postgres
from benches.million import FILL, MILLION
from benches.table import Row, Skipped, below, percentile
from licet.console.frame import COOKIE, HOME
from licet.console.session import Role, Seal
from licet.store.migrate import migrate

SEARCHES, PAGES, LOADS = 1500, 1000, 7
SEARCH_BAR_MS, PAGE_BAR_MS, INTERACTIVE_BAR_MS, WEIGHT_BAR_KIB = 100, 200, 300, 100
_FIRST = ("Acme", "Nordwind", "Blue Harbor", "Sankt Georg", "Umbra", "Kestrel", "Lumen", "Orchard")
_TRADE, _FORM = ("Logistics", "Health", "Foods", "Energy", "Media"), ("GmbH", "Inc", "Ltd", "AG")
_DRAWN = [f"(ARRAY{list(words)})[1 + i %% {len(words)}]" for words in (_FIRST, _TRADE, _FORM)]
_NAME = " || ' ' || ".join([_DRAWN[0], "substr(md5(i::text), 1, 5)", *_DRAWN[1:]])
# Each hundredth customer was written thirty times; all came with the first delivery.
_HISTORY = """
    INSERT INTO delivery (log, partition, "offset", sequence, revision, customer_id, payload_hash, outcome, rule)
    SELECT 'bench', 0, i * 30 + k, 10 + i * 30 + k, 2, '0015g' || lpad((i * 100)::text, 13, '0'), ''::bytea,
           'applied', 'applied'
    FROM generate_series(0, %(count)s / 100 - 1) i, generate_series(0, 29) k
    UNION ALL SELECT 'bench', 1, 0, 1, 2, NULL, '', 'applied', 'applied'
"""


def run(machine: Machine) -> list[Row]:
    """Fill, then look for customers, look at them, and open the first page."""
    with postgres(machine) as (url, _):
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            for statement in (*FILL[:-1], _HISTORY, FILL[-1]):
                named = statement.replace("'customer ' || i", _NAME)
                connection.execute(named.encode(), {"count": MILLION} if "%(count)s" in named else None)
        issuer = {"oidc_issuer": "http://127.0.0.1:9", "console_oidc_client_id": "bench", "console_secret": KEY}
        with licet_web(machine, url, patience=180, console_url="http://127.0.0.1", **issuer) as (port, _):
            seal = Seal(KEY, lambda: dt.datetime.now(dt.UTC))
            cookie = seal.write(seal.visit("ada", Role.SALES))
            searches = _asked(port, cookie, [f"?{urllib.parse.urlencode({'q': one})}" for one in _texts()])
            pages = _asked(port, cookie, _addresses())
            weight, interactive = _opened(port, cookie)
    note = f"p50 {percentile(searches, 0.5):.1f} ms, max {max(searches):.1f} ms; {MILLION:,} customers"
    of_page = (
        f"p50 {percentile(pages, 0.5):.1f} ms, max {max(pages):.1f} ms; a third at another moment, a third asks why"
    )
    loads = f"median of {LOADS} in Chromium without a cache, to DOMContentLoaded, scripts included"
    return [
        below(
            Row(what="console: search, p99", measured=percentile(searches, 0.99), unit="ms", note=note), SEARCH_BAR_MS
        ),
        below(
            Row(what="console: customer, p99", measured=percentile(pages, 0.99), unit="ms", note=of_page), PAGE_BAR_MS
        ),
        below(
            Row(what="console: first page interactive", measured=interactive, unit="ms", note=loads), INTERACTIVE_BAR_MS
        ),
        below(Row(what="console: first page weighs", measured=weight, unit="KiB"), WEIGHT_BAR_KIB),
    ]


def _texts() -> list[str]:
    """Return what people type: each beginning of a word of a name, of an id, of what nobody is called."""
    dice = random.Random(7)
    texts: list[str] = []
    while len(texts) < SEARCHES:
        digest = f"{dice.randrange(16**5):05x}"
        words = [
            dice.choice(_FIRST),
            digest,
            dice.choice(_TRADE),
            dice.choice(_FORM),
            f"0015g{dice.randrange(MILLION):013d}",
        ]
        text = dice.choice([*words, f"{digest[:2]} {words[2]}", "zzz", "ada@acme.example", "tenant:4711", "é"])
        texts += [text[: end + 1] for end in range(min(len(text), 8))]
    return [*texts[:SEARCHES], ""]


def _addresses() -> list[str]:
    dice = random.Random(7)
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
    queries = ("", f"?as_of={then:%Y-%m-%dT%H:%M}", "?feature=inbound-email-security")
    return [f"/customers/0015g{dice.randrange(MILLION // 100) * 100:013d}{queries[at % 3]}" for at in range(PAGES)]


def _asked(port: int, cookie: str, paths: Sequence[str]) -> list[float]:
    """Return the milliseconds of each answer, but for the first fifty."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    took = []
    for path in [*paths[:50], *paths]:
        began = time.perf_counter()
        connection.request("GET", HOME + path, headers={"cookie": f"{COOKIE}={cookie}"})
        answer = connection.getresponse()
        page = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, (path, page[:500])
    return took[50:]


def _opened(port: int, cookie: str) -> tuple[float, float]:
    """Return how many KiB the first page takes over the wire, and the milliseconds until it can be used."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Skipped("chromium is not on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 only where there is a browser

    weights, times = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(LOADS):
            context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
            context.add_cookies([{"name": COOKIE, "value": cookie, "domain": "127.0.0.1", "path": HOME}])
            page = context.new_page()
            page.goto(HOME, wait_until="load")
            found = page.evaluate(
                """() => {
                    const of = (kind) => performance.getEntriesByType(kind);
                    const all = [...of('navigation'), ...of('resource')];
                    return [all.reduce((sum, one) => sum + one.transferSize, 0), all[0].domContentLoadedEventEnd];
                }"""
            )
            weights.append(found[0] / 1024)
            times.append(found[1])
            context.close()
        browser.close()
    return max(weights), statistics.median(times)
