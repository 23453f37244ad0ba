"""The desk: the models that were opened, and the line of those who wait for one. One run at a time.

All that touches a model happens in one thread, so the line is that thread's queue. A run that nobody listens to any
more stops at its next token or cell.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...errors import InvivoError, Refused, unknown
from ...experiment import Comparison
from ...experiment.result import Result
from ...spec import Spec
from .events import Done, Event, Failed, Queued, Started

LONGEST_LINE = 20
log = logging.getLogger(__name__)
Emit = Callable[[Event], None]
Work = Callable[[Any, Emit], Result]


class Left(BaseException):
    """Nobody listens any more. No handler of errors may swallow it."""


class Opened(Spec):
    """A model of the desk, as the page is told of it."""

    name: str
    """What it was opened as."""
    state: str
    """waiting, loading, ready or failed."""
    layers: int = 0
    """L."""
    heads: int = 0
    """H."""
    width: int = 0
    """D."""
    context: int = 0
    """How many tokens it reads at most."""
    sites: tuple[str, ...] = ()
    """Sites that it offers."""
    revision: str = ""
    """Which weights exactly."""
    device: str = ""
    """Where it runs."""
    what: str = ""
    """What went wrong."""
    hint: str = ""
    """What to do about it."""


class Desk:
    """`names`: the models that may be asked for; `load` wakes one. The first is loaded at once."""

    def __init__(self, names: Sequence[str], load: Callable[[str], Any]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.opened = {name: Opened(name=name, state="waiting") for name in self.names}
        self._load = load
        self._models: dict[str, Any] = {}
        self._line: list[_Ticket] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def open(self) -> None:
        """Begin to load the first model. Whoever asks meanwhile waits in line."""
        self._thread.submit(self._quietly, self.names[0])

    def close(self) -> None:
        """Let nobody wait any longer; the run that is on stops at its next token."""
        for ticket in list(self._line):
            ticket.left = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> int:
        """How many runs are on or wait."""
        return len(self._line)

    def check(self, name: str) -> str:
        """A model's name, where it is one of those that were opened. Raises UnknownName: no client names a path."""
        if name not in self.opened:
            error = unknown("model of this server", name, self.names, f"invivo serve --model {self.names[0]} --model …")
            error.field = "model"
            raise error
        return name

    def model(self, name: str) -> Any:
        """The model, loaded first where it is not yet. In the model's thread only."""
        if name not in self._models:
            self.opened[name] = Opened(name=name, state="loading")
            try:
                model = self._load(name)
            except InvivoError as error:
                self.opened[name] = Opened(name=name, state="failed", what=error.what, hint=error.hint or "")
                raise
            anatomy = model.living.anatomy
            self.opened[name] = Opened(
                name=name,
                state="ready",
                layers=anatomy.layers,
                heads=anatomy.size("z", "H", 0) or 0,
                width=anatomy.width,
                context=anatomy.context,
                sites=tuple(model.sites),
                revision=model.revision,
                device=f"{model.device}, {model.dtype}",
            )
            self._models[name] = model
        return self._models[name]

    async def stream(self, name: str, what: str, work: Work) -> AsyncIterator[bytes]:
        """Lines of JSON: its place in line, what it says while it runs, and what came out. Raises Refused when full."""
        self.check(name)
        if len(self._line) >= LONGEST_LINE:
            raise Refused(f"{LONGEST_LINE} runs are waiting", hint="wait for one of them, then run again")
        return self._told(name, what, work)

    async def _told(self, name: str, what: str, work: Work) -> AsyncIterator[bytes]:
        ticket = _Ticket(asyncio.get_running_loop())
        self._line.append(ticket)
        if len(self._line) > 1:
            ticket.put(Queued(ahead=len(self._line) - 1))
        self._thread.submit(self._work, ticket, name, what, work)
        try:
            while (event := await ticket.events.get()) is not None:
                yield line(event)
        finally:
            ticket.left = True

    async def ask(self, name: str, question: Callable[[Any], Any]) -> Any:
        """A quick answer from a model, such as a text's tokens; in line like every run."""
        self.check(name)
        return await asyncio.wrap_future(self._thread.submit(lambda: question(self.model(name))))

    def _quietly(self, name: str) -> None:
        try:
            self.model(name)
        except InvivoError:
            return  # told as its state
        except Exception as error:
            log.exception("loading %s", name)
            self.opened[name] = Opened(name=name, state="failed", what=f"{type(error).__name__}: {error}")

    def _work(self, ticket: _Ticket, name: str, what: str, work: Work) -> None:
        try:
            ticket.emit(Started(what=what if name in self._models else f"loading {name}"))
            model = self.model(name)
            begun = time.perf_counter()
            result = work(model, ticket.emit)
            ticket.put(done(result, time.perf_counter() - begun))
        except Left:
            pass
        except InvivoError as error:
            ticket.put(Failed(what=error.what, hint=error.hint, field=error.field))
        except Exception as error:
            log.exception(what)
            ticket.put(Failed(what=f"{type(error).__name__}: {error}", hint="this is a fault of invivo, not yours"))
        finally:
            self._line.remove(ticket)
            for ahead, other in enumerate(list(self._line)):
                if ahead:
                    other.put(Queued(ahead=ahead))
            ticket.put(None)


class _Ticket:
    """One run's way back to who asked for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.events, self.left = loop, asyncio.Queue[Event | None](), False

    def put(self, event: Event | None) -> None:
        """Hand an event over, from any thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)

    def emit(self, event: Event) -> None:
        """Hand an event over, or stop the run where nobody takes it."""
        if self.left:
            raise Left
        self.put(event)


def done(result: Result, seconds: float) -> Done:
    """What is told of a result."""
    compared = getattr(result, "comparison", result)
    return Done(
        kind=type(result).__name__,
        result=result.model_dump(mode="json"),
        document=result.document().model_dump(mode="json"),
        numbers=compared.numbers if isinstance(compared, Comparison) else {},
        seconds=round(seconds, 4),
    )


def line(event: Event) -> bytes:
    """An event as a line of JSON; a number that JSON does not have is null."""
    return event.model_dump_json().encode() + b"\n"
