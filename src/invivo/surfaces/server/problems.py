"""What went wrong, as JSON that names the field it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from ...errors import BadText, InvivoError
from ...experiment import Experiment
from .answers import field_of
from .runs import KINDS


class Located(APIRoute):
    """A route whose refusals say which field they are about."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def located(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return problem(*unread(error.errors()))
            except InvivoError as error:
                name = request.url.path.rsplit("/", 1)[-1]
                kind = KINDS.get(name)
                data = await _body(request)
                return problem(error, error.field or field_of(data, kind.recipe if kind else Experiment))

        return located


def unread(errors: Sequence[Any]) -> tuple[BadText, str | None]:
    """What a request that is not in its form is told, and the field it is about."""
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    if first["type"] == "json_invalid":
        return BadText(f"unreadable JSON: {first['ctx']['error'].lower()}"), None
    where = ".".join(map(str, first["loc"][1:])) or None
    return BadText(f"{where or 'the request'}: {first['msg'].lower()}", hint="/openapi.json says what is asked"), where


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def problem(error: InvivoError, field: str | None = None, status: int = 422) -> JSONResponse:
    """An error as JSON."""
    return JSONResponse({"what": error.what, "hint": error.hint, "field": field}, status)
