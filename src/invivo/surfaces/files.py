"""The user's text files: a prompt, a recipe, a config. What is in them is the caller's business."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import BadText


def read_text(path: Path | str, what: str) -> str:
    """The text of a file, or of stdin when `path` is `-`. Raises BadText when it is missing, or is not UTF-8."""
    name = "stdin" if str(path) == "-" else f"{str(path)!r}"
    try:
        if Path(path).is_char_device() or Path(path).is_block_device():
            raise BadText(f"the {what} {name} is a device", hint="give the name of a file, or - for stdin")
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except FileNotFoundError:
        raise BadText(f"there is no {what} {name}") from None
    except IsADirectoryError:
        raise BadText(f"the {what} {name} is a folder") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadText(
            f"the {what} {name} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}", hint="save it as UTF-8"
        ) from None
