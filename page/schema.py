"""The page's types from the server's OpenAPI: `python page/schema.py` writes page/src/lib/schema.ts.

Every component of the OpenAPI becomes an interface or a type of the same name. A field with a default may be left out
of what is sent and always stands in what comes back; where a component has both forms they are `…Input` and `…Output`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from invivo.surfaces.server import application
from invivo.surfaces.server.desk import Desk

FILE = Path(__file__).with_name("src") / "lib" / "schema.ts"
TOP = "// Written by page/schema.py from the server's OpenAPI: change the Python specs, then run it again.\n"
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def written() -> str:
    """The file's text."""
    app = application(Desk(["fruitfly"], lambda name: None)).app
    components = app.openapi()["components"]["schemas"]
    return TOP + "".join(declared(name, schema) for name, schema in sorted(components.items()))


def declared(name: str, schema: dict[str, Any]) -> str:
    """One component as a declaration."""
    doc = " ".join(schema.get("description", "").split("\n\n")[0].split())
    note = f"\n/** {doc} */" if doc else ""
    if schema.get("type") == "object" and "properties" in schema:
        fields = "".join(
            f"  {field}{'' if field in schema.get('required', ()) else '?'}: {typed(one)}\n"
            for field, one in schema["properties"].items()
        )
        return f"{note}\nexport interface {clean(name)} {{\n{fields}}}\n"
    return f"{note}\nexport type {clean(name)} = {typed(schema)}\n"


def typed(schema: dict[str, Any] | bool) -> str:
    """A schema as a type."""
    if isinstance(schema, bool):
        return "unknown"
    if "$ref" in schema:
        return clean(schema["$ref"].rsplit("/", 1)[-1])
    if "const" in schema:
        return quoted(schema["const"])
    if "enum" in schema:
        return " | ".join(map(quoted, schema["enum"]))
    for key, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if key in schema:
            return sign.join(dict.fromkeys(map(typed, schema[key])))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(map(typed, schema['prefixItems']))}]"
        case "array":
            item = typed(schema.get("items", True))
            return f"({item})[]" if re.search(r" [|&] ", item) else f"{item}[]"
        case "object" if "properties" in schema:
            required = schema.get("required", ())
            fields = (f"{n}{'' if n in required else '?'}: {typed(one)}" for n, one in schema["properties"].items())
            return f"{{ {'; '.join(fields)} }}"
        case "object":
            value = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties", True))
            return f"Record<string, {typed(value)}>"
        case kind:
            return PLAIN.get(str(kind), "unknown")


def quoted(value: Any) -> str:
    """A constant as the page's code writes it."""
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else json.dumps(value)


def clean(name: str) -> str:
    """A component's name as TypeScript has it."""
    return re.sub(r"\W", "", name)


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
