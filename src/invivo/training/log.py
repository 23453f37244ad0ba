"""The run's diary, `log.jsonl`: one JSON line every few seconds, one more with the held-out loss at each checkpoint.

It may run ahead of the checkpoint, and its last line may be torn, when a run was killed. Reading mends both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def line(entry: Entry) -> str:
    """An entry as it is written."""
    return json.dumps(entry) + "\n"


def read(path: Path, until: int | None = None) -> list[Entry]:
    """The run as if it had never been broken, up to step `until`: what was done again stands once."""
    entries: list[Entry] = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            entry = json.loads(text)
        except json.JSONDecodeError:
            continue
        if entries and entry["step"] < entries[-1]["step"]:
            entries = [e for e in entries if e["step"] < entry["step"]]
        entries.append(entry)
    return [e for e in entries if until is None or e["step"] <= until]


def seconds(entries: list[Entry]) -> float:
    """The time spent training, from tokens and tokens per second."""
    total = seen = 0.0
    for entry in entries:
        if "train_nats" in entry:
            total += (entry["tokens"] - seen) / max(entry["tokens_per_s"], 1)
            seen = entry["tokens"]
    return total
