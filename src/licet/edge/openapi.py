"""The OpenAPI 3.1 document: the framework writes the typed routes, this module adds what the bare front answers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.types import ControllerRouterHandler

import licet
from licet.domain.decision import Decision
from licet.domain.errors import Fault
from licet.edge import check, stream, webhook
from licet.edge.problems import CODES
from licet.receive.webhook import Receipt

_ABOUT = (
    "Licet turns a deal in Salesforce into an answer in the product: may this user use this feature, and why? "
    "Send a key as `Authorization: Bearer KEY`; `licet keys create` makes one. Errors are RFC 9457 problem documents "
    "with a stable `code`. Lists are `{items, next}`: pass `next` as `cursor` for the next page."
)
_METHODS = ("get", "put", "post", "delete")
_REF = "#/components/schemas/{name}"
_GENERIC = re.compile(r"\b([A-Za-z]+)_licet\.[a-z.]+\.([A-Za-z]+)_")
_PROBLEM = {"$ref": "#/components/responses/Problem"}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457. ``code`` is stable; ``faults`` names everything that is wrong with an input, where it is."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    faults: Sequence[Fault] = ()


class CustomerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as Salesforce sends it; the catalog says which field means what. These are the default's names.

    Unknown fields are kept. An absent or null flag means unknown, never false.
    """

    id: str = msgspec.field(name="Id")
    name: str | None = msgspec.field(name="Name", default=None)
    signed_tos: bool | None = msgspec.field(name="SignedTos", default=None)
    sku1: bool | None = msgspec.field(name="SKU1", default=None)
    sku2: bool | None = msgspec.field(name="SKU2", default=None)
    sku3: bool | None = msgspec.field(name="SKU3", default=None)
    event_id: str | None = msgspec.field(name="EventId", default=None)
    modified: str | None = msgspec.field(name="SystemModstamp", default=None)
    deleted: bool | None = msgspec.field(name="IsDeleted", default=None)
    organization: str | None = msgspec.field(name="OrganizationId", default=None)


def document(handlers: Sequence[ControllerRouterHandler], dependencies: Mapping[str, Provide]) -> dict[str, Any]:
    """Return the document of these routes and the hot paths. The handlers are used up: make others to serve them.

    The framework describes routes only to an application of its own, which is never served here: its pages would be
    fetched from elsewhere.
    """
    config = OpenAPIConfig(
        title="Licet",
        version=licet.__version__,
        description=_ABOUT,
        servers=[Server(url="/")],
        security=[{"key": []}],
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        use_handler_docstrings=True,
    )
    application = Litestar(
        handlers, dependencies=dict(dependencies), openapi_config=config, logging_config=None, debug=False
    )
    described: dict[str, Any] = application.openapi_schema.to_schema()
    described["paths"] = (
        {"/salesforce/webhook": {"post": _webhook()}, "/v1/check": {"get": _check()}}
        | stream.described()
        | {path: item for path, item in described["paths"].items() if not path.startswith("/schema")}
    )
    _, schemas = msgspec.json.schema_components([Decision, Receipt, CustomerChange, ProblemDocument], ref_template=_REF)
    described["components"]["schemas"] |= schemas
    described["components"]["responses"] = {"Problem": _problem()}
    for item in described["paths"].values():
        for method in _METHODS:
            if method in item:
                _tell_errors(item[method])
    return _short_names(described)


def _short_names(described: dict[str, Any]) -> dict[str, Any]:
    """Call a list of customers ``CustomerLineListing``, not by the module that its items come from."""
    text = msgspec.json.encode(described).decode()
    renamed: dict[str, Any] = msgspec.json.decode(_GENERIC.sub(r"\2\1", text))
    return renamed


def _tell_errors(operation: dict[str, Any]) -> None:
    operation["responses"].pop("400", None)  # the framework's own form of a fault, which is never sent
    operation["responses"]["default"] = _PROBLEM


def _problem() -> dict[str, Any]:
    codes = "; ".join(f"`{code.code}` ({code.status})" for code in CODES.values())
    return {
        "description": f"A problem document. Codes: {codes}.",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="ProblemDocument")}}},
    }


def _check() -> dict[str, Any]:
    said = {
        "customer": "A customer's id (15 or 18 characters, or verbatim) or an alias, `tenant:4711`.",
        "user": "A user's id or e-mail address. With `customer`: as a member of that customer.",
        "feature": "The feature's name; `/v1/features` lists them.",
        "min_revision": "Wait up to 2 s until the answer includes this revision; else 503 `revision_not_reached`.",
        "after_event": "Wait up to 2 s until the answer includes this event; else 503 `revision_not_reached`.",
    }
    return {
        "operationId": "Check",
        "tags": ["Asking"],
        "summary": "May this user, or this customer, use this feature, and why?",
        "description": f'{check.HOW} "No" is a 200 with its reason. Needs the scope `read`.',
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name == "feature",
                "description": said[name],
                "schema": {"type": "string"},
            }
            for name in check.PARAMETERS
        ],
        "responses": {
            "200": _json("The decision.", "Decision"),
            "304": {"description": "The answer of this ETag still stands; its age is in `licet-age-ms`."},
        },
        "security": [{"key": []}],
    }


def _webhook() -> dict[str, Any]:
    one = {"$ref": _REF.format(name="CustomerChange")}
    return {
        "operationId": "Webhook",
        "tags": ["Receiving"],
        "summary": "Receive customer changes from Salesforce",
        "description": (
            f"{webhook.HOW} 202 once the queue holds them. Needs a Standard Webhooks signature or a key with the "
            "scope `ingest`, unless the deployment says otherwise. A Content-Type is not needed."
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one, "maxItems": 1000}]}}
            },
        },
        "responses": {"202": _json("What was taken, and what was not.", "Receipt")},
        "security": [{"key": []}, {}],
    }


def _json(description: str, name: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": _REF.format(name=name)}}},
    }
