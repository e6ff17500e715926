"""The answers that the receiver gives, and how a request can end.

Belongs here: statuses, texts and the names of outcomes. Does not belong here: who gets which (`app.py`).

Capillary never sends again what was answered 400 and documents 429 as the answer that it does send again after
(docs.capillarytech.com/docs/event-notification); the fate of most other answers is published nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from capillary_adobe.settings import ReceiverSettings

# Outcomes of requests, as the metric `requests` names them.
LANDED: Final = "landed"
ASIDE: Final = "aside"
REFUSED: Final = "refused"
NOT_LANDED: Final = "not_landed"
ABORTED: Final = "aborted"
TIMED_OUT: Final = "timed_out"
ELSEWHERE: Final = "elsewhere"

# Reasons beside those of the durable core and of the credentials.
STARTING: Final = "starting"
STOPPING: Final = "stopping"
UNEXPECTED: Final = "unexpected"
MALFORMED: Final = "malformed"
HEADERS_ENDLESS: Final = "headers_endless"

CONNECTION: Final = "capillary_adobe.connection"
"""Name under which the application finds the connection of a request in its scope's extensions."""

_CLOSE: Final = (b"connection", b"close")


@dataclass(frozen=True)
class Answer:
    """An answer made once and given many times."""

    start: dict[str, Any]
    body: dict[str, Any]

    @classmethod
    def of(cls, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> Answer:
        """An answer of one line of text."""
        return cls(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", str(len(text)).encode()),
                    *headers,
                ],
            },
            {"type": "http.response.body", "body": text},
        )

    def closing(self) -> Answer:
        """The same, after which the connection is closed."""
        return Answer({**self.start, "headers": [*self.start["headers"], _CLOSE]}, self.body)

    def raw(self) -> bytes:
        """As bytes, where no application is asked."""
        status = self.start["status"]
        head = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        head += [b"%s: %s" % header for header in self.start["headers"]]
        return b"\r\n".join([*head, b"", self.body["body"]])


@dataclass(frozen=True)
class Answers:
    """Every answer to a POST of events."""

    landed: Answer
    later: Answer
    later_closing: Answer
    refused: Answer
    refused_closing: Answer

    @classmethod
    def of(cls, settings: ReceiverSettings) -> Answers:
        """As the settings want them."""
        retry = (b"retry-after", str(settings.retry_after_seconds).encode())
        later = Answer.of(HTTPStatus.TOO_MANY_REQUESTS, b"not landed, send again\n", retry)
        refused = Answer.of(settings.refused_status, b"refused\n", retry)
        return cls(Answer.of(HTTPStatus.OK, b"landed\n"), later, later.closing(), refused, refused.closing())
