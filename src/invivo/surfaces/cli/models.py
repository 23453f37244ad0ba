"""`invivo models` and `invivo tokens`: which models are at hand, and how one of them reads a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import talk
from .app import LOOK, app
from .flags import MODEL, AllowPickle, AllowRemoteCode, ConfigFile, Json, takes


@app.command(rich_help_panel=LOOK)
def models(as_json: Json = False) -> None:
    """The models that are on this machine."""
    found = [fruitfly(), *cached()]
    if as_json:
        return talk.data({"models": found})
    from ...show.blocks import Document, Table

    rows = tuple((m["name"], f"{m['size_bytes'] / 2**20:,.1f} MiB", m["where"]) for m in found)
    return talk.show(
        Document(
            blocks=(
                Table(columns=("model", "size", "where"), rows=rows),
                talk.small_print(
                    "Any causal language model works with `--model`: a name from the Hugging Face hub, as in "
                    "`--model distilgpt2`, or a folder that `save_pretrained` wrote, as in `--model ./mine`."
                ),
            )
        )
    )


def fruitfly() -> dict[str, Any]:
    """The model that comes with the package."""
    folder = Path(__file__).parents[2] / "model" / "fruitfly"
    size = sum(file.stat().st_size for file in folder.glob("*")) if folder.is_dir() else 0
    return {
        "name": "fruitfly",
        "where": "comes with invivo" if size else "missing: install invivo again",
        "size_bytes": size,
        "revisions": [],
    }


def cached() -> list[dict[str, Any]]:
    """Models in the local Hugging Face cache; none where there is no cache."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except (CacheNotFound, OSError):
        return []
    return [
        {
            "name": repo.repo_id,
            "where": str(repo.repo_path),
            "size_bytes": repo.size_on_disk,
            "revisions": sorted(revision.commit_hash for revision in repo.revisions),
        }
        for repo in sorted(repos, key=lambda repo: repo.repo_id)
        if repo.repo_type == "model"
    ]


@app.command(rich_help_panel=LOOK)
@takes(*MODEL)
def tokens(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to cut into tokens.")],
    flags: Any,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """How a model cuts a text into tokens: index, id, piece, bytes."""
    from .running import load, settled

    settings = settled(config, flags)
    model = load(settings, allow_pickle, allow_remote_code)
    pieces = model.tokens(text)
    if as_json:
        return talk.data(
            {
                "model": model.name,
                "revision": model.revision,
                "text": text,
                "tokens": [
                    {"index": i, "id": t.id, "text": t.text, "bytes": t.bytes.hex()} for i, t in enumerate(pieces)
                ],
            }
        )
    from ...show.blocks import Document, Table
    from ...show.text import visible

    rows = tuple((str(i), str(t.id), visible(t.text), t.bytes.hex(" ")) for i, t in enumerate(pieces))
    return talk.show(Document(blocks=(Table(columns=("index", "id", "piece", "bytes"), rows=rows),)))
