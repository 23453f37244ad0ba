"""The page's types are the server's: schema.ts is what page/schema.py makes of the OpenAPI."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

BARE = ("unknown", "Record<string, unknown>")
SOURCE = Path(__file__).parents[1] / "page" / "schema.py"


@pytest.fixture(scope="module")
def schema() -> Any:
    spec = importlib.util.spec_from_file_location("page_schema", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_pages_types_are_fresh(schema: Any):
    assert schema.FILE.read_text(encoding="utf-8") == schema.written(), "run `python page/schema.py`"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"const": "it's"}, r"'it\'s'"),
        ({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}, "(number | null)[]"),
        ({"allOf": [{"$ref": "#/components/schemas/Case-Input"}]}, "CaseInput"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]}, "[number, string]"),
        ({"enum": ["a", "b"]}, "'a' | 'b'"),
        ({}, "unknown"),
    ],
)
def test_a_schema_as_a_type(schema: Any, given: dict[str, Any], text: str):
    assert schema.typed(given) == text


def test_requests_and_runs_are_typed(schema: Any):
    paths = schema.application(schema.Desk(["fruitfly"], lambda name: None)).app.openapi()["paths"]
    for path, methods in paths.items():
        for method, told in methods.items():
            if method == "post" and path != "/api/journal/{entry}/restore":
                (body,) = told["requestBody"]["content"].values()
                assert schema.typed(body["schema"]) not in BARE, path
            for kind, content in told["responses"]["200"].get("content", {}).items():
                if "json" in kind:
                    assert schema.typed(content["schema"]) not in BARE, path
