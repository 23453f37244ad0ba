"""Plain data whose shape the OpenAPI tells; it is read by its own rules, or was made by them, and not checked twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True)
class Like:
    """Marks a field as having the shape of `kind`, a type or several joined by `|`."""

    kind: Any

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del core_schema
        told = handler(TypeAdapter(self.kind).core_schema)
        return {"allOf": [told]} if "$ref" in told else told  # a bare reference would be written out in full
