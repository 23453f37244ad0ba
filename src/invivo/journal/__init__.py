"""The journal: runs that are kept, what was learned from them, and posts that tell of it."""

from __future__ import annotations

from .entry import Entry, Takeaway
from .post import HEADING, export, folder_for_post, write_post
from .replay import Kept, KeptResult, Replay, again, again_of, run_of, runs_in
from .report import Part, folder_for_report, one_file, write_report
from .store import Journal

__all__ = [
    "HEADING",
    "Entry",
    "Journal",
    "Kept",
    "KeptResult",
    "Part",
    "Replay",
    "Takeaway",
    "again",
    "again_of",
    "export",
    "folder_for_post",
    "folder_for_report",
    "one_file",
    "run_of",
    "runs_in",
    "write_post",
    "write_report",
]
