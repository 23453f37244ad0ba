"""The command line as a whole: what `invivo` is called with, and how every mistake ends.

Commands live in the files beside this one and raise; `main` turns what they raise into `error:` and `hint:` on stderr
and an exit code: 2 for the user's mistakes, 130 for Ctrl-C, 1 for a fault of invivo. INVIVO_DEBUG=1 shows the
traceback. Nothing that is slow to import is imported here.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ...errors import BadText, InvivoError
from .talk import fail, say

EXPERIMENTS, LOOK, KEEP, SET_UP = "Experiments", "What there is", "What you keep", "Setting up"
ORDER = (
    "quickstart",
    "serve",
    "guide",
    "labs",
    "run",
    "copy",
    "replay",
    "compare",
    "sweep",
    "lens",
    "heads",
    "attribute",
    "eval",
    "show",
    "direction",
    "fruitfly",
    "models",
    "tokens",
    "sites",
    "tweaks",
    "metrics",
    "pictures",
    "directions",
    "train",
    "adapt",
    "journal",
    "config",
    "doctor",
    "selftest",
)
UsageError: Any = typer.BadParameter.__base__  # exported under this subclass only; its home has moved


class Stopped(InvivoError):
    """Ctrl-C. `what` says what was kept."""

    exit_code = 130


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in ORDER if name in self.commands]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped("stopped; this run was not finished and is not kept") from None


def _version(wanted: bool) -> None:
    if wanted:
        from ... import __version__

        sys.stdout.write(f"invivo {__version__}\n")
        raise typer.Exit


HELP_OPTIONS: Any = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings=HELP_OPTIONS,
    pretty_exceptions_enable=False,
)


def group(name: str, panel: str, what: str) -> typer.Typer:
    """A command with commands of its own; alone it shows its help."""
    inner = typer.Typer(help=what, context_settings=HELP_OPTIONS)
    inner.callback(invoke_without_command=True)(_help_alone)
    app.add_typer(inner, name=name, rich_help_panel=panel)
    return inner


def _help_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")


@app.callback(invoke_without_command=True)
def _invivo(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Experiments inside living language models: change one thing, compare BASE with TWEAK, keep a takeaway."""
    _help_alone(ctx)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Errors go to stderr in two lines, never as a traceback."""
    words = list(sys.argv[1:] if words is None else words)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character shows its escape
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        _check_utf8(words)
        code = app(args=words, prog_name="invivo", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as rich and Typer say it, where they notice first
    except Exception as error:
        if os.environ.get("INVIVO_DEBUG"):
            import traceback

            traceback.print_exc()
        return _told(error)


def _check_utf8(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:  # bytes that are not UTF-8 arrive as lone surrogates
            raise BadText(f"{word!r} is not UTF-8, from its character {error.start} on") from None


def _told(error: Any) -> int:
    """Tell an error on stderr; the exit code it ends with."""
    if isinstance(error, Stopped):
        say(error.what + (f"; {error.hint}" if error.hint else ""))
        return error.exit_code
    if isinstance(error, InvivoError):
        fail(error.what, error.hint)
        return error.exit_code
    if isinstance(error, UsageError):
        message = error.format_message().replace("Value error, ", "")
        where = error.ctx.command_path if error.ctx else "invivo"
        fail(message[:1].lower() + message[1:], f"`{where} --help` shows how it is used")
        return 2
    if isinstance(error, OSError):
        hints = {
            errno.ENOSPC: "make room, or write to another disk",
            errno.EROFS: "write to another folder",
            errno.EACCES: "write to a folder of yours",
            errno.EPERM: "write to a folder of yours",
        }
        what = error.strerror or str(error) or type(error).__name__
        fail(f"{what}: {error.filename!r}" if error.filename else what, hints.get(error.errno or 0))
        return 2
    fail(f"{type(error).__name__}: {error}", "this is a fault of invivo, not yours: INVIVO_DEBUG=1 shows where it is")
    return 1
