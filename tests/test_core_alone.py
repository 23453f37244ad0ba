"""The package without its extras: everything can be imported and listed, and what needs an extra names the line."""

from __future__ import annotations

import subprocess
import sys

EXTRAS = ("peft", "torchao", "bitsandbytes", "bm25s", "qdrant_client", "lm_eval")
CODE = f"""
import pkgutil, sys
from importlib import import_module

sys.modules.update(dict.fromkeys({EXTRAS!r}))
import invivo

for module in pkgutil.walk_packages(invivo.__path__, "invivo."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
from invivo.engine.exhibits import all_exhibits
from invivo.engine.makers import all_makers
from invivo.errors import Refused
from invivo.labs import all_labs

assert len(all_labs()) == 21 and all_exhibits() and all_makers()
model = invivo.load()
told = []
for line in ("quantize int4", "quantize nf4", 'adapt to "a b c"'):
    try:
        model.compare("Once upon a time", line, max_new_tokens=1)
    except Refused as error:
        told.append(error.hint)
assert told == ["pip install 'invivo[quant]'"] * 2 + ["pip install 'invivo[adapt]'"], told
result = model.compare("Once upon a time", "prune 0.5 of weights", 'prepend "One day. "', max_new_tokens=2)
assert len(result.tweaks) == 2
"""


def test_the_core_alone_imports_lists_and_runs_everything_else() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
