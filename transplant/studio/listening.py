"""The socket that the studio listens on, and its life until it is stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from transplant.errors import InputError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

GRACE_S = 1
"""Seconds that pages under way may still take when the studio is stopped."""


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens: nobody else can take its port from here on.

    Raises:
        InputError: a host that is not this machine's, or a port that is taken or not allowed.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
        # 127.0.0.1 before ::1, which a browser does not fall back from everywhere.
        family, kind, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"the host {host!r}", expected="a name or an address of this machine", found=error,
            hint="`host='127.0.0.1'`",
        ) from error  # fmt: skip
    listening = socket.socket(family, kind)
    try:
        if os.name == "posix":  # elsewhere it would share the port of a program that runs
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise _refused(host, port, error) from error
    return listening


def _refused(host: str, port: int, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(
            f"port {port} is taken", expected="a free one", found="another program listens on it",
            hint="`port=0`, which takes any that is free",
        )  # fmt: skip
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(f"port {port}", expected="one from 1024", found=error.strerror)
    return InputError(
        f"cannot listen on {host}:{port}", expected="an address of this machine",
        found=error.strerror, hint="`host='127.0.0.1'`",
    )  # fmt: skip


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answers until SIGINT or SIGTERM comes, which ends it within GRACE_S seconds."""
    with contextlib.suppress(KeyboardInterrupt), listening:
        server_of(app).run(sockets=[listening])


def server_of(app: ASGIApp) -> uvicorn.Server:
    """The server of an application; it tells nothing of itself, and believes no proxy."""
    import uvicorn

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=False,
        ws="none", lifespan="off", proxy_headers=False, timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE_S,
    )  # fmt: skip
    return uvicorn.Server(config)
