"""The page's server: who may ask, what a run tells, one run at a time, refusals at their field, the journal."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from starlette.testclient import TestClient

from invivo.engine.live import Model
from invivo.errors import Refused
from invivo.experiment import Comparison, Grid, LabResult, Sweep
from invivo.journal import Journal
from invivo.surfaces.cli.serve import listen
from invivo.surfaces.server import application
from invivo.surfaces.server.desk import Desk
from invivo.surfaces.server.events import Started
from invivo.surfaces.server.runs import KINDS, MOST_TOKENS

from . import tiny

HERE = "http://127.0.0.1:8765"
PROMPT, TWEAK = "the cat sat", "zero head 1.2"
HOSTILE = "<script>alert(1)</script> \u202e\u05d0 \U0001f98a \x07"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture
def client(model: Model, tmp_path: Path) -> Iterator[TestClient]:
    desk = Desk([model.name], lambda name: model)
    with TestClient(application(desk, journal=Journal(tmp_path / "journal.db")), base_url=HERE) as found:
        yield found


def told(client: TestClient, path: str, body: Any) -> list[dict[str, Any]]:
    with client.stream("POST", f"/api/{path}", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.iter_lines()]


def recipe(model: Model, **more: Any) -> dict[str, Any]:
    return {"prompt": PROMPT, "tweaks": [TWEAK], "model": model.name, "decoding": {"max_new_tokens": 4}, **more}


# ── who may ask ──


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8765", "", "[::2]:8765"])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/api/state", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_this_machines_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_another_sites_page_cannot_post(client: TestClient, model: Model, headers: dict[str, str]) -> None:
    assert client.post("/api/compare", json=recipe(model), headers=headers).status_code == 403
    own = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert client.post("/api/tweak", json={"line": TWEAK}, headers=own).status_code == 200


def test_only_json_of_bounded_size_is_read(client: TestClient) -> None:
    plain = client.post("/api/tweak", content='{"line": "zero head 1.1"}', headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    assert client.post("/api/tweak", json={"line": "x" * 1_000_001}).status_code == 413
    assert "access-control-allow-origin" not in client.get("/api/state").headers
    assert "default-src 'self'" in client.get("/api/state").headers["content-security-policy"]


def test_a_token_is_asked_for_and_kept_as_a_cookie(model: Model, tmp_path: Path) -> None:
    desk = Desk([model.name], lambda name: model)
    with TestClient(application(desk, token="s3cret"), base_url=HERE, follow_redirects=False) as client:
        assert client.get("/api/state").status_code == 401
        assert client.get("/api/state", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/api/state", headers={"authorization": "Bearer s3cret"}).status_code == 200
        entered = client.get("/?token=s3cret")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert client.get("/api/state").status_code == 200  # the cookie


# ── what a run tells ──


def test_a_stream_gives_the_tokens_and_then_what_python_gives(client: TestClient, model: Model) -> None:
    events = told(client, "compare", recipe(model))
    assert [e["event"] for e in events] == ["started", *["tokens"] * 4, "done"]
    own = model.compare(PROMPT, TWEAK, max_new_tokens=4)
    found = Comparison.of(events[-1]["result"])
    assert found.model_copy(update={"seconds": own.seconds}) == own
    for row, run in enumerate((own.base, *own.tweaks)):
        assert [e["rows"][row]["text"] for e in events if e["event"] == "tokens"] == list(run.tokens)
    assert events[-1]["document"]["blocks"]


def test_a_sweep_tells_its_cells(client: TestClient, model: Model) -> None:
    plan = {"tweak": "zero head *", "cases": [{"prompt": PROMPT}], "model": model.name}
    events = told(client, "sweep", plan)
    own = model.sweep(Sweep.of(plan))
    known = {at: v for e in events if e["event"] == "cells" for at, v in zip(e["at"], e["values"], strict=True)}
    assert [known[i] for i in range(len(own.lines))] == pytest.approx(list(own.values[0]))
    assert events[1]["event"] == "axes"
    assert Grid.of(events[-1]["result"]).values == own.values


def test_a_lab_is_run_and_kept_with_a_takeaway(client: TestClient, model: Model) -> None:
    own = recipe(model)
    with client.stream("POST", "/api/labs/02/run", json=own) as answer:
        run, events = answer.headers["x-run"], [json.loads(line) for line in answer.iter_lines()]
    assert LabResult.of(events[-1]["result"]).comparison.recipe.prompt == PROMPT
    assert client.post("/api/journal", json={"run": run, "takeaway": "  "}).status_code == 422
    card = client.post("/api/journal", json={"run": run, "takeaway": HOSTILE}).json()
    (entry,) = client.get("/api/journal").json()
    assert entry["id"] == card["id"]
    assert "<script>" in entry["takeaway"]
    assert client.get(f"/api/journal/{card['id']}").json()["result"]["recipe"]["prompt"] == PROMPT
    assert client.get("/api/journal", params={"search": "elephant"}).json() == []
    gone = client.post("/api/journal", json={"run": "99", "takeaway": "x"})
    assert (gone.status_code, gone.json()["hint"]) == (422, "run it again, then save")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_recipe_is_run(client: TestClient, model: Model, name: str) -> None:
    case = {"prompt": PROMPT, "target": "x", "wrong": "y"}
    bodies = {
        "attribute": {"prompt": PROMPT, "target": "x"},
        "compare": recipe(model),
        "control": {"case": case, "tweak": TWEAK, "metric": "kl_next", "count": 2},
        "heads": {"rows": 2, "length": 8},
        "lens": {"prompt": PROMPT},
        "look": {"prompt": PROMPT, "layer": 1, "head": 2},
        "show": {"name": "norm", "settings": {"prompt": PROMPT}},
        "sweep": {"tweak": "zero head *", "cases": [case]},
        "trials": {"prompts": [PROMPT], "tweaks": [TWEAK], "metric": "kl_next"},
    }
    events = told(client, name, {"model": model.name, **bodies[name]})
    assert events[-1]["event"] == "done", events[-1]


# ── refusals ──


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"tweaks": [TWEAK, "zero hed 1.1"]}, "tweaks.1", "did you mean 'head 3.5'"),
        ({"prompt": ""}, "prompt", "at least one character"),
        ({"decoding": {"temperature": -1}}, "decoding.temperature", "0 is greedy"),
        ({"model": "/etc/passwd"}, "model", "`invivo serve --model"),
        ({"sead": 1}, "sead", "did you mean 'seed'"),
        ({"decoding": {"max_new_tokens": MOST_TOKENS + 1}}, "decoding.max_new_tokens", "at most 400"),
        ({"tweaks": [TWEAK] * 17}, "tweaks", "at most 16"),
    ],
)
def test_a_refusal_names_its_field_in_the_command_lines_words(
    client: TestClient, model: Model, change: dict[str, Any], field: str | None, words: str
) -> None:
    answer = client.post("/api/compare", json=recipe(model) | change)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert words in answer.json()["hint"]


def test_what_only_the_model_can_refuse_is_told_in_the_stream(client: TestClient, model: Model) -> None:
    last = told(client, "compare", recipe(model, tweaks=["zero head 9.1"]))[-1]
    assert (last["event"], last["what"]) == ("failed", "`zero head 9.1`: layer 9 does not exist: there are 3, 0 to 2")
    assert told(client, "compare", recipe(model))[-1]["event"] == "done"  # and the next one runs


def test_hostile_text_is_text(client: TestClient, model: Model) -> None:
    last = told(client, "compare", recipe(model, prompt=HOSTILE))[-1]
    assert last["result"]["recipe"]["prompt"] == HOSTILE
    long = client.post("/api/compare", json=recipe(model, prompt="x" * 20_001))
    assert (long.status_code, long.json()["what"]) == (422, "a text of 20,001 characters")
    assert client.post("/api/compare", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    assert client.get("/api/nothing").status_code == 404


def test_a_line_is_read_into_its_parts(client: TestClient) -> None:
    read = client.post("/api/tweak", json={"line": "scale head 1.2 by 3 + zero embed dims 0:4"}).json()
    assert [t["name"] for t in read["tweaks"]] == ["Scale", "Zero"]
    assert read["tweaks"][0]["slots"] == {"place": "head 1.2", "factor": "3", "during": "all"}
    words = client.get("/api/vocabulary").json()
    scale = next(t for t in words["tweaks"] if t["name"] == "Scale")
    assert [p.get("slot") or p["words"] for p in scale["parts"]] == [
        "scale ", "place", " by ", "factor", " during ", "during",
    ]  # fmt: skip


# ── one at a time ──


def test_runs_wait_in_line_and_one_that_nobody_hears_stops(model: Model) -> None:
    gate, begun, seen = threading.Event(), threading.Event(), []

    def slow(_: Any, emit: Any) -> Any:
        begun.set()
        gate.wait(10)
        emit(Started(what="still here?"))
        seen.append("the first went on")

    def quick(living: Model, _: Any) -> Any:
        return living.compare(PROMPT, TWEAK, max_new_tokens=1)

    async def both() -> list[dict[str, Any]]:
        desk = Desk([model.name], lambda name: model)
        first = await desk.stream(model.name, "slow", slow)
        assert json.loads(await anext(first))["event"] == "started"
        await asyncio.to_thread(begun.wait, 10)
        second = await desk.stream(model.name, "quick", quick)
        lines = [json.loads(await anext(second))]
        await first.aclose()  # type: ignore[attr-defined]
        gate.set()
        lines += [json.loads(text) async for text in second]
        assert desk.waiting == 0
        desk.close()
        return lines

    lines = asyncio.run(both())
    assert lines[0] == {"event": "queued", "ahead": 1}
    assert [e["event"] for e in lines] == ["queued", "started", "done"]
    assert seen == []


def test_a_model_that_cannot_be_loaded_says_so() -> None:
    def fails(name: str) -> Any:
        raise Refused(f"{name} is pickled", hint="--allow-pickle")

    with TestClient(application(Desk(["m"], fails)), base_url=HERE) as client:
        last = told(client, "compare", {"prompt": "x", "model": "m"})[-1]
        assert (last["event"], last["what"], last["hint"]) == ("failed", "m is pickled", "--allow-pickle")
        (opened,) = client.get("/api/state").json()["models"]
        assert (opened["state"], opened["what"]) == ("failed", "m is pickled")


def test_a_taken_port_says_so_and_offers_the_next() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"port {port} is taken") as refused:
            listen("127.0.0.1", port)
        assert "is free" in (refused.value.hint or "")


# ── the journal ──


def test_a_kept_run_is_removed_brought_back_moved_and_exported(client: TestClient, model: Model) -> None:
    cards = []
    for text in ("first", "second", "third"):
        with client.stream("POST", "/api/compare", json=recipe(model)) as answer:
            answer.read()
            run = answer.headers["x-run"]
        cards.append(client.post("/api/journal", json={"run": run, "takeaway": text}).json()["id"])

    def listed() -> list[str]:
        return [entry["takeaway"] for entry in client.get("/api/journal").json()]

    assert listed() == ["third", "second", "first"]
    assert client.delete(f"/api/journal/{cards[2]}").status_code == 200
    assert listed() == ["second", "first"]
    assert client.delete(f"/api/journal/{cards[2]}").status_code == 422
    client.post(f"/api/journal/{cards[2]}/restore", json={})
    client.post(f"/api/journal/{cards[0]}/move", json={"above": cards[1]})
    assert listed() == ["third", "first", "second"]
    client.post(f"/api/journal/{cards[2]}/move", json={})
    assert listed() == ["first", "second", "third"]
    with ZipFile(BytesIO(client.get("/api/post").content)) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".md")]
        text = archive.read(name).decode()
    assert all(word in text for word in ("first", "second", "third"))


@pytest.mark.parametrize("line", ["prepend /etc/hostname", 'steer L1.resid_post with "/tmp/x.safetensors" by 2'])
def test_a_page_opens_no_files(client: TestClient, model: Model, line: str) -> None:
    for kind, asked in (
        ("compare", recipe(model, tweaks=[f"zero head 0.1 + {line}"])),
        ("lens", {"prompt": "a b", "tweak": line, "model": model.name}),
        ("trials", {"prompts": ["a b"], "tweaks": [line], "metric": "kl_next", "model": model.name}),
    ):
        answer = client.post(f"/api/{kind}", json=asked)
        assert (answer.status_code, answer.json()["field"]) == (422, "tweaks")
        assert "the page opens none" in answer.json()["what"]


@pytest.mark.parametrize(
    ("exhibit", "settings", "field", "told"),
    [
        ("benchmark", {"tasks": ["/tmp/evil.yaml"]}, "settings.tasks", "names something outside"),
        ("few_items", {"task": "/etc/hostname"}, "settings.task", "names something outside"),
        ("retrieval", {"embedder": "/etc"}, "settings.embedder", "names something outside"),
        ("vector_store", {"url": "http://127.0.0.1:22"}, "settings.url", "names something outside"),
        ("adapters", {"steps": 2000}, "settings.steps", "steps 2,000"),
        ("scaling", {"again": True}, "settings.again", "made again"),
    ],
)
def test_an_exhibit_of_the_page_stays_inside(
    client: TestClient, model: Model, exhibit: str, settings: dict[str, Any], field: str, told: str
) -> None:
    answer = client.post("/api/show", json={"name": exhibit, "settings": settings, "model": model.name})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert told in answer.json()["what"]


def test_steps_of_training_are_counted_over_all_rows(client: TestClient, model: Model) -> None:
    lines = ['train 150 steps on "a b"', 'adapt to "a b" in 100 steps']
    answer = client.post("/api/compare", json=recipe(model, tweaks=lines))
    assert (answer.status_code, answer.json()["field"]) == (422, "tweaks")
    assert "250 steps" in answer.json()["what"]
