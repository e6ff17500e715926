"""A bucket of S3 as the place where bodies become durable: each group is an object, durable when its PUT has an answer.

Belongs here: puts, their repeats and what their answers mean. Does not belong here: gathering (`group_commit.py`), the
client (`object_store.py`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import IO, Final

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from capillary_adobe.landing.receiver.naming import Names
from capillary_adobe.landing.receiver.outcome import Rhythm, Unwritten
from capillary_adobe.landing.store import ASIDE, EVENTS, LandingError
from capillary_adobe.object_store import keeps_what_is_there, reason, s3_client, status_of
from capillary_adobe.s3_address import S3Address
from capillary_adobe.settings import ReceiverSettings

_LINES: Final = ".jsonl"
_MOST_LINES: Final = 16_384
# A put costs 1.4 ms of CPU, which the requests need too: a hundred a second leave them 86 % of a core.
_APART_SECONDS: Final = 0.01
_MOST_ASIDES: Final = 8
_CONNECT_SECONDS: Final = 5.0
_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 1.0
# What an object that is there already is answered with; 409 while another write of the same key is under way.
_TAKEN: Final = {409, 412}
_WORTH_ANOTHER_TRY: Final = {408, 409, 412, 429}
# The threads are those of the receiver; parts one by one keep memory at one part.
_PARTS: Final = TransferConfig(use_threads=False)


class BucketPlace:
    """A bucket, or a prefix in one. Any thread may call."""

    roll_seconds: float | None = None

    def __init__(self, url: str, settings: ReceiverSettings) -> None:
        self._address = S3Address.parse(url, "LANDING_URL")
        self._client = s3_client(
            connect_seconds=min(_CONNECT_SECONDS, settings.commit_seconds / 2),
            # An answer that got lost must leave time to ask again.
            read_seconds=settings.commit_seconds / 2,
            attempts=1,
        )
        # It would ask the store whether to go on, and wait: a second round trip for every object, useless at this size.
        self._client.meta.events.unregister("before-call.s3", add_expect_header)
        self._names = Names()
        self._commit_seconds = settings.commit_seconds
        self._condition: dict[str, str] = {}
        self.lines = Rhythm(
            at_once=settings.commits_at_once,
            events=settings.group_events,
            seconds=settings.group_seconds,
            most=max(_MOST_LINES, settings.group_events),
            apart=_APART_SECONDS,
        )
        self.asides = Rhythm(at_once=2, events=_MOST_ASIDES, seconds=0.0, most=_MOST_ASIDES)

    def open(self) -> None:
        """Make sure that it can be written, and learn whether it refuses to replace.

        Raises:
            LandingError: there is no folder for large bodies.
            ObjectStoreError: the bucket cannot be written.
        """
        try:
            tempfile.gettempdir()
        except FileNotFoundError as error:
            raise LandingError(
                "No folder can be written in which a large body waits until it is whole. Set TMPDIR to one."
            ) from error
        if keeps_what_is_there(self._client, self._address):
            self._condition = {"IfNoneMatch": "*"}

    def write_lines(self, bodies: list[bytes], deadline: float, /) -> None:
        """Put lines as one object. Raises Unwritten."""
        self._put(self._names.key(EVENTS, _LINES), b"\n".join(bodies) + b"\n", deadline)

    def write_asides(self, bodies: list[tuple[bytes, str]], deadline: float, /) -> None:
        """Put each body as an object of its own. Raises Unwritten."""
        for body, why in bodies:
            self._put(self._names.key(ASIDE, f".{why}"), body, deadline)

    def _put(self, name: str, data: bytes, deadline: float) -> None:
        place = self._at(name)
        self._repeated(
            lambda: self._client.put_object(**place, Body=data, **self._condition),
            deadline,
            is_done=lambda failure: self._is_there(place, failure, len(data)),
        )

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._address.bucket, "Key": self._address.key(name)}

    def _repeated(self, call: Callable[[], object], deadline: float, is_done: Callable[[Exception], bool]) -> None:
        wait = _FIRST_WAIT_SECONDS
        repeated = False
        while (failure := _failure_of(call)) is not None:
            if repeated and is_done(failure):
                return
            if not _worth_another_try(failure) or time.monotonic() + wait > deadline:
                raise Unwritten(reason(failure)) from failure
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
            repeated = True

    def _is_there(self, place: dict[str, str], failure: Exception, size: int) -> bool:
        """Whether an earlier try, whose answer was lost, had stored the object: no other receiver gives its name."""
        if not (isinstance(failure, ClientError) and status_of(failure) in _TAKEN):
            return False
        try:
            return self._client.head_object(**place)["ContentLength"] == size
        except (BotoCoreError, ClientError):
            return False

    def spool(self) -> BucketSpool:
        """Begin a large body. Raises Unwritten."""
        try:
            return BucketSpool(self)
        except OSError as error:
            raise _not_spooled(error) from error

    def upload(self, file: IO[bytes], why: str) -> None:
        """Put a large body, in parts. Raises Unwritten."""
        place = self._at(self._names.key(ASIDE, f".{why}"))

        def upload() -> None:
            file.seek(0)
            self._client.upload_fileobj(file, place["Bucket"], place["Key"], Config=_PARTS)

        # Parts are put without a condition, so a repeat replaces what it had stored itself.
        self._repeated(upload, time.monotonic() + self._commit_seconds, is_done=lambda _: False)

    def settle(self) -> None:
        """Nothing: what is durable is visible."""

    def roll(self) -> None:
        """Nothing, for the same reason."""

    def tend(self) -> None:
        """Nothing: an object is whole or not there."""

    def probe(self) -> None:
        """Find out whether it can be written again. Raises Unwritten."""
        place = self._at(self._names.hidden(".probe"))
        try:
            self._client.put_object(**place, Body=b"")
            self._client.delete_object(**place)
        except (BotoCoreError, ClientError) as error:
            raise Unwritten(reason(error)) from error

    def oldest(self) -> float | None:
        """None: what is durable is visible."""
        return None

    def close(self) -> None:
        """Give up the connections."""
        self._client.close()


class BucketSpool:
    """A large body in a file without a name, until it is whole."""

    def __init__(self, place: BucketPlace) -> None:
        self._place = place
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the body comes in

    def append(self, piece: bytes) -> None:
        """Add a piece. Raises Unwritten."""
        try:
            self._file.write(piece)
            # What is kept back would fail at the upload, as if the store had.
            self._file.flush()
        except OSError as error:
            raise _not_spooled(error) from error

    def land(self, why: str) -> None:
        """Put it as an object of its own. Raises Unwritten."""
        self._place.upload(self._file, why)

    def discard(self) -> None:
        """Forget the file."""
        self._file.close()


def _not_spooled(error: OSError) -> Unwritten:
    # The operator looks at the bucket otherwise.
    return Unwritten(f"{error.strerror or type(error).__name__} in {tempfile.gettempdir()}")


def _failure_of(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except (BotoCoreError, ClientError, Boto3Error, OSError) as error:
        return error
    return None


def _worth_another_try(failure: Exception) -> bool:
    if not isinstance(failure, ClientError):
        return True
    status = status_of(failure)
    return status >= 500 or status in _WORTH_ANOTHER_TRY
