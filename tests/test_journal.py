"""The journal: what is kept comes back, whole or not at all, whoever else writes and whatever breaks."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invivo.errors import BadText, InvivoError, OutOfRange, Refused, UnknownName
from invivo.experiment import Comparison
from invivo.experiment.exhibit import Exhibit, ExhibitRecipe
from invivo.home import home
from invivo.journal import Entry, Journal, export, store
from invivo.metrics import METRICS
from invivo.show.blocks import Text

from .samples import HOSTILE, comparison

ROOT = Path(__file__).parent.parent


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """One journal for all examples of a property: making a file for each costs more than the property."""
    return Journal(tmp_path_factory.mktemp("shared") / "journal.db")


@contextmanager
def shell(journal: Journal) -> Iterator[sqlite3.Connection]:
    """The file as somebody with a SQLite shell sees it."""
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        yield db


# ── keep and show ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_kept_comes_back(journal: Journal) -> None:
    c = comparison("zero head 3.5", "zero head 1.4 + set temperature 1.2")
    kept = journal.keep(c, lab="02_head_ablation", takeaway="head 3.5 copies names", kind="lab")
    found = journal.show(kept.id)
    assert found == kept
    assert found.result == c
    assert found.result != comparison("zero head 3.4")
    assert found.recipe == c.recipe
    assert (found.kind, found.lab) == ("lab", "02_head_ablation")
    assert (found.revision, found.versions) == (c.revision, c.versions)
    assert found.rows == ("BASE", "zero head 3.5", "zero head 1.4 + set temperature 1.2")
    assert found.title == (
        "zero head 3.5 | zero head 1.4 + set temperature 1.2 on 'When Mary and John went to the store, John…'"
    )
    assert found.created.endswith("Z")
    assert journal.path == home() / "journal.db"


def evaluation() -> Exhibit:
    """What `invivo eval` gives."""
    return Exhibit(
        recipe=ExhibitRecipe(name="benchmark", settings={"tweaks": ["zero head 3.5"], "tasks": ["giving", "tales"]}),
        title="What tweaks cost on a benchmark",
        sentence="`zero head 3.5` costs most on giving.",
        numbers={"giving_acc_base": 0.9, "giving_acc_1": 0.5},
        blocks=(Text(text="0.9, 0.5"),),
        revision="r1",
    )


def test_an_evaluation_is_kept_searched_and_shown(journal: Journal, tmp_path: Path) -> None:
    exhibit = evaluation()
    journal.keep(comparison("zero head 1.4"), takeaway="one")
    kept = journal.keep(exhibit, kind="eval", takeaway="head 3.5 is needed for giving")
    assert journal.show("last") == kept
    assert kept.result == exhibit
    assert kept.recipe == exhibit.recipe
    assert kept.title == "zero head 3.5 on benchmark · tasks giving, tales"
    assert (kept.kind, kept.rows, kept.revision) == ("eval", ("benchmark",), "r1")
    assert kept.numbers == {"giving_acc_base": (0.9,), "giving_acc_1": (0.5,)}
    assert kept.versions.keys() >= {"invivo", "python", "torch", "transformers"}
    assert [e.id for e in journal.list(search="giving head")] == [kept.id]
    assert [e.kind for e in journal.list(but=["eval"])] == ["compare"]
    assert [e.kind for e in journal.list()] == ["eval", "compare"]
    assert not journal.verify()
    with pytest.raises(Refused, match="is no comparison"):
        _ = kept.compared
    assert export(tmp_path / "post.md", journal.list()) == 2
    assert kept.id in (tmp_path / "post.md").read_text()


def test_numbers_are_the_metrics_of_every_row(journal: Journal) -> None:
    c = comparison("zero head 3.5", "zero head 1.4")
    numbers = journal.keep(c).numbers
    for name, values in numbers.items():
        assert values == tuple(METRICS[name].of(c, row) for row in (None, 0, 1))
    assert numbers["kl_next"][0] is None
    assert numbers["kl_next"][1] != numbers["kl_next"][2]
    assert set(METRICS) - set(numbers) == {"logit_diff", "recovered"}  # read from logits, in sweeps alone
    assert "target" not in journal.keep(comparison().model_copy(update=untargeted(comparison()))).numbers


def untargeted(c: Comparison) -> dict[str, object]:
    def none(run: object) -> object:
        return run.model_copy(update={"target_nats": None})  # type: ignore[attr-defined]

    return {"base": none(c.base), "tweaks": tuple(map(none, c.tweaks))}


def test_the_id_is_the_hash_of_the_stored_body(journal: Journal) -> None:
    entry = journal.keep(comparison())
    with shell(journal) as db:
        (stored,) = db.execute("SELECT body FROM entries").fetchone()
    body = zlib.decompress(stored)
    assert len(stored) < len(body)
    assert hashlib.sha256(body).hexdigest().startswith(entry.id)
    assert len(entry.id) == 12
    data = json.loads(body)
    assert data["comparison"]["recipe"]["tweaks"] == ["zero head 3.5"]
    assert json.dumps(data, sort_keys=True, separators=(",", ":")).encode() == body


def test_a_small_body_is_kept_as_it_is() -> None:
    assert store.pack(b'{"a":1}') == b'{"a":1}' == store.unpack("x", b'{"a":1}')
    big = b'{"a":"' + b"x" * 9000 + b'"}'
    assert store.pack(big) != big == store.unpack("x", store.pack(big))


def test_the_same_run_twice_is_two_entries(journal: Journal) -> None:
    first, second = journal.keep(comparison()), journal.keep(comparison())
    assert first.id != second.id
    assert [e.id for e in journal.list()] == [second.id, first.id]


def test_an_entry_can_be_made_without_a_journal(journal: Journal) -> None:
    entry = Entry.made(comparison(), takeaway="  one\nline ")
    assert entry.takeaway == "one line"
    assert Entry.made(comparison()).takeaway == ""
    assert not journal.path.exists()


def test_what_is_no_finite_number_is_null(journal: Journal) -> None:
    c = comparison()
    odd = c.model_copy(update={"base": c.base.model_copy(update={"perplexity": math.inf, "target_nats": math.nan})})
    entry = journal.keep(odd)
    assert entry.comparison["base"]["perplexity"] is None
    assert entry.numbers["perplexity"] == (None, c.tweaks[0].perplexity)
    assert journal.verify() == ()


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1), st.text(st.characters()), st.floats(allow_nan=False, allow_infinity=False))
def test_any_prompt_and_text_come_back(shared: Journal, prompt: str, said: str, nats: float) -> None:
    c = comparison(prompt=(prompt,), base=(said,), said=("x",))
    c = c.model_copy(update={"base": c.base.model_copy(update={"said_nats": (nats,)})})
    entry = shared.keep(c)
    assert shared.show("last") == entry
    assert entry.result == c
    assert len(entry.title.splitlines()) == 1
    assert not {unicodedata.category(char) for char in entry.title} & {"Cc", "Cs"}


# ── list and find ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_journal_is_read_without_being_made(journal: Journal) -> None:
    assert journal.list() == ()
    assert journal.verify() == ()
    with pytest.raises(UnknownName, match="journal is empty"):
        journal.show("last")
    assert not journal.path.exists()


def test_list_is_newest_first_and_limited(journal: Journal) -> None:
    ids = [journal.keep(comparison()).id for _ in range(4)]
    assert [e.id for e in journal.list()] == ids[::-1]
    assert [e.id for e in journal.list(limit=2)] == ids[:1:-1]
    assert journal.list(limit=0) == ()
    with pytest.raises(OutOfRange, match="-1"):
        journal.list(limit=-1)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", "ab"),
        ("zero", "ab"),
        ("HEAD 3.5", "a"),
        ("3.5 zero", "a"),
        ("überraschung", "b"),
        ("ÜBER neuron", "b"),
        ("when mary", "a"),
        ("der fluß", "b"),
        ("%", "b"),
        ("_", "b"),
        ("lab05", ""),
        ("05_zero", "b"),
        ("fruitfly", "ab"),
        ("Überraschung 3.5", ""),
        ("\ud800", ""),
    ],
)
def test_search_finds_every_word_anywhere(journal: Journal, search: str, found: str) -> None:
    a = journal.keep(comparison("zero head 3.5"), takeaway="names need it")
    b = journal.keep(comparison("zero neuron 4.123", prompt=("Der", " FLUß")), lab="05_zero")
    journal.add_takeaway(b.id, "Eine ÜBERRASCHUNG: 50 %")
    assert {e.id for e in journal.list(search=search)} == {e.id for e, name in ((a, "a"), (b, "b")) if name in found}


def test_search_sees_the_takeaway_that_counts(journal: Journal) -> None:
    journal.keep(comparison(), takeaway="old words")
    journal.add_takeaway("last", "new words")
    assert len(journal.list(search="new words")) == 1
    assert journal.list(search="old") == ()


def test_a_prefix_finds_its_entry_and_an_ambiguous_one_lists_its_candidates(journal: Journal) -> None:
    ids = [journal.keep(comparison()).id for _ in range(17)]  # two of them share their first digit
    shared = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
    alike = [i for i in ids if i.startswith(shared)]
    with pytest.raises(BadText, match=f"{shared!r} is the start of {len(alike)} entries") as caught:
        journal.show(shared)
    assert alike[-1] in str(caught.value.hint)
    assert "zero head 3.5" in str(caught.value.hint)
    assert journal.show(ids[3][:11].upper()).id == ids[3]
    assert journal.show("last").id == ids[-1]


@pytest.mark.parametrize(
    ("name", "hint"), [("lst", "did you mean 'last'"), ("%", "invivo journal list"), ("", "lists")]
)
def test_an_unknown_name_has_a_next_step(journal: Journal, name: str, hint: str) -> None:
    journal.keep(comparison())
    with pytest.raises(UnknownName) as caught:
        journal.show(name)
    assert hint in str(caught.value.hint)
    mistyped = journal.show("last").id[:-1] + "x"
    with pytest.raises(UnknownName) as caught:
        journal.add_takeaway(mistyped, "x")
    assert journal.show("last").id in str(caught.value.hint)


# ── takeaways ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_takeaway_changes_and_its_history_stays(journal: Journal) -> None:
    entry = journal.keep(comparison(), takeaway="first")
    journal.add_takeaway("last", "second")
    now = journal.add_takeaway(entry.id[:6], " third\tline\n")
    assert now.takeaway == "third line"
    assert [t.text for t in now.takeaways] == ["first", "second", "third line"]
    assert now.id == entry.id
    assert journal.show("last") == now != entry
    assert journal.verify() == ()
    assert journal.add_takeaway("last", "third line") == now, "the same words again are no change"


@pytest.mark.parametrize("text", ["", " \n\t", "a \udce4 b"])
def test_a_takeaway_that_says_nothing_is_refused(journal: Journal, text: str) -> None:
    journal.keep(comparison(), takeaway="kept")
    with pytest.raises(BadText):
        journal.add_takeaway("last", text)
    assert journal.show("last").takeaway == "kept"


@settings(max_examples=30, deadline=None)
@given(st.text().filter(str.strip))
def test_any_takeaway_comes_back_on_one_line(shared: Journal, text: str) -> None:
    shared.keep(comparison(), takeaway=text)
    shared.keep(comparison())
    shared.add_takeaway("last", text)
    for entry in shared.list(limit=2):
        assert entry.takeaway == " ".join(text.split())
    assert shared.verify() == ()


# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE entries SET title = 'something else' WHERE number = 2", "column title is not what was kept"),
        ("UPDATE entries SET lab = '12_other' WHERE number = 2", "column lab"),
        ("UPDATE entries SET body = X'7b7d' WHERE number = 2", "was changed"),
        ("UPDATE entries SET body = X'0011' WHERE number = 2", "cannot be unpacked"),
        ("UPDATE entries SET body = 'words' WHERE number = 2", "cannot be unpacked"),
        ("INSERT INTO takeaways (entry, created, text) VALUES ('abcdef', '2026', 'x')", "'abcdef', which is no entry"),
    ],
)
def test_verify_names_what_was_changed(journal: Journal, change: str, said: str) -> None:
    for _ in range(3):
        journal.keep(comparison(), takeaway="x")
    assert journal.verify() == ()
    with shell(journal) as db:
        db.execute(change)
    problems = journal.verify()
    assert len(problems) == 1
    assert said in problems[0]


def test_one_digit_of_a_number_is_noticed(journal: Journal) -> None:
    entry = journal.keep(comparison())
    with shell(journal) as db:
        body = zlib.decompress(db.execute("SELECT body FROM entries").fetchone()[0])
        db.execute("UPDATE entries SET body = ?", (body.replace(b"3.21", b"3.22"),))
    assert "was changed" in journal.verify()[0]
    assert entry.id in journal.verify()[0]


def test_a_damaged_entry_hides_no_other(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    ids = [journal.keep(comparison()).id for _ in range(3)]
    with shell(journal) as db:
        db.execute("UPDATE entries SET body = X'0011' WHERE number = 2")
    with caplog.at_level(logging.WARNING):
        assert [e.id for e in journal.list()] == [ids[2], ids[0]]
    assert ids[1] in caplog.text
    with pytest.raises(BadText, match=ids[1]):
        journal.show(ids[1])


def test_an_entry_of_a_stranger_form_is_an_error_not_a_traceback(journal: Journal) -> None:
    entry = journal.keep(comparison())
    body = {"created": entry.created, "kind": "compare", "lab": None, "title": "t", "numbers": {}}
    strange = entry.comparison | {"recipe": {"prompt": "x", "tweaks": ["transmogrify head 3.5"]}}
    whole = body | {"comparison": entry.comparison}
    wrong = (
        body,
        [],
        body | {"comparison": 3},
        body | {"comparison": strange},
        whole | {"numbers": 7},
        whole | {"x": 1},
    )
    for data in wrong:
        with pytest.raises(BadText, match="cannot be read"):
            Entry.read(json.dumps(data).encode())
    with pytest.raises(BadText, match="cannot be read"):
        Entry.read(b"{")
    assert Entry.read(json.dumps(whole).encode()).recipe == entry.recipe


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_journal_of_version_0_is_brought_to_shape(journal: Journal) -> None:
    journal.path.touch()
    assert journal.list() == ()
    journal.keep(comparison())
    with shell(journal) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(store.MIGRATIONS),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_journal_of_version_1_keeps_what_is_in_it(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = journal.keep(comparison(), takeaway="before")
    with shell(journal) as db:
        db.executescript("DROP TABLE removals; DROP TABLE moves; PRAGMA user_version = 1")
    with monkeypatch.context() as frozen:  # where nothing may be written, it is read all the same
        frozen.setattr(os, "access", lambda *_: False)
        assert journal.list() == (entry,)
    with shell(journal) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert journal.show("last") == entry
    with shell(journal) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert journal.remove("last") == entry


def test_a_migration_that_fails_leaves_the_version_before(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = journal.keep(comparison())
    before = store.MIGRATIONS
    monkeypatch.setattr(store, "MIGRATIONS", (*before, ("CREATE TABLE more (n INTEGER)", "CREATE NONSENSE")))
    with pytest.raises(InvivoError, match="NONSENSE"):
        journal.keep(comparison())
    monkeypatch.setattr(store, "MIGRATIONS", before)
    assert [e.id for e in journal.list()] == [entry.id]
    with shell(journal) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)


def test_a_newer_journal_is_refused_untouched(journal: Journal) -> None:
    journal.keep(comparison())
    with shell(journal) as db:
        db.execute("PRAGMA user_version = 99")
    before = journal.path.read_bytes()
    for use in (
        journal.list,
        journal.verify,
        partial(journal.keep, comparison()),
        partial(journal.add_takeaway, "last", "x"),
    ):
        with pytest.raises(Refused, match="version 99") as caught:
            use()
        assert "upgrade" in str(caught.value.hint)
    assert journal.path.read_bytes() == before


# ── when things break ────────────────────────────────────────────────────────────────────────────────────────────────


def test_garbage_is_named_and_left_alone(journal: Journal) -> None:
    journal.path.parent.mkdir(parents=True, exist_ok=True)
    journal.path.write_bytes(b"this is not a database, it is a letter " * 100)
    before = journal.path.read_bytes()
    for use in (journal.list, partial(journal.show, "last"), partial(journal.keep, comparison())):
        with pytest.raises(InvivoError, match="is damaged") as caught:
            use()
        assert caught.value.hint
    assert "damaged" in journal.verify()[0]
    assert journal.path.read_bytes() == before


def test_a_torn_page_is_noticed(journal: Journal) -> None:
    for _ in range(20):
        journal.keep(comparison())
    data = bytearray(journal.path.read_bytes())
    data[4096 : 3 * 4096] = b"\xff" * 8192
    journal.path.write_bytes(data)
    assert journal.verify()
    with pytest.raises(InvivoError):
        journal.list()


def a_connection(*pragmas: str) -> type[sqlite3.Connection]:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql.startswith("BEGIN"):
                for pragma in pragmas:
                    super().execute(f"PRAGMA {pragma}")
            return super().execute(sql, *rest)  # type: ignore[arg-type]

    return Connection


@pytest.mark.parametrize(
    ("pragma", "said", "hint"),
    [
        ("max_page_count = 1", "the disk is full", "free some space"),
        ("query_only = ON", "cannot be opened or written", "INVIVO_HOME"),
    ],
)
def test_a_full_or_read_only_disk_loses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, pragma: str, said: str, hint: str
) -> None:
    entry = journal.keep(comparison(), takeaway="safe")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=a_connection(pragma)))
        with pytest.raises(InvivoError, match=said) as caught:
            for _ in range(50):
                journal.keep(comparison())
        assert hint in str(caught.value.hint)
    assert journal.list()[-1] == entry
    assert journal.verify() == ()


def test_a_disk_that_fails_is_named_with_a_next_step(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql.startswith("INSERT"):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorname = "SQLITE_IOERR_WRITE"  # type: ignore[attr-defined]
                raise error
            return super().execute(sql, *rest)  # type: ignore[arg-type]

    entry = journal.keep(comparison(), takeaway="safe")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Failing))
        with pytest.raises(InvivoError, match="cannot be read or written: disk I/O error") as caught:
            journal.keep(comparison())
    assert str(journal.path) in caught.value.what
    assert "free some space" in str(caught.value.hint)
    assert journal.list() == (entry,)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_owner_reads_a_journal(journal: Journal) -> None:
    journal.path.parent.mkdir(exist_ok=True)
    before = os.umask(0o022)
    try:
        journal.keep(comparison())
    finally:
        os.umask(before)
    assert journal.path.stat().st_mode & 0o777 == 0o600
    journal.path.chmod(0o640)
    journal.keep(comparison())
    assert journal.path.stat().st_mode & 0o777 == 0o640, "what its owner chose stays"


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvivoError, match=r"cannot open the journal .*journal\.db: ") as caught:
        Journal(tmp_path / "file" / "home" / "journal.db").keep(comparison())
    assert caught.value.hint


def test_a_folder_in_its_place_is_named(journal: Journal) -> None:
    journal.path.mkdir(parents=True)
    for use in (journal.list, partial(journal.keep, comparison())):
        with pytest.raises(InvivoError, match="cannot be opened"):
            use()


def test_a_journal_in_a_read_only_folder_is_read(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = journal.keep(comparison())
    opened: list[str] = []
    connect = sqlite3.connect

    def watched(address: str, **rest: object) -> sqlite3.Connection:
        opened.append(address)
        return connect(address, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr(sqlite3, "connect", watched)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert journal.list() == (entry,)
    assert opened[0].endswith("?immutable=1")


def test_a_journal_that_another_process_holds_is_named(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = journal.keep(comparison())
    monkeypatch.setattr(store, "PATIENCE_S", 0.02)
    with shell(journal) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InvivoError, match="busy"):
            journal.keep(comparison())
        assert journal.list() == (entry,), "reading goes on"
        other.execute("ROLLBACK")
    assert journal.keep(comparison()).id != entry.id


CHILD = """
import os, signal, sqlite3, sys, time
from functools import partial
from pathlib import Path
from invivo.journal import Journal
from tests.samples import comparison
"""
WRITER = (
    CHILD
    + """
print("ready", flush=True)
sys.stdin.readline()
for i in range(12):
    Journal().keep(comparison(), takeaway=f"{sys.argv[1]} {i}")
"""
)
DYING = (
    CHILD
    + """
class Dying(sqlite3.Connection):
    def execute(self, sql, *rest):
        if sql.startswith(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(sql, *rest)
sqlite3.connect = partial(sqlite3.connect, factory=Dying)
Journal().keep(comparison(), takeaway="never")
"""
)


def test_one_run_kept_twice_in_one_microsecond_is_two_entries(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(["2026-01-01T00:00:00.000001Z"] * 4 + ["2026-01-01T00:00:00.000002Z"] * 4)
    monkeypatch.setattr("invivo.journal.entry.now", lambda: next(clock))
    one, other = (journal.keep(comparison(), takeaway=text) for text in ("first", "second"))
    assert one.id != other.id
    assert [entry.takeaway for entry in journal.list()] == ["second", "first"]
    assert journal.verify() == ()


def test_two_processes_keep_at_the_same_time(journal: Journal) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # neither has made the file yet
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    said = [entry.takeaway for entry in journal.list()][::-1]
    assert sorted(said) == sorted(f"{name} {i}" for name in "ab" for i in range(12))
    for name in "ab":
        assert [s for s in said if s.startswith(name)] == [f"{name} {i}" for i in range(12)]
    assert journal.verify() == ()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL; until CI has Windows")
@pytest.mark.parametrize("moment", ["INSERT INTO entries", "INSERT INTO takeaways", "COMMIT", "CREATE INDEX"])
def test_a_kill_in_the_middle_of_a_keep_leaves_what_was_there(journal: Journal, moment: str) -> None:
    kept = () if moment == "CREATE INDEX" else (journal.keep(comparison(), takeaway="before"),)
    died = subprocess.run([sys.executable, "-c", DYING, moment], cwd=ROOT, capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert journal.list() == kept
    assert journal.verify() == ()
    assert journal.keep(comparison(), takeaway="after").takeaway == journal.list()[0].takeaway


def test_hostile_text_is_only_text(journal: Journal) -> None:
    hostile = HOSTILE + "'; DROP TABLE entries; --\0"
    entry = journal.keep(comparison(prompt=(hostile,)), lab="02_head_ablation", takeaway=hostile)
    assert journal.list(search="drop table") == (entry,)
    assert "\x1b" not in entry.title
    assert entry.result.recipe.prompt == hostile


def test_what_is_removed_can_be_brought_back_and_moved(tmp_path):
    from invivo.journal import Journal

    kept = Journal(tmp_path / "journal.db")
    one, two, three = (kept.keep(comparison(), takeaway=text).id for text in ("one", "two", "three"))
    kept.remove(two)
    assert [e.id for e in kept.list()] == [three, one]
    assert kept.show("last").id == three
    with pytest.raises(UnknownName):
        kept.show(two)
    with pytest.raises(UnknownName):
        kept.restore(one)
    kept.restore("last")
    assert [e.id for e in kept.list()] == [three, two, one]
    kept.move(one, above=three)
    kept.move(two)
    assert [e.id for e in kept.list()] == [one, three, two]
    assert kept.move(one, above=one).id == one
    four = kept.keep(comparison(), takeaway="four").id
    assert [e.id for e in kept.list()] == [four, one, three, two]
    assert kept.verify() == ()
