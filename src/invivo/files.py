"""A file written whole or not at all, for files that belong to the user.

A post may be a link into a repository, have a mode somebody chose, and be open in an editor: its new text is written
beside it, forced to disk and renamed over it, so that a reader, or a power cut, finds the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import InvivoError

HINTS = {
    errno.ENOSPC: "free some space, then run it again; nothing was lost",
    errno.EDQUOT: "free some space, then run it again; nothing was lost",
    errno.ENOENT: "make the folder first, or choose one that exists",
    errno.ENOTDIR: "one of the folders on the way is a file",
    errno.EISDIR: "give the name of a file, not of a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def mishaps(doing: str, path: Path) -> Iterator[None]:
    """What goes wrong with a file inside, as an InvivoError with a next step; `doing` is a verb such as `write`."""
    try:
        yield
    except OSError as error:
        raise InvivoError(
            f"cannot {doing} {path}: {error.strerror or error}",
            hint=HINTS.get(error.errno or 0, "choose a place that you may write in"),
        ) from None


def read(path: Path) -> bytes:
    """The content of a file; a device, which may never end, is refused. Raises InvivoError."""
    with mishaps("read", path):
        if path.is_char_device() or path.is_block_device():
            raise InvivoError(f"cannot read {path}: it is a device", hint="give the name of a file")
        return path.read_bytes()


def replace(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`. A link is followed and a file keeps its mode. Raises InvivoError."""
    with mishaps("write", path):
        target = Path(os.path.realpath(path))
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        if target.exists() and not target.is_dir() and not target.is_file():  # a device would be gone for everybody
            raise InvivoError(f"cannot write {path}: it is not a regular file", hint="give the name of a file")
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if mode is not None and not os.access(target, os.W_OK):  # renaming over it would not ask
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        part = target.with_name(f".{secrets.token_hex(6)}.part")
        try:
            with open(part, "xb") as file:  # noqa: PTH123 - "x": the name is new; the umask decides a new file's mode
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                part.chmod(mode)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _settle(target.parent)


def _settle(folder: Path) -> None:
    """Force the rename itself to disk, where a folder can be opened at all."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
