"""As much of JSON Schema as Licet's OpenAPI document uses, so that tests can hold answers to it."""

from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the document."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def misfits(document: dict[str, Any], schema: dict[str, Any], value: Any, at: str = "$") -> list[str]:
    """Name every place where the value is not what the schema says, unnamed fields of an object included."""
    schema = resolve(document, schema)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            tried = [misfits(document, one, value, at) for one in schema[choice]]
            return [] if [] in tried else min(tried, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{at}: {value!r} is not {kinds}"]
    if isinstance(value, list):
        return [
            fault
            for number, item in enumerate(value)
            for fault in misfits(document, schema.get("items", {}), item, f"{at}[{number}]")
        ]
    return _fields(document, schema, value, at) if isinstance(value, dict) else []


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _fields(document: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
    named = schema.get("properties", {})
    faults = [f"{at}: lacks {name}" for name in schema.get("required", ()) if name not in value]
    for name, one in value.items():
        inner = named.get(name, schema.get("additionalProperties", None if named else {}))
        if inner is None:
            faults.append(f"{at}: {name} is not in the document")
        elif isinstance(inner, dict):
            faults += misfits(document, inner, one, f"{at}.{name}")
    return faults
