"""What the page asks about a run that is there: along its text, figures as files, HTML, and where a refusal is."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from invivo.engine.live import Model
from invivo.surfaces.server.runs import meant

from .test_server import PROMPT, TWEAK, client, model, recipe, told  # noqa: F401 - fixtures

HEAT = {
    "kind": "heatmap",
    "title": "A <b>grid</b>",
    "summary": "Two by two.",
    "rows": ["0", "1"],
    "columns": ["=1+1", "b"],
    "values": [[0.5, None], [1, 2]],
    "row_name": "layer",
    "column_name": "head",
    "unit": "nats",
    "outlined": [[False, False], [True, True]],
}


def test_a_text_is_looked_along(client: TestClient, model: Model) -> None:
    done = told(client, "compare", recipe(model))[-1]["result"]
    asked = {"recipe": done["recipe"], "ids": done["base"]["ids"], "row": 0}
    tables = client.post("/api/along", json=asked).json()["tables"]
    assert len(tables) == len(done["base"]["ids"]) == 4
    assert [c["id"] for c in tables[0]] == [c["id"] for c in done["tweaks"][0]["next"]]
    alone = client.post("/api/along", json={**asked, "row": None}).json()["tables"]
    assert all(c["base"] == c["tweak"] for table in alone for c in table)


@pytest.mark.parametrize("change", [{"row": 7}, {"ids": [10**9]}, {"ids": [1] * 300}, {"recipe": {"prompt": ""}}])
def test_what_cannot_be_looked_at_is_refused(client: TestClient, model: Model, change: dict[str, Any]) -> None:
    asked = {"recipe": recipe(model), "ids": [1, 2], "row": 0} | change
    answer = client.post("/api/along", json=asked)
    assert answer.status_code == 422
    assert answer.json()["what"]


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("csv", b"layer")])
def test_a_picture_becomes_a_file(client: TestClient, ending: str, start: bytes) -> None:
    answer = client.post("/api/figure", json={"picture": HEAT, "format": ending})
    assert answer.status_code == 200
    assert answer.content.startswith(start)
    assert b"<b>" not in answer.content


@pytest.mark.parametrize(
    "change",
    [
        {"values": [[1, 2]]},
        {"values": [[1], [2]]},
        {"rows": [], "values": []},
        {"rows": ["r"] * 300, "columns": ["c"] * 300, "values": [[0] * 300] * 300},
    ],
)
def test_a_picture_that_is_none_is_refused(client: TestClient, change: dict[str, Any]) -> None:
    assert client.post("/api/figure", json={"picture": HEAT | change}).status_code == 422


def test_a_run_becomes_html(client: TestClient, model: Model) -> None:
    with client.stream("POST", "/api/compare", json=recipe(model, prompt="<i>the cat</i>")) as answer:
        run, _ = answer.headers["x-run"], list(answer.iter_lines())
    made = client.post("/api/html", json={"run": run})
    assert made.text.startswith("<!doctype html>")
    assert "<i>the cat" not in made.text
    card = client.post("/api/journal", json={"run": run, "takeaway": "x"}).json()
    again = client.post("/api/html", json={"run": card["id"]}).text
    assert again[:2000] == made.text[:2000]  # versions at the end may come in another order
    assert client.post("/api/html", json={"run": "nothing"}).status_code == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tweaks": [TWEAK, "zero head 9.9"]}, "tweaks.1"),
        ({"tweaks": ["zero head 1.1 at 50"]}, "tweaks.0"),
        ({"target": " cat", "wrong": " cat sat"}, "wrong"),
        ({"wrong": " cat"}, "wrong"),
        ({"prompt": "cat " * 100}, "prompt"),
    ],
)
def test_what_only_the_model_refuses_stands_at_its_field(
    client: TestClient,
    model: Model,
    change: dict[str, Any],
    field: str,
) -> None:
    failed = told(client, "compare", recipe(model, **change))[-1]
    assert failed["event"] == "failed"
    assert failed["field"] == field, failed


def test_a_lab_tells_its_comparison_before_its_steps(client: TestClient, model: Model) -> None:
    events = told(client, "labs/02/run", recipe(model))
    names = [event["event"] for event in events]
    first, last = events[names.index("compared")], events[-1]
    assert names.index("compared") < len(names) - 1 - names[::-1].index("started") < len(names) - 1
    assert first["result"]["comparison"] == last["result"]["comparison"]
    assert first["numbers"] == last["numbers"]
    assert first["result"]["steps"] == []


def test_words_that_name_no_field_stay_without(model: Model) -> None:
    assert meant(model.experiment(PROMPT, TWEAK), "the disk is full") is None
