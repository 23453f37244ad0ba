"""`invivo serve`: the page, on this machine."""

from __future__ import annotations

import contextlib
import socket
from typing import Annotated, Any

import typer

from . import talk
from .app import EXPERIMENTS, app
from .flags import AllowPickle, AllowRemoteCode, takes

PORT, NEXT = 8765, 20


@app.command(rich_help_panel=EXPERIMENTS)
@takes("device", "dtype")
def serve(
    flags: Any,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="A model to open; may be given again.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option("--port", metavar="N", min=1, max=65535, help="Where to listen.")] = PORT,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Another address than this machine's own needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TEXT", help="A secret that every request must bring.", show_default=False),
    ] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    allow_pickle: AllowPickle = False,
    allow_remote_code: AllowRemoteCode = False,
) -> None:
    """Open the page: look, change and compare in one gesture, on this machine alone."""
    from ...errors import Refused
    from ..server.guard import LOOPBACK

    if host not in LOOPBACK and not token:
        raise Refused(f"{host} can be reached from other machines", hint="give --token, a secret of your own")
    with contextlib.closing(listen(host, port)) as listener:
        import uvicorn

        import invivo

        from ..server import application
        from ..server.desk import Desk

        where: dict[str, Any] = {key: value.value for key, value in flags.items()}

        def load(name: str) -> Any:
            return invivo.load(name, allow_pickle=allow_pickle, allow_remote_code=allow_remote_code, **where)

        desk = Desk(models or ["fruitfly"], load)
        hosts = LOOPBACK if host in LOOPBACK else (*LOOPBACK, host)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        address += f"?token={token}" if token else ""
        talk.say(f"the page is at {address} (Ctrl-C stops it)")
        if browser:
            import threading
            import webbrowser

            threading.Timer(0.5, webbrowser.open, (address,)).start()
        server = application(desk, hosts=hosts, token=token)
        config = uvicorn.Config(server, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at that port. Raises Refused with the next free one."""
    from ...errors import Refused

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + NEXT, 65536)):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if candidate == port and error.errno not in (98, 48, 10048):  # in use: Linux, macOS, Windows
                raise Refused(f"cannot listen at {host}:{port}: {error.strerror}", hint="give another --port") from None
            continue
        if candidate != port:
            listener.close()
            raise Refused(f"port {port} is taken", hint=f"--port {candidate} is free")
        return listener
    raise Refused(f"ports {port} to {port + NEXT - 1} are taken", hint="give another --port")
