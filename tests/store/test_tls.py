"""PostgreSQL over TLS, by the address alone: a certificate that is not trusted is refused, and so is plain text."""

import asyncio
import pathlib
import ssl

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from licet.bootstrap import check_store
from licet.domain.errors import ConfigurationError
from licet.queue.postgres import log_name
from licet.settings import Settings
from support.certificates import lacking, made
from support.logs import PostgresWire, append, message, placed
from support.proxy import proxied


def test_postgresql_is_reached_over_tls_and_its_certificate_is_checked(database: str, tmp_path: pathlib.Path) -> None:
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    ours, other = made(tmp_path, "ours"), made(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.certificate, ours.key)
    with proxied(database, context) as (_, plain):
        good = make_conninfo(plain, sslmode="verify-full", sslrootcert=ours.certificate)
        wire = PostgresWire.__new__(PostgresWire)
        wire.url, wire.name = good, log_name(good)
        assert len(placed(append(wire, [message("one")]))) == 1
        check_store(Settings(database_url=good))
        bad = make_conninfo(plain, sslmode="verify-full", sslrootcert=other.certificate)
        with pytest.raises(ConfigurationError, match="certificate verify failed"):
            check_store(Settings(database_url=bad))
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(plain, connect_timeout=3)

        async def refused() -> object:
            log = wire.log()
            log._conninfo = make_conninfo(log._conninfo, sslrootcert=other.certificate)
            try:
                return (await log.append([message("two")]))[0]
            finally:
                await log.close()

        assert "certificate verify failed" in str(asyncio.run(refused()))
