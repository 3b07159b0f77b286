"""An endpoint against a real local server."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.text.captioners import Chat, chat_server
from unbraid.text.captioner import Question, caption
from unbraid.text.captions import read_captions
from unbraid.text.endpoint import Endpoint
from unbraid.text.prompts import prompt


@pytest.fixture
def chat(monkeypatch) -> Iterator[Chat]:
    monkeypatch.delenv("UNBRAID_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with chat_server() as server:
        yield server


def test_endpoint_speaks_the_protocol(chat, tracklets, tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_API_KEY", "secret-7\n")
    ask = Endpoint(chat.url, "eyes-1", most_tokens=50)
    done = caption(tracklets, ("hair", "motion"), ask, tmp_path / "c", frames=2, batch=4)
    assert done.written == 10
    assert {request["path"] for request in chat.asked} == {"/v1/chat/completions"}
    assert {headers["Authorization"] for headers in chat.headers} == {"Bearer secret-7"}
    wanted = {(40 * n + 10, 40 * n + 30) for n in range(5)}
    assert {tuple(int(p.mean().round()) for p in chat.pictures(number)) for number in range(10)} == wanted
    for request in chat.asked:
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("eyes-1", 0, 50)
        [message] = request["messages"]
        assert message["role"] == "user"
        assert [part["type"] for part in message["content"]] == ["image_url", "image_url", "text"]
    text = (tmp_path / "c").read_text()
    assert "secret" not in text
    row = read_captions(tmp_path / "c")[0]
    assert row.text == f"The person is number {len(prompt(row.aspect, 2))} of many words."
    assert (row.source["model"], row.source["by"]) == ("eyes-1", "endpoint")


def test_colours_arrive_as_they_are(chat):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 255
    list(Endpoint(chat.url, "m")([Question("x", (picture,))]))
    assert np.abs(chat.pictures(0)[0].mean((0, 1)) - [255, 0, 0]).max() < 3
    list(Endpoint(chat.url + "/chat/completions", "m")([Question("only text")]))
    assert chat.asked[1]["messages"][0]["content"] == "only text"
    assert chat.asked[1]["path"] == "/v1/chat/completions"


def test_busy_servers_are_asked_again(chat):
    bad = [
        (429, {"Retry-After": "0"}, b"slow down"),
        (500, {}, b"oops"),
        (200, {}, b"{not json"),
        (200, {}, b'{"choices": []}'),
        (503, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, b""),
    ]
    chat.script = lambda number: bad[number] if number < len(bad) else None
    assert [text for _, text in Endpoint(chat.url, "m", pause=0.001)([Question("abc")])] == [
        "The person is number 3 of many words."
    ]
    assert len(chat.asked) == 6


def test_waiting_follows_the_server_and_doubles(chat, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", _counting(threading.Event.wait, waits))
    chat.script = lambda number: (429, {"Retry-After": "7"} if number == 1 else {}, b"") if number < 4 else None
    list(Endpoint(chat.url, "m", pause=100 / 64)([Question("abc")]))
    assert waits == [100 / 64, 7, 100 / 16, 100 / 8]


def _counting(real, waits):
    def wait(self, timeout=None):
        if timeout is not None and timeout > 1:
            waits.append(timeout)
            return False
        return real(self, timeout)

    return wait


@pytest.mark.parametrize(
    ("planned", "message", "requests"),
    [
        ((401, {}, b'{"error": "bad key"}'), 'HTTP 401 .*"bad key".*Set UNBRAID_API_KEY', 1),
        ((404, {}, b"no such model"), "HTTP 404 .*no such model. Is the address complete", 1),
        ((400, {}, b"max_tokens is not supported"), "refuses: HTTP 400 .*max_tokens is not supported", 1),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "HTTP 302 .*Redirects are not followed", 1),
        ((500, {}, b"broken"), "failed 3 times, last with: HTTP 500 .*broken.*the same command goes on", 3),
        ((200, {}, b'{"choices": [{"message": {"content": [1]}}]}'), "no text", 3),
    ],
)
def test_what_does_not_pass_is_told(chat, planned, message, requests):
    chat.script = lambda number: planned
    with pytest.raises(ValueError, match=message):
        list(Endpoint(chat.url, "m", pause=0.001, tries=3)([Question("abc")]))
    assert len(chat.asked) == requests


def test_lost_connections_and_slow_servers(chat):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ValueError, match=r"failed 2 times, last with: .*[Rr]efused"):
        list(Endpoint(f"http://127.0.0.1:{port}", "m", tries=2, pause=0.001)([Question("x")]))
    chat.reply = lambda text: time.sleep(0.5) or text
    with pytest.raises(ValueError, match="timed out"):
        list(Endpoint(chat.url, "m", tries=1, timeout=0.05)([Question("x")]))


def test_one_failure_keeps_the_answers_of_the_others(chat, tracklets, tmp_path):
    def script(number):
        time.sleep(0.02)
        text = json.dumps(chat.asked[number])
        return (400, {}, b"never") if "beard" in text and len(chat.answered) < 99 else None

    chat.script = script
    with pytest.raises(ValueError, match="never"):
        caption(tracklets[:2], ("hair", "pose"), Endpoint(chat.url, "m"), tmp_path / "c", batch=4)
    assert {(row.key, row.aspect) for row in read_captions(tmp_path / "c")} == {("k0", "pose"), ("k1", "pose")}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000/v1", "no web address"),
        ("file:///etc/passwd", "no web address"),
        ("http://me:pass@localhost/v1", "key belongs in UNBRAID_API_KEY"),
        ("http://example.org/v1", "unencrypted to example.org"),
    ],
)
def test_wrong_addresses(url, message, monkeypatch):
    monkeypatch.setenv("UNBRAID_API_KEY", "secret")
    with pytest.raises(ValueError, match=message) as error:
        Endpoint(url, "m")
    assert "pass@" not in str(error.value)
