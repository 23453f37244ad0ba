"""How light the page is, in a real browser: sizes, foreign requests, the first control, streaming, memory.

python benchmarks/page.py [--rounds N]

Needs Debian's chromium and playwright (`pip install -e '.[test]'`). Prints one JSON line.
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
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn
from playwright.sync_api import sync_playwright

import invivo
from invivo.journal import Journal
from invivo.surfaces.cli.serve import listen
from invivo.surfaces.server import PAGE, application
from invivo.surfaces.server.desk import Desk

PROMPT = "Once upon a time there was a little fox who"
PLAN = {"prompt": PROMPT, "tweaks": ["zero head 3.5"], "decoding": {"max_new_tokens": 40}}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def size_kb() -> float:
    """JS and CSS as they go over the wire, in kB."""
    return sum(len(gzip.compress((PAGE / name).read_bytes())) for name in ("page.js", "page.css")) / 1000


def streamed(client: httpx.Client) -> float:
    """Seconds of a comparison over the wire, read to its end."""
    start = time.perf_counter()
    with client.stream("POST", "/api/compare", json=PLAN) as answer:
        for _ in answer.iter_lines():
            pass
    return time.perf_counter() - start


def direct(model: Any) -> float:
    """Seconds of the same comparison in Python."""
    start = time.perf_counter()
    model.run(invivo.Experiment.of(PLAN))
    return time.perf_counter() - start


def memory() -> int:
    """Resident memory now, in bytes; the peak where the system does not tell."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


def main() -> None:
    """Serve fruitfly, look at the page, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    gate, model = threading.Event(), invivo.load()

    def load(_: str) -> Any:
        gate.wait(60)
        return model

    with TemporaryDirectory() as folder, sync_playwright() as play:
        listener = listen("127.0.0.1", 18700)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = application(Desk(["fruitfly"], load), journal=Journal(Path(folder) / "journal.db"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page, outside = chromium.new_page(), []
        page.on("request", lambda r: None if r.url.startswith(address) else outside.append(r.url))
        page.goto(address)
        page.get_by_role("button", name="Run", exact=True).wait_for()
        first = not gate.is_set()
        gate.set()
        page.get_by_text("6 layers of 8 heads").wait_for()
        with httpx.Client(base_url=address, timeout=120) as client:
            streamed(client), direct(model)  # warm
            ratios = [streamed(client) / direct(model) for _ in range(rounds)]
            for _ in range(10):
                streamed(client)
            before = memory()
            for _ in range(100):
                streamed(client)
            after = memory()
        chromium.close()
        server.should_exit = True
    told = {
        "js_css_gzip_kb": round(size_kb(), 1),
        "outside_requests": len(outside),
        "first_control_before_model": int(first),
        "streaming_over_python": round(statistics.median(ratios), 3),
        "memory_after_100_over_before": round(after / before, 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
