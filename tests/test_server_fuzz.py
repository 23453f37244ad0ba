"""What schemathesis makes of the OpenAPI: whatever is sent, the server answers or refuses; it never fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from invivo.journal import Journal
from invivo.surfaces.server import application
from invivo.surfaces.server.desk import Desk

from . import tiny

HERE = "http://127.0.0.1:8765"
EXAMPLES = 6  # of each endpoint; a mistake in reading what is sent shows in the first few


class Client:
    """Asks an ASGI application in this process, by a loop of its own that lives as long as the module's tests."""

    def __init__(self, app: Any) -> None:
        self.app, self.loop = app, asyncio.new_event_loop()
        self.life = app.app.router.lifespan_context(app.app)
        self.loop.run_until_complete(self.life.__aenter__())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE, timeout=60)

    def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        return self.loop.run_until_complete(self.http.request(method, url, **more))

    def close(self) -> None:
        self.loop.run_until_complete(self.http.aclose())
        self.loop.run_until_complete(self.life.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = tiny.model()
    desk = Desk([model.name], lambda name: model)
    return application(desk, journal=Journal(tmp_path_factory.mktemp("fuzz") / "journal.db"))


@pytest.fixture(scope="module")
def client(app: Any) -> Iterator[Client]:
    found = Client(app)
    yield found
    found.close()


@pytest.fixture(scope="module")
def api(app: Any) -> Any:
    return schemathesis.openapi.from_dict(app.app.openapi())


def fault(answer: httpx.Response) -> str:
    """What went wrong inside, or nothing; a run's stream tells it in its last line."""
    if answer.status_code >= 500:
        return answer.text
    if "x-ndjson" not in answer.headers.get("content-type", ""):
        return ""
    last = json.loads(answer.text.splitlines()[-1])
    assert last["event"] in ("done", "failed"), last
    return last["what"] if last["event"] == "failed" and "fault of invivo" in (last["hint"] or "") else ""


OPERATIONS = [
    (method, path)
    for path, methods in application(Desk(["none"], lambda name: None)).app.openapi()["paths"].items()
    for method in methods
]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda value: value)
def test_no_request_is_a_fault(api: Any, client: Client, method: str, path: str, mode: Any) -> None:
    found: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[path][method.upper()].as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        if isinstance(case.body, dict) and "model" in case.body and len(found) % 2:
            case.body["model"] = "gpt2"  # half of the requests reach the model
        if mode is schemathesis.GenerationMode.POSITIVE and path.endswith("/labs/{lab}/run"):
            return  # every lab has tests of its own
        kwargs = case.as_transport_kwargs(base_url=HERE)
        kwargs.pop("cookies", None)
        if "data" in kwargs:
            kwargs["content"] = kwargs.pop("data")
        answer = client.ask(kwargs.pop("method"), kwargs.pop("url"), **kwargs)
        found.append(answer.text)
        assert not fault(answer), (case, fault(answer))

    with suppress(Unsatisfiable):  # what takes no input has no wrong one
        asked()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("compare", '{"prompt": "a", "tweaks": 5}'),
        ("compare", '{"prompt": "a", "tweaks": [5, null, {}]}'),
        ("compare", '{"prompt": "a", "decoding": "all", "prompts": [1]}'),
        ("compare", '{"prompt": "a", "decoding": {"temperature": NaN}}'),
        ("compare", '{"prompt": "a", "seed": 1e400}'),
        ("compare", '{"prompt": "\\ud800", "model": "gpt2"}'),
        ("compare", "[" * 100_000),
        ("compare", "nothing"),
        ("lens", '{"prompt": "a", "tweak": 7, "model": "gpt2"}'),
        ("lens", '{"prompt": "a", "tuned": true, "text": "/etc/passwd", "model": "gpt2"}'),
        ("show", '{"name": "norm", "settings": {"layer": "deep"}, "model": "gpt2"}'),
        ("show", '{"name": "choices", "settings": {"rows": ["steer L1.resid_pre with \\"/x.safetensors\\" by 2"]}}'),
        ("control", '{"tweak": "zero head 1.1", "case": {"prompt": "a"}, "count": 1000000000, "model": "gpt2"}'),
        ("heads", '{"rows": 1000000000, "model": "gpt2"}'),
        ("tokens", '{"text": "\\ud800", "model": "gpt2"}'),
        ("tweak", '{"line": "\\ud800"}'),
        ("recipe", '{"kind": "compare", "recipe": {"prompt": "\\ud800"}}'),
        ("journal", '{"run": "\\ud800", "takeaway": "\\ud800"}'),
        ("journal/x/move", '{"above": "\\ud800"}'),
    ],
)
def test_what_people_would_not_write_is_refused_in_words(client: Client, path: str, body: str) -> None:
    answer = client.ask("POST", f"/api/{path}", content=body.encode(), headers={"content-type": "application/json"})
    assert not fault(answer), answer.text
    if answer.status_code == 200 and "x-ndjson" in answer.headers["content-type"]:
        told = json.loads(answer.text.splitlines()[-1])
        assert told["event"] == "failed", told
    elif answer.status_code not in (200, 400):
        assert answer.status_code == 422
        told = answer.json()
        assert told["what"]
        assert "/etc/passwd" not in told["what"]
