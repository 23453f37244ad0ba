"""From a folder of text to a model folder: tokenizer, tokens, training, export, evaluation, card.

The same command goes on where it was stopped or killed. OUT/model is the model folder, with its card and report.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import cast

import torch
import transformers
from safetensors.torch import load_file

from invivo.errors import InvivoError
from invivo.training import log
from invivo.training.corpus import read_folder
from invivo.training.export import export
from invivo.training.files import write_folder, write_whole
from invivo.training.learner import CheckpointError, Learner
from invivo.training.measure import score, token_bytes
from invivo.training.prepare import tokenizer_for, tokens_for
from invivo.training.recipe import Recipe
from invivo.training.train import train

from . import mixture
from .average import averaged
from .behaviours import glance, words_of
from .card import card, fill
from .credits import credits
from .evaluate import WEIGHTS, evaluate
from .starts import starts
from .stream import STAGES

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line arguments: the folders, the recipe's fields, and where to run."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="folder with *.txt or *.txt.xz, documents split by <|endoftext|>")
    parser.add_argument("out", type=Path, help="folder for tokens, checkpoint, log, and at the end the model")
    parser.add_argument("--name", default="fruitfly", help="what the model card calls the model")
    parser.add_argument("--start-from", type=Path, help="a model folder whose weights and tokenizer to start from")
    parser.add_argument(
        "--average", type=float, default=0.0, help="share of the weights started from in the model, by averaging"
    )
    parser.add_argument("--heldout", type=float, default=0.03, help="share of documents held out")
    parser.add_argument("--finish", action="store_true", help="train no further: measure the last checkpoint")
    parser.add_argument("--eval", dest="texts", type=Path, help="a folder with blimp/*.jsonl.xz to measure grammar on")
    parser.add_argument(
        "--page",
        type=Path,
        action="append",
        default=[],
        help="a Markdown page whose figures are to be brought up to date; may be given again",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to train")
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile (slower, starts at once)")
    group = parser.add_argument_group("recipe", "What decides the outcome. Only tokens may change when going on.")
    for field in fields(Recipe):
        if field.name == "start":
            continue  # said by --start-from
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=type(field.default),
            default=field.default,
            help=field.name.replace("_", " "),
        )
    return parser.parse_args(argv)


def talk(words: str) -> None:
    """Say on stderr what is going on."""
    print(words, file=sys.stderr, flush=True)


def beginning(folder: Path | None, model: Path, heads: int) -> tuple[dict[str, torch.Tensor] | None, str]:
    """The weights to start from and their SHA-256. The tokenizer that belongs to them is put into `model`."""
    if folder is None:
        return None, ""
    missing = [name for name in (WEIGHTS, *TOKENIZER, "config.json") if not (folder / name).exists()]
    if missing:
        raise CheckpointError(
            f"{folder} has no {' and no '.join(missing)}: nothing to start from", hint="name a model folder"
        )
    heads_there = json.loads((folder / "config.json").read_text()).get("n_head")
    if heads_there != heads:  # the weights have one shape whatever the number of heads
        raise CheckpointError(f"{folder} has {heads_there} heads, not {heads}", hint=f"give --heads {heads_there}")
    if not (model / TOKENIZER[0]).exists():
        write_folder(model, lambda part: [shutil.copy(folder / name, part) for name in TOKENIZER])
    if (model / TOKENIZER[0]).read_bytes() != (folder / TOKENIZER[0]).read_bytes():
        raise CheckpointError(
            f"{model} has another tokenizer than {folder}, so its weights would read other tokens",
            hint="use another output folder",
        )
    weights = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    return weights, hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def run(given: argparse.Namespace) -> None:
    """All stages; those that were done before take no time."""
    if not 0 <= given.average < 1 or (given.average and given.start_from is None):
        raise CheckpointError(
            f"--average {given.average:g} is a share of the weights that training starts from",
            hint="give --start-from FOLDER, and a share from 0 to below 1",
        )
    start, digest = beginning(given.start_from, given.out / "model", given.heads)
    recipe = Recipe(**{f.name: getattr(given, f.name) for f in fields(Recipe) if f.name != "start"}, start=digest)
    out, folder, diary = given.out, given.out / "model", given.out / "log.jsonl"
    sources = read_folder(given.corpus, given.heldout)
    if recipe.generated:
        talk("writing the generated texts")
        sources += mixture.written()
    tokenizer = tokenizer_for(sources, recipe, folder, talk)
    bytes_of = token_bytes(tokenizer)
    if recipe.generated and (begun := starts(sources, tokenizer)).train:
        sources.append(begun)
    reading, heldout = tokens_for(sources, tokenizer, out / "work", recipe.context, talk)
    if recipe.generated:
        reading += mixture.drawn(recipe.vocabulary, cast(int, tokenizer.eos_token_id or 0))

    torch.set_num_threads(given.threads)
    compiler = given.device != "cpu" or any(map(shutil.which, ("g++", "clang++")))
    if not compiler and not given.no_compile:
        talk("no C++ compiler (g++ or clang++) was found: training without torch.compile, at about half the speed")
    checkpoint = out / "checkpoint.pt"
    if given.finish and not checkpoint.exists():
        raise CheckpointError(f"{checkpoint} does not exist: there is nothing to finish", hint="leave out --finish")
    learner = Learner(recipe, checkpoint, start=start, device=given.device, compile=compiler and not given.no_compile)
    if not given.finish:
        train(
            learner,
            reading,
            diary,
            bytes_of=bytes_of,
            stages=STAGES,
            watch=lambda model, length: (
                {t.name: score(model, t.ids, bytes_of, length, rows=16 if t.generated else 48) for t in heldout},
                glance(model, tokenizer) if recipe.generated else {},
            ),
            keep=lambda model, step: export(model, out / "steps" / f"{step:06d}"),
        )

    talk(f"measuring {folder}: held-out text with its yardsticks, then what the model does")
    export(averaged(learner.model, start, given.average) if start and given.average else learner.model, folder)
    report = evaluate(
        folder,
        recipe,
        step=learner.step,
        tokens=learner.seen,
        seconds=log.seconds(log.read(diary, until=learner.step)),
        heldout_share=given.heldout,
        reading=reading,
        heldout=heldout,
        device=given.device,
        words=words_of(document for source in sources for document in source.train),
        start_from=given.start_from,
        average=given.average,
        texts=given.texts,
        say=talk,
    )
    write_whole(folder / "report.json", (json.dumps(report, indent=1) + "\n").encode())
    named = credits(given.corpus)
    if named:
        write_whole(folder / "CREDITS.txt", named.encode())
    write_whole(folder / "README.md", card(report, given.name, named is not None).encode())
    for page in given.page:
        fill(page, report)
    print(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; a mistake that the user can mend is two lines on stderr and exit code 2."""
    transformers.logging.disable_progress_bar()
    try:
        run(arguments(argv))
    except InvivoError as error:
        talk(f"error: {error.what}" + (f"\nhint: {error.hint}" if error.hint else ""))
        return error.exit_code
    except OSError as error:
        talk(f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return 2
    except KeyboardInterrupt as stop:
        talk(str(stop) or "stopped; the same command goes on from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
