"""An evaluation in the journal: the page cannot open one, so it does not list it, and says which command shows it."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from invivo.journal import Journal
from invivo.surfaces.server import application
from invivo.surfaces.server.desk import Desk

from . import tiny
from .samples import comparison
from .test_journal import evaluation


def test_the_page_leaves_evaluations_to_the_command_line(tmp_path: Path) -> None:
    model, journal = tiny.model(), Journal(tmp_path / "journal.db")
    first = journal.keep(comparison(), takeaway="one")
    kept = journal.keep(evaluation(), kind="eval", takeaway="two")
    desk = Desk([model.name], lambda name: model)
    with TestClient(application(desk, journal=journal), base_url="http://127.0.0.1:8000") as client:
        assert [card["id"] for card in client.get("/api/journal").json()] == [first.id]
        for answer in (
            client.get(f"/api/journal/{kept.id}"),
            client.delete(f"/api/journal/{kept.id}"),
            client.post(f"/api/journal/{kept.id}/move", json={"above": first.id}),
        ):
            assert answer.status_code == 422
            assert f"invivo journal show {kept.id}" in answer.json()["hint"]
        assert client.get("/api/post").status_code == 200
        assert [entry.id for entry in journal.list()] == [kept.id, first.id]
        journal.remove(kept.id)
        assert client.post(f"/api/journal/{kept.id}/restore").status_code == 422
    assert [entry.id for entry in journal.list()] == [first.id]
