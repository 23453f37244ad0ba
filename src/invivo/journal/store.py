"""The journal: every run that was kept, in one SQLite file that several processes may use at once.

Entries are only ever added. A takeaway is a row of its own beside its entry, and the newest one counts, so that a
change of mind keeps the line before it; removing an entry, bringing it back and moving it are such rows, too. A
connection lives as long as one operation: nothing stays open, and a process that dies half-way leaves what was there
before. The columns beside an entry's body are for searching and for people with a SQLite shell; `verify` holds them
against the body. Nothing here knows a model or a screen.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadText, InvivoError, OutOfRange, Refused, UnknownName, unknown
from ..experiment import Comparison, Experiment
from ..experiment.exhibit import Exhibit
from ..files import mishaps
from ..home import home
from .entry import ID_DIGITS, Entry, Takeaway, address, body_of, now, one_line

LISTED_BY = "invivo journal list"
LAST = "last"
BIG_BYTES = 4096  # a larger body is compressed
PATIENCE_S = 15.0  # how long to wait for another process' write

# Step n takes a journal of version n to n + 1. A step that was released is never changed: a new one comes after it.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE entries (
          number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL, kind TEXT NOT NULL, lab TEXT,
          title TEXT NOT NULL, words TEXT NOT NULL, body BLOB NOT NULL)""",
        """CREATE TABLE takeaways (
          number INTEGER PRIMARY KEY, entry TEXT NOT NULL REFERENCES entries (id), created TEXT NOT NULL,
          text TEXT NOT NULL)""",
        "CREATE INDEX takeaways_of ON takeaways (entry)",
    ),
    (
        """CREATE TABLE removals (
          number INTEGER PRIMARY KEY, entry TEXT NOT NULL REFERENCES entries (id), created TEXT NOT NULL,
          gone INTEGER NOT NULL)""",
        """CREATE TABLE moves (
          number INTEGER PRIMARY KEY, entry TEXT NOT NULL REFERENCES entries (id), created TEXT NOT NULL,
          place REAL NOT NULL)""",
        "CREATE INDEX removals_of ON removals (entry)",
        "CREATE INDEX moves_of ON moves (entry)",
    ),
)

GONE = "coalesce((SELECT gone FROM removals WHERE entry = entries.id ORDER BY number DESC LIMIT 1), 0)"
PLACE = "coalesce((SELECT place FROM moves WHERE entry = entries.id ORDER BY number DESC LIMIT 1), number)"
ORDER = f"{PLACE} DESC, number DESC"
NEWEST = "coalesce((SELECT text FROM takeaways WHERE entry = entries.id ORDER BY number DESC LIMIT 1), '')"
log = logging.getLogger(__name__)


class Damaged(InvivoError):
    """The journal's file is not, or no longer, a whole SQLite database."""


class Journal:
    """The runs kept in one file, `journal.db` in `home()` unless `path` says otherwise."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else home() / "journal.db"

    def keep(
        self, result: Comparison | Exhibit, *, lab: str | None = None, takeaway: str = "", kind: str = "compare"
    ) -> Entry:
        """Keep a run, whole or not at all. Raises InvivoError where it cannot be written."""
        body = body_of(result, kind, lab)
        entry = Entry.read(body, takeaway)
        with self._open(writing=True) as db:
            while db.execute("SELECT 1 FROM entries WHERE id = ?", (entry.id,)).fetchone():
                body = body_of(result, kind, lab)  # the same run was kept in this very microsecond
                entry = Entry.read(body, takeaway)
            db.execute(
                "INSERT INTO entries (id, created, kind, lab, title, words, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*columns(entry), words_of(entry), pack(body)),
            )
            for line in entry.takeaways:
                db.execute(
                    "INSERT INTO takeaways (entry, created, text) VALUES (?, ?, ?)", (entry.id, line.created, line.text)
                )
        return entry

    def add_takeaway(self, name: str, text: str) -> Entry:
        """Give an entry (the start of its id, or `last`) a takeaway; the one before stays in its history."""
        text = one_line(text)
        with self._open(writing=True) as db:
            row = find(db, name)
            entry = read(db, row)
            if entry.takeaway != text:
                db.execute("INSERT INTO takeaways (entry, created, text) VALUES (?, ?, ?)", (entry.id, now(), text))
            return read(db, row)

    def remove(self, name: str) -> Entry:
        """Take an entry out of every list. Nothing of it is lost: `restore` brings it back."""
        return self._mark(name, gone=True)

    def restore(self, name: str) -> Entry:
        """Bring an entry back that was removed."""
        return self._mark(name, gone=False)

    def _mark(self, name: str, gone: bool) -> Entry:
        with self._open(writing=True) as db:
            row = find(db, name, gone=not gone)
            db.execute("INSERT INTO removals (entry, created, gone) VALUES (?, ?, ?)", (row[0], now(), int(gone)))
            return read(db, row)

    def move(self, name: str, above: str | None = None) -> Entry:
        """Put an entry above another one in the list, or to its end."""
        with self._open(writing=True) as db:
            row = find(db, name)
            order = [
                e for (e,) in db.execute(f"SELECT id FROM entries WHERE NOT {GONE} ORDER BY {PLACE} DESC, number DESC")
            ]
            order.remove(row[0])
            at = len(order) if above is None else order.index(find(db, above)[0]) if above != name else None
            if at is None:
                return read(db, row)
            order.insert(at, row[0])
            for place, entry in enumerate(reversed(order), 1):
                known = db.execute(f"SELECT {PLACE} FROM entries WHERE id = ?", (entry,)).fetchone()[0]
                if known != place:
                    db.execute("INSERT INTO moves (entry, created, place) VALUES (?, ?, ?)", (entry, now(), place))
            return read(db, row)

    def list(self, limit: int | None = None, search: str = "", but: Sequence[str] = ()) -> tuple[Entry, ...]:
        """Entries, newest first, at most `limit`: those that hold every word of `search`, in any case of letters.

        Lab, title, prompts, tweaks, tasks, model and takeaway are searched. Entries of the kinds `but` are left out.
        One that cannot be read is left out with a warning; `verify` says what is wrong with it.
        """
        if limit is not None and limit < 0:
            raise OutOfRange(f"a list of {limit} entries", hint="0 or more; leave it out for all")
        words, marks = plain(search).casefold().split(), ", ".join("?" * len(but))
        holds = " AND ".join([f"instr(words || ' ' || folded({NEWEST}), ?)"] * len(words)) or "1"
        entries = []
        with self._open() as db:
            for row in db.execute(
                f"SELECT id, body FROM entries WHERE {holds} AND NOT {GONE} AND kind NOT IN ({marks}) "
                f"ORDER BY {ORDER} LIMIT ?",
                (*words, *but, -1 if limit is None else limit),
            ):
                try:
                    entries.append(read(db, row))
                except BadText as error:
                    log.warning("%s; `invivo journal verify` says more", error.what)
        return tuple(entries)

    def progress(self, kinds: Sequence[str] = ("lab", "guide")) -> dict[str, str]:
        """Which labs were run to their end, each with the newest line that was learned from it, by the lab's name.

        A run of one of the `kinds` that is no lab's counts under its kind. Nothing of the runs themselves is read.
        """
        marks = ", ".join("?" * len(kinds))
        with self._open() as db:
            rows = db.execute(
                f"SELECT coalesce(lab, kind), {NEWEST} FROM entries WHERE kind IN ({marks}) ORDER BY number", (*kinds,)
            ).fetchall()
        found: dict[str, str] = {}
        for name, line in rows:
            found[name] = line or found.get(name, "")
        return found

    def show(self, name: str) -> Entry:
        """The entry whose id starts with `name`, or the `last` one. Raises InvivoError unless there is just one."""
        with self._open() as db:
            return read(db, find(db, name))

    def verify(self) -> tuple[str, ...]:
        """What is wrong with the journal, a sentence each; empty when nothing is."""
        try:
            with self._open() as db:
                problems = [f"the file: {text}" for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
                problems += [
                    f"a takeaway belongs to {name!r}, which is no entry"
                    for (name,) in db.execute(
                        "SELECT entry FROM takeaways WHERE entry NOT IN (SELECT id FROM entries) ORDER BY number"
                    )
                ]
                for row in db.execute("SELECT id, body, created, kind, lab, title FROM entries ORDER BY number"):
                    problems += wrong(row)
                return tuple(problems)
        except Damaged as error:
            return (error.what,)

    @contextlib.contextmanager
    def _open(self, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction on the file, committed at the end of the block and rolled back by anything that leaves it."""
        with self._mishaps():
            if writing:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):  # prompts are nobody else's business
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            frozen = not writing and self.path.exists() and not os.access(self.path.parent, os.W_OK)
            with contextlib.closing(self._connect(writing, frozen)) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.create_function("folded", 1, lambda text: str(text).casefold(), deterministic=True)
                if writing:
                    with contextlib.suppress(sqlite3.OperationalError):  # somebody is in it: the next one will switch
                        db.execute("PRAGMA journal_mode = WAL")
                migrate(db)
                db.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                yield db
                db.execute("COMMIT")

    def _connect(self, writing: bool, frozen: bool) -> sqlite3.Connection:
        """The file. One that is not there yet reads as an empty one; one in a read-only folder, as it is, or a copy in
        memory where it has an older version's shape.
        """
        there = writing or self.path.exists()
        uri = self.path.absolute().as_uri() + ("?immutable=1" if frozen else "") if there else ":memory:"
        db = sqlite3.connect(uri, timeout=PATIENCE_S, isolation_level=None, uri=True)
        if not frozen or version_of(db) >= len(MIGRATIONS):
            return db
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(db):
            db.backup(copy)
        return copy

    @contextlib.contextmanager
    def _mishaps(self) -> Iterator[None]:
        """What SQLite and the disk refuse, in words and with a next step."""
        try:
            with mishaps("open the journal", self.path):
                yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            where = f"the journal {self.path}"
            elsewhere = "or set INVIVO_HOME to a folder that you may write in"
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise Damaged(
                    f"{where} is damaged: {error}",
                    hint="give it another name and the next run starts a new one; sqlite3's `.recover` may "
                    "save what is in it",
                ) from None
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise InvivoError(
                    f"{where} has been busy for {PATIENCE_S:.0f} s",
                    hint="another process is writing to it; end that one, or try again",
                ) from None
            if name.startswith("SQLITE_FULL"):
                raise InvivoError(
                    f"{where} cannot grow: the disk is full",
                    hint=f"what was kept before is safe; free some space, {elsewhere}",
                ) from None
            if name.startswith("SQLITE_IOERR"):
                raise InvivoError(
                    f"{where} cannot be read or written: {error}, from the disk below it",
                    hint=f"most often that disk is full: what was kept before is safe; free some space, {elsewhere}",
                ) from None
            if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
                raise InvivoError(
                    f"{where} cannot be opened or written: {error}",
                    hint=f"make it and its folder writable, {elsewhere}",
                ) from None
            raise InvivoError(f"{where} failed: {error}", hint="`invivo journal verify` examines it") from None


def migrate(db: sqlite3.Connection) -> None:
    """Bring a journal to this version's shape, one step after the other. Raises Refused for a newer one."""
    version = version_of(db)
    if version == len(MIGRATIONS):
        return
    if version < len(MIGRATIONS):
        db.execute("BEGIN IMMEDIATE")
        version = version_of(db)  # another process may have been first
    if version > len(MIGRATIONS):
        raise Refused(
            f"this journal has version {version}, and this invivo reads up to {len(MIGRATIONS)}",
            hint="upgrade invivo, or set INVIVO_HOME to another folder",
        )
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        for statement in step:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
    db.execute("COMMIT")


def version_of(db: sqlite3.Connection) -> int:
    """How many migrations a journal has had."""
    return db.execute("PRAGMA user_version").fetchone()[0]


def find(db: sqlite3.Connection, name: str, gone: bool = False) -> tuple[str, Any]:
    """Id and body of the one entry that `name` means: `last`, or the start of an id. Of the removed ones if `gone`."""
    name = name.strip().lower()
    if name == LAST:
        rows = db.execute(
            f"SELECT id, body FROM entries WHERE {GONE} = ? ORDER BY number DESC LIMIT 1", (int(gone),)
        ).fetchall()
    elif re.fullmatch(rf"[0-9a-f]{{1,{ID_DIGITS}}}", name):
        rows = db.execute(
            f"SELECT id, body, title FROM entries WHERE substr(id, 1, ?) = ? AND {GONE} = ? ORDER BY number DESC",
            (len(name), name, int(gone)),
        ).fetchall()
    else:
        rows = []
    if len(rows) == 1:
        return rows[0][:2]
    if rows:
        shown = "; ".join(f"{row[0]} {row[2]}" for row in rows[:5]) + ("; …" if len(rows) > 5 else "")
        raise BadText(f"{name!r} is the start of {len(rows)} entries", hint=f"write more of the id: {shown}")
    known = [row[0] for row in db.execute(f"SELECT id FROM entries WHERE {GONE} = ?", (int(gone),))]
    if not known and gone:
        raise UnknownName("no run was removed", hint="`invivo journal list` lists those there are")
    if not known:
        raise UnknownName("the journal is empty", hint="`invivo compare …` and `invivo run LAB` keep their runs in it")
    raise unknown("journal entry", name, [LAST, *known], LISTED_BY)


def read(db: sqlite3.Connection, row: tuple[str, Any]) -> Entry:
    """The entry of an (id, body) pair, with its takeaways. Raises BadText when it is damaged."""
    name, body = row
    lines = db.execute("SELECT created, text FROM takeaways WHERE entry = ? ORDER BY number", (name,))
    takeaways = tuple(Takeaway.of({"created": created, "text": text}) for created, text in lines)
    return Entry.read(unpack(name, body), takeaways)


def wrong(row: tuple[Any, ...]) -> list[str]:
    """What is wrong with one entry: its hash, its form, its columns."""
    name, packed, *searched = row
    try:
        body = unpack(name, packed)
        if address(body) != name:
            return [f"entry {name!r} was changed: its content is that of {address(body)}"]
        entry = Entry.read(body)
    except BadText as error:
        return [error.what]
    pairs = zip(("created", "kind", "lab", "title"), searched, columns(entry)[1:], strict=True)
    return [f"entry {name}: column {column} is not what was kept" for column, is_, was in pairs if is_ != was]


def columns(entry: Entry) -> tuple[str | None, ...]:
    """What people with a SQLite shell see of an entry: id, created, kind, lab, title."""
    return entry.id, entry.created, entry.kind, entry.lab, entry.title


def words_of(entry: Entry) -> str:
    """What is searched of an entry beside its takeaway, in small letters."""
    recipe = entry.recipe
    if isinstance(recipe, Experiment):
        asked = (recipe.prompt, *recipe.prompts.values(), recipe.target or "", *map(str, recipe.tweaks))
    else:
        asked = (recipe.name, json.dumps(recipe.settings, ensure_ascii=False))
    return plain("\n".join((entry.kind, entry.lab or "", recipe.model, *asked))).casefold()


def plain(text: str) -> str:
    """Text that SQLite can hold: half a character (a lone surrogate) and NUL as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def pack(body: bytes) -> bytes:
    """A body as it is stored: compressed when that pays."""
    return zlib.compress(body) if len(body) > BIG_BYTES else body


def unpack(name: str, stored: Any) -> bytes:
    """The body as it was. Raises BadText when it cannot be had back."""
    try:
        return stored if stored[:1] == b"{" else zlib.decompress(stored)
    except (zlib.error, TypeError):
        raise BadText(f"entry {name!r} is damaged: its content cannot be unpacked") from None
