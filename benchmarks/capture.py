"""Capturing one site costs that site's bytes, not the model's: peak memory over a plain forward pass.

    python benchmarks/capture.py

A random model of distilgpt2's size reads some 500 tokens, once plainly and once through `Model.capture` of one site,
each in a process of its own; the figure is the ratio of the two peaks of resident memory. Bar: at most 1.05.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys

from common import finish, say


def child(how: str) -> None:
    """One forward pass, plain or captured; prints its peak resident memory in KiB."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    from invivo.engine.live import Model
    from invivo.engine.living import wake
    from invivo.model.load import Loaded, load

    torch.manual_seed(0)
    torch.set_num_threads(1)
    loaded = load()
    hf = AutoModelForCausalLM.from_config(GPT2Config(n_layer=6)).eval()
    model = Model(wake(Loaded(hf, loaded.tokenizer, "distil", "random")))
    prompt = "a b" * 250
    ids = torch.tensor([model.living.encode(prompt)])
    if how == "plain":
        with torch.no_grad():
            model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
    else:
        (kept,) = model.capture(prompt, "L3.resid_post").values()
        assert kept.shape == (ids.shape[1], 768)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def main() -> None:
    """Five rounds of each, in turn."""
    peaks: dict[str, list[int]] = {"plain": [], "captured": []}
    for _ in range(5):
        for how in peaks:
            out = subprocess.run([sys.executable, __file__, how], capture_output=True, text=True, check=True)
            peaks[how].append(json.loads(out.stdout.splitlines()[-1]))
    for how, values in peaks.items():
        say(f"  {how}: median peak {statistics.median(values) / 1024:.0f} MiB")
    finish(
        "capture",
        {
            "capture_one_site_over_plain": round(
                statistics.median(peaks["captured"]) / statistics.median(peaks["plain"]), 4
            )
        },
    )


if __name__ == "__main__":
    child(sys.argv[1]) if len(sys.argv) > 1 else main()
