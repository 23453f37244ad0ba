"""BASE and TWEAK in one call, against plain transformers `generate` for BASE alone. Greedy, 64 new tokens, CPU.

    python benchmarks/pair.py [--rounds 7] [--threads 2]

The pair is the whole `compare`: both texts and every number between them. Bars: at most 0.7 on a random model of
distilgpt2's size, 0.6 on fruitfly; BASE and seven TWEAKs at most 0.85 on the former.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from common import finish, interleaved, ratio, say
from transformers import AutoModelForCausalLM, GPT2Config

from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.model.load import Loaded, load

NEW = 64
PROMPT = "Once upon a time there was a little girl"


def distilgpt2_sized() -> Any:
    """Random weights in distilgpt2's shape (6 layers, 768, 12 heads, 50,257)."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(GPT2Config(n_layer=6)).eval()


def measure(name: str, plain: Any, model: Model, rounds: int, figures: dict[str, float]) -> None:
    """One model: `plain` is transformers' own copy, `model` ours."""
    ids = torch.tensor([model.living.encode(PROMPT)])
    settings = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)

    def alone() -> None:
        plain.generate(ids, attention_mask=torch.ones_like(ids), **settings)

    def pair() -> Any:
        return model.compare(PROMPT, "zero head 3.5", max_new_tokens=NEW)

    def eight() -> Any:
        return model.compare(PROMPT, *(f"zero head 3.{head}" for head in range(7)), max_new_tokens=NEW)

    result = pair()
    said = plain.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, ids.shape[1] :].tolist()
    assert list(result.base.ids) == said, "BASE must say what transformers says"
    assert len(result.base.ids) == len(result.tweaks[0].ids) == NEW
    say(name)
    assert [run.ids for run in (eight().base, eight().tweaks[5])] == [result.base.ids, result.tweaks[0].ids]
    theirs, two, eights = "transformers, BASE alone", "invivo, BASE + TWEAK", "invivo, BASE + 7 TWEAKs"
    seconds = interleaved({theirs: alone, two: pair, eights: eight}, rounds)
    figures[f"pair_over_hf_base_{name}"] = ratio(seconds, two, theirs)
    figures[f"eight_rows_over_hf_base_{name}"] = ratio(seconds, eights, theirs)


def main() -> None:
    """Both models, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    figures: dict[str, float] = {}
    fruitfly = load()
    for model in (never_ending := [distilgpt2_sized(), load().hf]):
        model.generation_config.eos_token_id = None
    ours = distilgpt2_sized()
    ours.generation_config.eos_token_id = None
    fruitfly.hf.generation_config.eos_token_id = None
    fruitfly.tokenizer.eos_token = None  # nothing ends a text early, so that both generate as many tokens
    measure(
        "distilgpt2",
        never_ending[0],
        Model(wake(Loaded(ours, fruitfly.tokenizer, "distilgpt2-sized", "random"))),
        given.rounds,
        figures,
    )
    measure("fruitfly", never_ending[1], Model(wake(fruitfly)), given.rounds, figures)
    finish("pair", figures, threads=given.threads)


if __name__ == "__main__":
    main()
