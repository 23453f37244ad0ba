"""The order in which fruitfly reads: which kinds of text, in rows of which length, in which part of its training."""

from __future__ import annotations

from invivo.training.stream import Stage

# Copying first, on short rows of few distinct tokens, because much else is built on it; then everything; then the
# whole context, with more of the modern stories, which are closest to how people prompt.
STAGES = (
    Stage(
        0.05,
        64,
        {"large": 0.28, "small": 0.1, "few": 0.25, "many": 0.04, "names": 0.02}
        | {"indirect": 0.12, "facts": 0.13, "chat": 0.03, "reading": 0.03},
    ),
    Stage(
        0.6,
        256,
        {"large": 0.38, "small": 0.15, "starts": 0.06, "few": 0.01, "many": 0.02, "names": 0.01}
        | {"indirect": 0.12, "facts": 0.08, "lists": 0.015, "style": 0.015, "chat": 0.04, "reading": 0.1},
    ),
    Stage(
        1.0,
        512,
        {"large": 0.47, "small": 0.19, "starts": 0.06, "many": 0.015, "names": 0.005}
        | {"indirect": 0.08, "facts": 0.05, "lists": 0.01, "style": 0.01, "chat": 0.03, "reading": 0.08},
    ),
)
