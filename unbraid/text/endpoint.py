"""A captioner behind a URL that speaks the chat-completions protocol (OpenAI and the many servers that imitate it).

Pictures leave this machine: see docs/captions.md before sending those of real people.
"""

import base64
import json
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from typing import Any

import cv2

from unbraid.text.captioner import Question
from unbraid.text.captions import Fact

KEY = "UNBRAID_API_KEY"
LONGEST_WAIT = 60.0
BUSY = (408, 409, 425, 429)


class _PassingError(Exception):
    """A failure that may be gone at the next try; `wait` is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: following one would hand key and pictures to a place that nobody named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Endpoint:
    """Asks a model by URL, the questions of a batch at the same time.

    url: up to and with the version, such as http://localhost:8000/v1. key: sent as bearer token; by default what the
    environment variable UNBRAID_API_KEY holds. timeout: seconds per try. tries: per question, waiting `pause` seconds
    and then twice as long each time, or as long as the server asks (a minute at most). Sampling is off (temperature 0).

    A busy server (408, 409, 425, 429, 5xx), a lost connection and an answer that is no such JSON are tried again;
    everything else, and the last failure, raises ValueError with what the server said.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        most_tokens: int = 80,
        timeout: float = 120.0,
        tries: int = 6,
        pause: float = 1.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"endpoint {url!r} is no web address; expected one such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(f"the endpoint of {parts.hostname} must be a plain address; a key belongs in {KEY}")
        if tries < 1 or most_tokens < 1 or timeout <= 0:
            raise ValueError(f"tries = {tries}, most_tokens = {most_tokens} and timeout = {timeout} must be positive")
        self.name = model
        self.settings: Mapping[str, Fact] = {"by": "endpoint", "host": parts.netloc, "most_tokens": most_tokens}
        base = url.rstrip("/")
        self.url = base if base.endswith("/chat/completions") else f"{base}/chat/completions"
        self.key = os.environ.get(KEY, "") if key is None else key
        if not self.key.isascii() or any(letter.isspace() for letter in self.key.strip()):
            raise ValueError(f"the key in {KEY} holds a character that no key has; set it again")
        if self.key and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"{KEY} would travel unencrypted to {parts.hostname}; use https, or unset {KEY}")
        self.most_tokens, self.timeout, self.tries, self.pause = most_tokens, timeout, tries, pause
        self.opener = urllib.request.build_opener(_NoRedirect)

    def __call__(self, questions: Sequence[Question]) -> Iterator[tuple[int, str]]:
        """Answers as they come. After a failure the other questions under way are still answered, then it is raised;
        those that wait for another try give up."""
        stop = threading.Event()
        failure: ValueError | None = None
        with ThreadPoolExecutor(max_workers=max(len(questions), 1)) as pool:
            numbers = {pool.submit(self._answer, question, stop): n for n, question in enumerate(questions)}
            try:
                for done in as_completed(numbers):
                    try:
                        answer = done.result()
                    except ValueError as error:
                        stop.set()
                        failure = failure or error
                    else:
                        yield numbers[done], answer
            finally:
                stop.set()
        if failure is not None:
            raise failure

    def _answer(self, question: Question, stop: threading.Event) -> str:
        body = json.dumps(self._request(question)).encode()
        for number in range(self.tries):
            try:
                return self._try(body)
            except _PassingError as error:
                if number + 1 == self.tries or stop.is_set():
                    raise ValueError(
                        f"{self.url} failed {number + 1} times, last with: {error}. "
                        f"What was answered is kept; the same command goes on"
                    ) from error
                stop.wait(min(self.pause * 2**number if error.wait is None else error.wait, LONGEST_WAIT))
        raise ValueError(f"{self.url} was never asked")

    def _request(self, question: Question) -> dict[str, Any]:
        pictures = [{"type": "image_url", "image_url": {"url": data_url(frame)}} for frame in question.frames]
        content: Any = [*pictures, {"type": "text", "text": question.text}] if pictures else question.text
        return {
            "model": self.name,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": self.most_tokens,
        }

    def _try(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key.strip()}"
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        try:
            with self.opener.open(request, timeout=self.timeout) as reply:
                said = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                text = " ".join(error.read(500).decode(errors="replace").split())
            message = f"HTTP {error.code} {error.reason}: {text}"
            if error.code in BUSY or error.code >= 500:
                raise _PassingError(message, _seconds(error.headers.get("Retry-After"))) from error
            raise ValueError(f"{self.url} refuses: {message}{_advice(error.code)}") from error
        except (OSError, HTTPException) as error:
            raise _PassingError(str(getattr(error, "reason", error)) or type(error).__name__) from error
        try:
            content = json.loads(said)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise _PassingError(f"an answer without choices[0].message.content: {said[:200]!r}") from error
        if content is not None and not isinstance(content, str):
            raise _PassingError(f"an answer that is no text: {said[:200]!r}")
        return content or ""


def data_url(frame: Any) -> str:
    """An H W 3 uint8 RGB picture as a JPEG (quality 95) in a data URL."""
    coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def _seconds(value: str | None) -> float | None:
    """A Retry-After header in seconds; None for none, or for a date."""
    try:
        return max(float(value), 0.0) if value else None
    except ValueError:
        return None


def _advice(code: int) -> str:
    if code in (401, 403):
        return f". Set {KEY} to a key that may use this model"
    if code == 404:
        return ". Is the address complete (such as .../v1), and does the server know this model?"
    return ". Redirects are not followed; name the address itself" if 300 <= code < 400 else ""
