"""``POST /v1/check``: many questions in one request, as a list or as a grid; each is answered in its place."""

import itertools

import msgspec

from licet.domain.decision import Asked
from licet.domain.errors import Fault, InvalidInput, PayloadTooLarge
from licet.edge.asgi import AsgiScope, Receive, Send, header, respond
from licet.edge.asking import JSON, Asking, decode, user_token
from licet.edge.check import read_question
from licet.edge.problems import problem_of

MOST = 10_000
_encode = msgspec.json.Encoder().encode


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
    questions = read(batch)
    token = batch.token if batch.token is not None else user_token(scope["headers"])
    answers = iter(await asking.ask([one for one in questions if isinstance(one, Asked)], token))
    placed = (next(answers) if isinstance(one, Asked) else one for one in questions)
    results = [msgspec.Raw(problem_of(one).body) if isinstance(one, InvalidInput) else one for one in placed]
    await respond(send, 200, JSON, _encode({"results": results}))


async def check_token(asking: Asking, scope: AsgiScope, _: Receive, send: Send) -> None:
    """Answer ``GET /v1/check`` where the user's token comes in a header; errors are for the front."""
    await asking.admit(header(scope["headers"], b"authorization"))
    asked, wanted = read_question(scope["query_string"])
    token = user_token(scope["headers"])
    await asking.wait(wanted)
    await respond(send, 200, JSON, _encode(await asking.ask_one(asked, token)))


def read(batch: Batch, most: int = MOST) -> list[Asked | InvalidInput]:
    """Return the questions in order, a grid row by row. Raises ``InvalidInput`` where the whole cannot be meant."""
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
        return [_read(raw, number) for number, raw in enumerate(batch.checks)]
    grid = itertools.product(rows, batch.features or ())
    return [Asked(feature, user, customer) for (customer, user), feature in grid]


def _read(raw: msgspec.Raw, number: int) -> Asked | InvalidInput:
    try:
        one = decode(_question, raw, f"checks[{number}]")
    except InvalidInput as error:
        return error
    return Asked(one.feature, one.user, one.customer)
