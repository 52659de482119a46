"""The port that the studio listens on."""

from __future__ import annotations

import socket

import pytest

from transplant.errors import InputError
from transplant.studio.config import StudioConfig
from transplant.studio.listening import open_socket


def test_a_port_that_is_taken_is_said_at_once():
    with open_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert port
        with pytest.raises(InputError, match=f"port {port} is taken"):
            open_socket("127.0.0.1", port)
    open_socket("127.0.0.1", port).close()  # it was given back


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.9", "a" * 400, "::zz"])
def test_a_host_that_is_not_ours_is_refused(host, monkeypatch):
    def unknown(name, *args, **options):
        if name == "no.such.host.invalid":  # asks nobody
            raise socket.gaierror("Name or service not known")
        return known(name, *args, **options)

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError, match="of this machine"):
        open_socket(host, 0)


@pytest.mark.parametrize("wrong", [{"port": 65536}, {"port": -1}, {"tokens": 0}, {"seconds": 0}])
def test_bounds_are_checked(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        StudioConfig(**wrong)
