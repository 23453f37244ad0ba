"""`python -m training CORPUS OUT`: corpus folder in, model folder out; the same command resumes after a kill."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import torch

from .corpus import CorpusError, read_folder
from .measure import heldout_nats
from .stream import encode
from .train import Recipe, train
from .vocabulary import train_tokenizer


def arguments() -> argparse.Namespace:
    """Command-line arguments: the folders, the recipe's fields, and where to run."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with *.txt or *.txt.xz, documents split by <|endoftext|>")
    parser.add_argument("out", type=Path, help="folder for tokens, checkpoint, log, and at the end the model")
    parser.add_argument("--heldout", type=float, default=0.03, help="share of documents held out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile (slower, starts at once)")
    for field in fields(Recipe):
        default = field.default
        parser.add_argument("--" + field.name.replace("_", "-"), type=type(default), default=default)
    return parser.parse_args()


def main() -> int:
    """Tokenizer, tokens, training, model folder."""
    given = arguments()
    recipe = Recipe(**{f.name: getattr(given, f.name) for f in fields(Recipe)})
    work: Path = given.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    try:
        sources = read_folder(given.corpus, given.heldout)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    model_folder: Path = given.out / "model"
    if (model_folder / "tokenizer.json").exists():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model_folder)
    else:
        print(f"training a vocabulary of {recipe.vocabulary}", file=sys.stderr)
        tokenizer = train_tokenizer(sources, recipe.vocabulary, model_folder, recipe.context)
    print("tokenising", file=sys.stderr)
    reading = [encode(s, s.train, tokenizer, work / f"{s.name}.train.npy") for s in sources]
    heldout = [encode(s, s.heldout, tokenizer, work / f"{s.name}.heldout.npy") for s in sources if s.heldout]
    heldout = [t for t in heldout if len(t.ids) >= recipe.context]
    try:
        model = train(recipe, reading, given.out, threads=given.threads, device=given.device,
                      compile=not given.no_compile,
                      watch=lambda m: {t.name: round(heldout_nats(m, t, recipe.context, rows=48), 4) for t in heldout})
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        return 130
    model.config.activation_function = "gelu_new"  # the same formula under GPT-2's usual name
    model.half().save_pretrained(model_folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
