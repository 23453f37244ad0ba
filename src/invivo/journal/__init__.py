"""The journal: runs that are kept, what was learned from them, and posts that tell of it."""

from __future__ import annotations

from .entry import Entry, Takeaway
from .post import HEADING, export, folder_for_post, write_post
from .store import Journal

__all__ = ["HEADING", "Entry", "Journal", "Takeaway", "export", "folder_for_post", "write_post"]
