"""What the ledger need not keep for ever: the bytes of deliveries, never their rows.

Neither ``revision_log`` nor ``change_feed``: what stands beyond the lowest ``publish_position`` is still to be told.
"""

from collections.abc import Iterator

from licet.database import named_queries, writer_conninfo
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.sessions import session
from licet.store.values import Act, Action

CHUNK = 5000


def prune(url: str, days: int, by: Actor) -> Iterator[tuple[int, int, int]]:
    """Empty payloads, and closed dead letters, older than so many days; each step is a transaction of ``CHUNK`` rows.

    Yields how far it is, how far it goes (numbers of deliveries), and how many payloads the step emptied. Interrupted,
    run it again. Raises ``Unavailable``.
    """
    sql = named_queries("licet.store", "sql/prune.sql")
    with session(writer_conninfo(url, application="licet prune")) as connection:
        [(revision, end)] = connection.execute(sql["last"], {"days": days})
        for after in range(0, end if revision else 0, CHUNK):
            part = {"after": after, "upto": after + CHUNK, "revision": revision, "days": days}
            with connection.transaction():
                emptied = connection.execute(sql["prune_payloads"], part).rowcount
                connection.execute(sql["prune_letters"], part)
                if after == 0:
                    said = {"older_than_days": days, "up_to_revision": revision}
                    audit(connection, Act(action=Action.PRUNE, subject="payloads", by=by, after=said))
            yield min(after + CHUNK, end), end, emptied
