"""Starting a server, and stopping it so that what is in hand is still answered."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from pipeline.config import Config
from pipeline.counted import counted
from pipeline.environment import usable_cores
from pipeline.errors import ConfigError, Problem, UsageError
from pipeline.executors.base import settle_workers
from pipeline.files import FileHashes
from pipeline.loading import model_hashes
from pipeline.server.app import create_app, photo_pool
from pipeline.server.connection import PatientProtocol
from pipeline.server.guard import LOOPBACK_NAMES, Guard, host_in_url, is_loopback

_STOP_SECONDS = 60
_BACKLOG = 128


def serve(config: Config, token: str | None, *, is_open: bool, announce: Callable[[str], None]) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Parameters
    ----------
    config
        ``server`` and ``execution.workers`` are used beside what shapes results.
    token
        What clients must send; None: nothing.
    is_open
        Whether an address that others reach may be served without a token.
    announce
        Told where the server listens.

    Raises
    ------
    ConfigError, ModelError, EngineError
        The configuration or a model is wrong; nothing was started.
    UsageError
        The address cannot be listened on.
    """
    guard = make_guard(config, token, is_open=is_open)
    known = FileHashes()
    model_hashes(config, known)
    workers = settle_workers(config, usable_cores())
    pool = photo_pool(config, workers, known)
    listener = listen(config.server.host, config.server.port)
    announce(f"listening on {address(listener)}, {counted(workers, 'worker')}")
    try:
        run_until_stopped(create_app(config, pool, guard), listener)
    finally:
        pool.close()  # after a second Ctrl-C nobody else has


def make_guard(config: Config, token: str | None, *, is_open: bool) -> Guard:
    """Say who may ask.

    Raises
    ------
    ConfigError
        Others than this machine could ask, and neither a token nor ``is_open`` says that they may.
    """
    host = config.server.host
    own = frozenset(name.lower() for name in config.server.allowed_hosts)
    if is_loopback(host):
        return Guard(LOOPBACK_NAMES | own | {host_in_url(host)}, config.server.allowed_origins, token)
    if token is None and not is_open:
        message = f"{host} can be reached by others: set UNCROP_TOKEN, or say --open if anybody may ask"
        raise ConfigError([Problem("config", "server.host", message)])
    return Guard(LOOPBACK_NAMES | own if own else (), config.server.allowed_origins, token)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket.

    Raises
    ------
    UsageError
        The address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        hint = (
            "choose another with --port" if error.errno == errno.EADDRINUSE else "choose another with --host"
        )
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}; {hint}") from error
    return listener


def address(listener: socket.socket) -> str:
    """URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host_in_url(host)}:{port}"


def run_until_stopped(app: ASGIApp, listener: socket.socket) -> None:
    """Serve on a socket until SIGINT or SIGTERM; requests in hand are finished first."""
    server = make_server(app)

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn raises a signal once more when it has stopped, for whoever handled it before: that is `stop`,
    # so that an end that was asked for is no failure.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def make_server(app: ASGIApp, *, stop_seconds: int = _STOP_SECONDS) -> uvicorn.Server:
    """Make what speaks HTTP; ``stop_seconds`` is how long requests in hand may take at the end."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=True,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=stop_seconds,
    )
    return uvicorn.Server(config)
