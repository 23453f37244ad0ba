"""Pictures of the page for the docs: a server on this machine, Debian's chromium, and what a newcomer does.

python docs/screenshots.py            write docs/page/*.png

Three depths, light and dark: Learn shows a lab with its text, Lab every head switched off in turn, Bench the lens of
BASE and TWEAK. Needs chromium and playwright (`pip install -e '.[test]'`). PNGs have a palette of 128 colours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import threading
from contextlib import closing
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import sync_playwright

from invivo.surfaces.cli.serve import listen

FOLDER = Path(__file__).with_name("page")
PROMPT = "Once upon a time there was a little fox who"
SHORT = "The king was very"
WIDE = 1360
TALL = {"learn": 900, "lab": 1330, "bench": 1400}
SLOW = 900_000  # ms, on a busy machine
COLOURS, MOST_BYTES = 128, 200_000


def shot(page: Any, name: str, tall: int) -> None:
    """The top of the page, so many pixels of it."""
    page.set_viewport_size({"width": WIDE, "height": tall})
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)  # ms, for what fades in
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    file = FOLDER / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{file}: {size:,} bytes are more than {MOST_BYTES:,}")


def learn(page: Any, address: str) -> None:
    """The first look: a lab with its text, on the run that was recorded."""
    page.goto(address)
    page.get_by_text("6 layers of 8 heads").wait_for()
    page.get_by_role("radio", name="Learn", exact=True).click()
    page.locator(".recorded").wait_for()


def lab(page: Any, address: str) -> None:
    """A comparison of one's own, with every head switched off in turn."""
    run(page, address, "lab", {"prompt": PROMPT, "target": " lived", "tweaks": ["zero head 0.6"]})
    open_tab(page, "Heads", "Switch off every head in turn")


def bench(page: Any, address: str) -> None:
    """The lens of BASE and TWEAK."""
    run(page, address, "bench", {"prompt": SHORT, "target": " sad", "tweaks": ["zero L1.mlp_out at -2"]})
    open_tab(page, "Lens", "Read every layer")


def run(page: Any, address: str, depth: str, plan: dict[str, Any]) -> None:
    """Open the page on an experiment, as a link does, run it, and wait for its texts."""
    plan |= {"decoding": {"max_new_tokens": 24}}
    state = quote(json.dumps({"e": plan, "lab": None, "depth": depth, "row": 0}))
    page.goto("about:blank")
    page.goto(f"{address}#{state}")
    page.get_by_text("6 layers of 8 heads").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".parted").first.wait_for()


def open_tab(page: Any, tab: str, door: str) -> None:
    """A look at where it happened, until it is complete."""
    page.get_by_role("tab", name=tab).click()
    button = page.get_by_role("button", name=door, exact=True)
    button.click()
    page.get_by_role("tabpanel").locator("figure").first.wait_for()
    button.and_(page.locator(":enabled")).wait_for()


def take(address: str) -> None:
    """Every picture, from a server that runs."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            look: Any = {"color_scheme": scheme, "reduced_motion": "reduce"}
            page = chromium.new_page(viewport={"width": WIDE, "height": TALL["learn"]}, **look)
            page.set_default_timeout(SLOW)
            for made in (learn, lab, bench):
                made(page, address)
                shot(page, f"{made.__name__}-{scheme}", TALL[made.__name__])
            page.close()
        chromium.close()


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", metavar="URL", help="a server of fruitfly that runs already")
    address = parser.parse_args().address
    if address:
        take(address)
        return
    with TemporaryDirectory() as folder, closing(listen("127.0.0.1", 18300)) as listener:
        import uvicorn

        import invivo
        from invivo.journal import Journal
        from invivo.surfaces.server import application
        from invivo.surfaces.server.desk import Desk

        app = application(Desk(["fruitfly"], invivo.load), journal=Journal(Path(folder) / "journal.db"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        take(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        server.should_exit = True


if __name__ == "__main__":
    main()
