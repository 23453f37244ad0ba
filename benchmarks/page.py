"""How light the page is, in a real browser: size, foreign requests, first control, a large grid, streaming, memory.

python benchmarks/page.py [--rounds N]

Needs Debian's chromium and playwright (`pip install -e '.[test]'`). Prints one JSON document; figures:
  js_css_gzip_kb                the page's code as it goes over the wire
  outside_requests              requests to anything but the server, through everything that is done here
  first_control_before_model    1 where Run can be clicked while the model is still being loaded
  lens_grid_ms                  CPU time of the browser's main thread for showing a lens of 48 layers x 128 tokens,
                                everything on its tab included; the median
  walk_ms                       the same for one step through that grid with the arrow keys; the longest
  streaming_over_python         a comparison read over the wire by another process, against the same one in Python,
                                interleaved; the median
  memory_after_100_over_before  the server's memory after 100 comparisons, over what it was
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import resource
import shutil
import statistics
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import httpx
import torch
import uvicorn
from common import finish, interleaved, ratio, say
from playwright.sync_api import sync_playwright
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import invivo
from invivo.engine.live import Model
from invivo.engine.living import wake
from invivo.journal import Journal
from invivo.model.load import Loaded
from invivo.model.organism import FRUITFLY
from invivo.surfaces.cli.serve import listen
from invivo.surfaces.server import PAGE, application
from invivo.surfaces.server.desk import Desk

PROMPT = "Once upon a time there was a little fox who"
PLAN = {"prompt": PROMPT, "tweaks": ["zero head 3.5"], "decoding": {"max_new_tokens": 40}}
SHORT = PLAN | {"decoding": {"max_new_tokens": 8}}
DEEP, LAYERS, TOKENS = "deep", 48, 128
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SLOW = 600_000  # ms, on a busy machine


def deep() -> Any:
    """A random model of as many layers as the grid has rows. What it says does not matter."""
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FRUITFLY)
    config = GPT2Config(
        n_embd=32, n_layer=LAYERS, n_head=2, n_positions=512, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0
    )
    return Model(wake(Loaded(GPT2LMHeadModel(config).eval(), tokenizer, DEEP, "random")))


def size_kb() -> float:
    """JS and CSS as they go over the wire, in kB."""
    return sum(len(gzip.compress((PAGE / name).read_bytes())) for name in ("page.js", "page.css")) / 1000


@cache
def client(address: str) -> httpx.Client:
    """A connection that stays open, as a browser's does."""
    return httpx.Client(base_url=address, timeout=SLOW / 1000)


def streamed(address: str, plan: Any) -> None:
    """A comparison over the wire, read to its end."""
    with client(address).stream("POST", "/api/compare", json=plan) as answer:
        for _ in answer.iter_lines():
            pass


def memory() -> int:
    """Resident memory now, in bytes; the peak where the system does not tell."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


class Clock:
    """CPU time of a page's main thread: what else the machine does meanwhile is not in it."""

    def __init__(self, page: Any) -> None:
        self.page, self.session = page, page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def now(self) -> float:
        """Milliseconds of all tasks so far."""
        told = self.session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(one["value"] for one in told if one["name"] == "TaskDuration")

    def settled(self) -> float:
        """The same after what was asked for is on the screen."""
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.now()


def grid(page: Any, address: str, model: Any, rounds: int) -> tuple[float, float]:
    """Milliseconds for showing the lens of the deep model, and for the longest step through it."""
    text = "the old king had a little dog and " * (TOKENS // 4)
    while len(model.tokens(text)) > TOKENS:
        text = text[:-1]
    plan = {"prompt": text, "tweaks": ["zero head 3.1"], "model": DEEP}
    state = quote(json.dumps({"e": plan, "lab": None, "depth": "bench", "row": 0}))
    page.goto("about:blank")
    page.goto(f"{address}/#{state}")
    lens, other = page.get_by_role("tab", name="Lens"), page.get_by_role("tab", name="Dose")
    lens.click()
    page.get_by_role("button", name="Read every layer", exact=True).click()
    canvas = page.get_by_role("tabpanel").locator("canvas").first
    canvas.wait_for(timeout=SLOW)
    clock, shown = Clock(page), []
    for _ in range(rounds):
        other.click()
        before = clock.settled()
        lens.click()
        canvas.wait_for()
        shown.append(clock.settled() - before)
    say(f"  showing the grids: {', '.join(f'{ms:.0f}' for ms in shown)} ms")
    sheet = page.get_by_role("tabpanel").get_by_role("application").first
    sheet.focus()
    steps = []
    for key in ("ArrowRight", "ArrowDown") * 20:
        before = clock.settled()
        page.keyboard.press(key)
        steps.append(clock.settled() - before)
    say(f"  a step through it: median {statistics.median(steps):.1f} ms, longest {max(steps):.1f}")
    return statistics.median(shown), max(steps)


def main() -> None:
    """Serve fruitfly, look at the page, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    gate, models = threading.Event(), {"fruitfly": invivo.load(), DEEP: deep()}

    def load(name: str) -> Any:
        gate.wait(60)
        return models[name]

    with TemporaryDirectory() as folder, sync_playwright() as play:
        listener = listen("127.0.0.1", 18700)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = application(Desk(list(models), load), journal=Journal(Path(folder) / "journal.db"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page, outside = chromium.new_page(reduced_motion="reduce"), []
        page.set_default_timeout(SLOW)
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else outside.append(r.url))
        page.goto(address)
        page.get_by_role("button", name="Run", exact=True).click(trial=True)
        first = not gate.is_set()
        gate.set()
        page.get_by_text("6 layers of 8 heads").wait_for()
        shown, step = grid(page, address, models[DEEP], rounds)
        chromium.close()
        model, plan = models["fruitfly"], invivo.Experiment.of(PLAN)
        # Who reads is another process, as a browser is: in this one, reading and serving would share one interpreter.
        with ProcessPoolExecutor(1, get_context("spawn")) as reader:

            def read(plan: Any) -> None:
                reader.submit(streamed, address, plan).result()

            works = {"over the wire": lambda: read(PLAN), "in Python": lambda: model.run(plan)}
            seconds = interleaved(works, rounds)
            for _ in range(20):
                read(SHORT)
            before = memory()
            for _ in range(100):
                read(SHORT)
            after = memory()
        server.should_exit = True
    finish(
        "page",
        {
            "js_css_gzip_kb": round(size_kb(), 1),
            "outside_requests": len(outside),
            "first_control_before_model": int(first),
            "lens_grid_ms": round(shown, 1),
            "walk_ms": round(step, 1),
            "streaming_over_python": ratio(seconds, *works),
            "memory_after_100_over_before": round(after / before, 3),
        },
    )


if __name__ == "__main__":
    main()
