"""The pages that need no key: the start, the API's description. Rendered here; nothing is fetched from elsewhere."""

import re
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.types import ControllerRouterHandler
from markupsafe import Markup, escape

from licet.console.look import assets, environment

_QUOTED = re.compile(r"``?([^`]+)``?")
_CACHED = {"cache-control": "public, max-age=300"}


def pages(document: dict[str, Any], *, console: bool) -> list[ControllerRouterHandler]:
    """Return the routes of ``/``, ``/docs`` and ``/openapi.json``, and what browsers load (``/assets``)."""
    templates = environment("licet.edge.pages", prose=prose, breakable=breakable)
    start = templates.get_template("start.html")
    docs = templates.get_template("docs.html").render(document=document, groups=_groups(document), type_of=type_of)
    encoded = msgspec.json.encode(document)

    @get("/", media_type=MediaType.HTML, include_in_schema=False, exclude_from_auth=True, sync_to_thread=False)
    def get_start(request: Request[Any, Any, Any]) -> str:
        return str(start.render(at=str(request.base_url).rstrip("/"), console=console))

    @get("/docs", media_type=MediaType.HTML, include_in_schema=False, exclude_from_auth=True, sync_to_thread=False)
    def get_docs() -> Response[str]:
        return Response(docs, headers=_CACHED)

    @get("/openapi.json", include_in_schema=False, exclude_from_auth=True, sync_to_thread=False)
    def get_document() -> Response[bytes]:
        return Response(encoded, headers=_CACHED, media_type="application/json")

    return [get_start, get_docs, get_document, *assets().handlers()]


def prose(text: str) -> Markup:
    """Show what stands between back quotes as code."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 escaped before


def breakable(path: str) -> Markup:
    """Let a path break before its slashes."""
    return Markup(str(escape(path)).replace("/", "<wbr>/"))  # noqa: S704 escaped before


def type_of(schema: dict[str, Any]) -> str:
    """Say in words what a schema allows."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_of(one) for one in schema[key]))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any value")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_kind(one, schema) for one in kinds)


def _kind(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"array of {type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if "format" in schema and kind == "string" else kind


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Group the operations by tag, in the order of the road."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            groups.setdefault(operation["tags"][0], []).append(
                {"path": path, "method": method.upper(), "at": operation["operationId"], **operation}
            )
    return groups
