"""How long a cold start takes: `invivo compare` against a bare script that does the least the same work needs.

    python benchmarks/start.py [--rounds 5]

The bare script imports torch and transformers, loads fruitfly's weights and calls `generate` twice. Bars: `invivo
compare` at most 1.15 times that, `invivo --help` at most 0.15 times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import finish, interleaved, ratio

BARE = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
where = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(where)
batch = tokenizer("Once upon a time", return_tensors="pt", return_token_type_ids=False)
for _ in range(2):
    out = model.generate(**batch, max_new_tokens=40, do_sample=False)
    print(tokenizer.decode(out[0]))
"""


def main() -> None:
    """Whole processes, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    from invivo.model.load import FRUITFLY

    command = [str(Path(sys.executable).with_name("invivo"))]
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"INVIVO_HOME": home, "HF_HUB_OFFLINE": "1"}

        def run(words: list[str]) -> None:
            subprocess.run(words, env=env, check=True, capture_output=True, cwd=home)

        seconds = interleaved(
            {
                "bare script": lambda: run([sys.executable, "-c", BARE, str(FRUITFLY)]),
                "invivo compare": lambda: run([*command, "compare", "Once upon a time", "--tweak", "zero head 3.5"]),
                "invivo --help": lambda: run([*command, "--help"]),
            },
            given.rounds,
        )
    finish(
        "start",
        {
            "compare_over_bare": ratio(seconds, "invivo compare", "bare script"),
            "help_over_bare": ratio(seconds, "invivo --help", "bare script"),
        },
    )


if __name__ == "__main__":
    main()
