"""What snapshot and stream say, encoded: records as JSON, events of a stream; docs/reference/stream.md is the wire.

Written by hand where there may be a million: a customer with three licenses takes some 5 µs.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from json.encoder import encode_basestring as quoted

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.decision import Freshness, names_of
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.store.records import LICENSE, CustomerRecord, NameRecord, Position, Records

# PostgreSQL counts its microseconds from 2000 on, the wire from 1970.
_FROM_1970 = 946_684_800_000_000
_encode = msgspec.json.Encoder().encode


def customer(one: CustomerRecord, skus: Collection[str] | None = None) -> str:
    """Encode ``{"c": id, "a": aliases, "l": [[sku, status, starts, ends, quantity, license id, since], …]}``.

    ``skus``: only licenses of these (None: of all).
    """
    if one.gone:
        return f'{{"c":{quoted(one.customer_id)},"gone":true}}'
    licenses = []
    terms = one.terms.split(" ") if one.terms else ()
    for term, (number, since) in zip(terms, LICENSE.iter_unpack(one.packed or b""), strict=True):
        sku, status, starts, ends, quantity = term.split("|")
        if skus is None or sku in skus:
            id_ = number.hex()
            licenses.append(
                f'["{sku}","{status}",{starts or "null"},{ends or "null"},{quantity or "null"},'
                f'"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-{id_[20:]}",{since + _FROM_1970}]'
            )
    return f'{{"c":{quoted(one.customer_id)},"a":{_list(one.aliases)},"l":[{",".join(licenses)}]}}'


def user(one: NameRecord) -> str:
    """Encode a user: ``{"u": name, "c": customers}``."""
    return f'{{"u":{quoted(one.name)},"c":{_list(one.customers)}}}'


def domain(one: NameRecord) -> str:
    """Encode a domain: ``{"d": name, "c": customers}``."""
    return f'{{"d":{quoted(one.name)},"c":{_list(one.customers)}}}'


def _list(words: str | None) -> str:
    return "[" + quoted(words).replace(" ", '","') + "]" if words else "[]"


def catalog_text(catalog: Catalog, features: Collection[str] = ()) -> str:
    """Encode what of the catalog a decision needs; of these features only, where any are named."""
    shown = {
        name: {"title": feature.title, "when_stale": feature.when_stale, "grants": catalog.grants[name]}
        for name, feature in catalog.features.items()
        if not features or name in features
    }
    grace = {name: length.days for name, length in catalog.grace.items()}
    return _encode({"version": catalog.version, "features": shown} | ({"grace": grace} if grace else {})).decode()


def skus_of(catalog: Catalog, features: Collection[str]) -> frozenset[str] | None:
    """Return what bears on any of these features (``names_of``); None, all, where none are named."""
    return frozenset(names_of(catalog, features)) if features else None


def known_features(catalog: Catalog, features: Sequence[str]) -> Sequence[str]:
    """Return the features. Raises ``InvalidInput`` with each that the catalog does not have."""
    unknown = [one for one in features if one not in catalog.features]
    if unknown:
        raise InvalidInput.of(*(Fault("feature", shown(one), "a feature; /v1/features lists them") for one in unknown))
    return features


def snapshot_lines(
    position: Position, catalog: Catalog, fresh: Freshness, chunks: Iterable[Records], features: Collection[str]
) -> Iterator[bytes]:
    """Yield a snapshot in chunks of whole lines. The last one says that it is whole, and of how many."""
    head = {"licet": "snapshot", "format": 1, "position": position.text(), "revision": position.revision}
    fresh_ = {"age_ms": fresh.age_ms, "lag_ms": fresh.lag_ms}
    yield _encode(head | {"catalog": msgspec.Raw(catalog_text(catalog, features).encode())} | fresh_) + b"\n"
    skus = skus_of(catalog, features)
    counts = [0, 0, 0]
    for chunk in chunks:
        kinds = (chunk.customers, chunk.users, chunk.domains)
        counts = [count + len(kind) for count, kind in zip(counts, kinds, strict=True)]
        customers = [customer(one, skus) for one in chunk.customers]
        yield "\n".join([*customers, *map(user, chunk.users), *map(domain, chunk.domains), ""]).encode()
    yield _encode({"end": True, "customers": counts[0], "users": counts[1], "domains": counts[2]}) + b"\n"


def changes(
    position: Position, catalog: str | None, customers: Iterable[str], users: Iterable[str], domains: Iterable[str]
) -> bytes:
    """Make the event of what changed up to a position, of encoded records."""
    said = f'"catalog":{catalog},' if catalog is not None else ""
    return _event(
        "changes",
        f'{{"revision":{position.revision},{said}"customers":[{",".join(customers)}],'
        f'"users":[{",".join(users)}],"domains":[{",".join(domains)}]}}',
        position,
    )


def alive(position: Position, fresh: Freshness) -> bytes:
    """Make the sign of life: up to where all was told, and how old what the service knows is."""
    lag = "null" if fresh.lag_ms is None else fresh.lag_ms
    return _event("alive", f'{{"revision":{position.revision},"age_ms":{fresh.age_ms},"lag_ms":{lag}}}', position)


def last(name: str, reason: str) -> bytes:
    """Make a stream's last event, ``cut_off`` or ``resync``, with the reason in words."""
    return _event(name, f'{{"reason":{quoted(reason)}}}')


def _event(name: str, data: str, position: Position | None = None) -> bytes:
    number = f"id: {position.text()}\n" if position is not None else ""
    return f"event: {name}\n{number}data: {data}\n\n".encode()
