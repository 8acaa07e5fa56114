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
from licet.edge import stream, ways, webhook
from licet.edge.problems import CODES, ProblemDocument
from licet.receive.webhook import Receipt

_ABOUT = (
    "Licet turns a deal in Salesforce into an answer in the product: may this user use this feature, and why? "
    "Send a key as `Authorization: Bearer KEY`; `licet keys create` makes one. Errors are RFC 9457 problem documents "
    "with a stable `code`. Lists are `{items, next}`: pass `next` as `cursor` for the next page."
)
_METHODS = ("get", "put", "post", "delete")
_GENERIC = re.compile(r"\b([A-Za-z]+)_licet\.[a-z.]+\.([A-Za-z]+)_")
_PROBLEM = {"$ref": "#/components/responses/Problem"}


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
    framework = {path: item for path, item in described["paths"].items() if not path.startswith("/schema")}
    for item in framework.values():
        for method in item.keys() & set(_METHODS):
            item[method]["responses"].pop("400", None)  # its own form of a fault, which is never sent
    described["paths"] = (
        {"/salesforce/webhook": {"post": _webhook()}} | ways.described() | stream.described() | framework
    )
    _, schemas = msgspec.json.schema_components(
        [*ways.FORMS, Receipt, CustomerChange, ProblemDocument], ref_template=ways.REF
    )
    described["components"]["schemas"] |= schemas
    described["components"]["responses"] = {"Problem": _problem()}
    for item in described["paths"].values():
        for method in item.keys() & set(_METHODS):
            item[method]["responses"]["default"] = _PROBLEM
    # A list of customers is called ``CustomerLineListing``, not by the module that its items come from.
    renamed: dict[str, Any] = msgspec.json.decode(_GENERIC.sub(r"\2\1", msgspec.json.encode(described).decode()))
    return renamed


def _problem() -> dict[str, Any]:
    codes = "; ".join(f"`{code.code}` ({code.status})" for code in CODES.values())
    return {
        "description": f"A problem document. Codes: {codes}.",
        "content": {"application/problem+json": {"schema": ways.ref("ProblemDocument")}},
    }


def _webhook() -> dict[str, Any]:
    one = ways.ref("CustomerChange")
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
        "responses": {"202": ways.answer("What was taken, and what was not.", "Receipt")},
        "security": [{"key": []}, {}],
    }
