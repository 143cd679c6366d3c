"""The client of supervisord, with and without an answer."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quartet_stack import stack
from quartet_stack.errors import StackError
from quartet_stack.layout import Layout
from quartet_stack.processes import daemon, supervisor
from quartet_stack.processes.supervisor import Supervisor

STATE = b"""<?xml version='1.0'?><methodResponse><params><param><value><struct>
<member><name>statename</name><value><string>RUNNING</string></value></member>
</struct></value></param></params></methodResponse>"""


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    (tmp_path / "run").mkdir()
    return Layout(tmp_path)


def test_without_supervisord_nothing_runs(place: Layout) -> None:
    assert not Supervisor(place).alive()
    assert Supervisor(place).processes() == []


def test_a_supervisord_that_does_not_answer_is_not_waited_for_without_end(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ANSWER_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.supervisor_socket))
        listener.listen()
        assert not Supervisor(place).alive()


def test_a_stack_whose_supervisord_does_not_answer_is_neither_called_stopped_nor_deleted(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "SILENT_SECONDS", 0.1)
    place.data.mkdir()
    assert stack.down(place) is False
    arguments = [sys.executable, "-c", "input()", "-c", str(place.run / daemon.CONFIGURATION)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as silent:
        try:
            (place.run / "supervisord.pid").write_text(f"{silent.pid}\n")
            for end in (stack.down, stack.clean):
                with pytest.raises(StackError, match=f"kill -KILL {silent.pid}"):
                    end(place)
            assert place.data.is_dir()
        finally:
            silent.kill()
    stack.clean(place)
    assert not place.data.exists()


def test_the_process_id_of_a_former_supervisord_may_be_that_of_anything(place: Layout) -> None:
    for text in (str(os.getpid()), "0", "none", "-1", str(2**40)):
        (place.run / "supervisord.pid").write_text(text)
        assert stack.down(place) is False


def test_each_request_has_a_connection_of_its_own_and_closes_it(place: Layout) -> None:
    ended: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.supervisor_socket))
        listener.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    request = b""
                    while b"</methodCall>\n" not in request:
                        request += connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(STATE), STATE))
                    ended.append(connection.recv(65536))  # empty once the client has closed its end

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = Supervisor(place)
        assert client.alive()
        assert client.alive()
        thread.join(5)
    assert ended == [b"", b""]
