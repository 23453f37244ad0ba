"""Record the run that the page opens on: `python page/record.py` writes page/public/recorded.json."""

from __future__ import annotations

from pathlib import Path

import invivo
from invivo.surfaces.server.desk import done, line

if __name__ == "__main__":
    result = invivo.run("02")
    Path(__file__).with_name("public").joinpath("recorded.json").write_bytes(line(done(result, 0.0)))
