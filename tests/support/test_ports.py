from __future__ import annotations

import socket

import pytest

from tests.support.ports import HeldPort


def test_a_server_may_listen_on_it_again_and_again() -> None:
    with HeldPort() as port:
        for _ in range(2):
            with (
                socket.create_server(("127.0.0.1", port.number)) as server,
                socket.create_connection(("127.0.0.1", port.number)) as there,
            ):
                here, _ = server.accept()
                with here:
                    there.sendall(b"x")
                    assert here.recv(1) == b"x"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port.number))


def test_nobody_else_gets_it() -> None:
    with HeldPort() as port, socket.socket() as hasty, pytest.raises(OSError, match="in use"):
        hasty.bind(("127.0.0.1", port.number))
    with socket.socket() as patient:
        patient.bind(("127.0.0.1", port.number))
