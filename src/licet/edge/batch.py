"""``POST /v1/check``: many questions in one request, as a list or as a grid; each is answered in its place."""

import itertools
from collections.abc import Iterator

import msgspec

from licet.answer.check import by_turns
from licet.domain.decision import Asked
from licet.domain.errors import Fault, InvalidInput, PayloadTooLarge
from licet.edge.asgi import AsgiScope, Receive, Send, header, respond
from licet.edge.asking import JSON, Asking, decode, user_token
from licet.edge.check import read_question
from licet.edge.problems import problem_of

MOST = 10_000
# What is wrong with a question is told as its problem document.
_encoder = msgspec.json.Encoder(enc_hook=lambda fault: msgspec.Raw(problem_of(fault).body))


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature, and who: a customer, a user, or a user as a member of that customer."""

    feature: str
    customer: str | None = None
    user: str | None = None


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``checks``, or a grid of ``features`` and ``customers`` or ``users``. ``token``: the user whom all are about."""

    checks: list[msgspec.Raw] | None = None
    features: list[str] | None = None
    customers: list[str] | None = None
    users: list[str] | None = None
    token: str | None = None


BATCH = msgspec.json.Decoder(Batch)
_question = msgspec.json.Decoder(Question)


async def check_many(asking: Asking, scope: AsgiScope, receive: Receive, send: Send) -> None:
    """Answer one batch; a fault of one question is a problem in the place of its answer. Errors are for the front."""
    await asking.admit(header(scope["headers"], b"authorization"))
    batch = decode(BATCH, await asking.read(scope, receive))
    questions = [one async for some in by_turns(read(batch)) for one in some]
    token = batch.token if batch.token is not None else user_token(scope["headers"])
    body = bytearray()
    async for some in asking.ask(questions, token):
        joint = len(body)
        _encoder.encode_into(some, body, joint)
        body[joint : joint + 1], body[-1:] = b"," if joint else b'{"results":[', b""
    body += b"]}" if body else b'{"results":[]}'
    await respond(send, 200, JSON, body)


async def check_token(asking: Asking, scope: AsgiScope, _: Receive, send: Send) -> None:
    """Answer ``GET /v1/check`` where the user's token comes in a header; errors are for the front."""
    await asking.admit(header(scope["headers"], b"authorization"))
    asked, wanted = read_question(scope["query_string"])
    token = user_token(scope["headers"])
    await asking.wait(wanted)
    await respond(send, 200, JSON, _encoder.encode(await asking.ask_one(asked, token)))


def read(batch: Batch, most: int = MOST) -> Iterator[Asked | InvalidInput]:
    """Return the questions in order, a grid row by row, each read as it is taken.

    Raises ``InvalidInput`` where the whole cannot be meant.
    """
    sent = [name for name in ("checks", "features", "customers", "users") if getattr(batch, name) is not None]
    if sent not in (["checks"], ["features", "customers"], ["features", "users"]) and (
        sent != ["features"] or batch.token is None
    ):
        expected = "checks alone, or features with customers, users or a token"
        raise InvalidInput.of(Fault("body", " and ".join(sent) or "no question", expected))
    rows: list[tuple[str | None, str | None]] = [(None, user) for user in batch.users or ()]
    rows += [(customer, None) for customer in batch.customers or ()]
    if sent == ["features"]:
        rows = [(None, None)]  # the user of the token
    count = len(batch.checks or ()) + len(batch.features or ()) * len(rows)
    if count > most:
        raise PayloadTooLarge.of(Fault("body", f"{count:,} questions", f"at most {most:,} in one request"))
    if batch.checks is not None:
        return map(_read, batch.checks, itertools.count())
    grid = itertools.product(rows, batch.features or ())
    return (Asked(feature, user, customer) for (customer, user), feature in grid)


def _read(raw: msgspec.Raw, number: int) -> Asked | InvalidInput:
    try:
        one = decode(_question, raw, f"checks[{number}]")
    except InvalidInput as error:
        return error
    return Asked(one.feature, one.user, one.customer)
