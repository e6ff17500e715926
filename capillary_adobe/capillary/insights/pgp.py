"""OpenPGP messages, decrypted as a stream.

Belongs here: the program that decrypts (`decrypting.py`), fed and read; what to tell where it cannot. Does not belong
here: what is in a message (`opened.py`). Signatures are not judged: an export is trusted by where it arrived.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Final

from capillary_adobe.capillary.insights import decrypting
from capillary_adobe.capillary.insights.byte_stream import BLOCK_BYTES
from capillary_adobe.capillary.insights.decrypting import Undecryptable, unlock
from capillary_adobe.capillary.insights.unreadable import ExportInterrupted, ExportUnreadable
from capillary_adobe.settings import InsightsSettings

_KEY: Final = "INSIGHTS_PGP_KEY_FILE"
_PASSPHRASE: Final = "INSIGHTS_PGP_PASSPHRASE"  # noqa: S105 - the name of a setting

_OF_KEY: Final = {
    "pgp_key_unreadable": (
        f"{_KEY} cannot be read as a private key.",
        "Name a file that holds one, armored or binary, and that the user may read.",
    ),
    "pgp_key_unusable": (
        f"{_KEY} holds no private key that decrypts.",
        "Export the whole private key, such as with gpg --export-secret-keys.",
    ),
    "pgp_passphrase_missing": (f"The key of {_KEY} is locked.", f"Set {_PASSPHRASE}."),
    "pgp_passphrase_wrong": (f"The key of {_KEY} does not open.", f"Correct {_PASSPHRASE}."),
}
_OF_MESSAGE: Final = {
    "pgp_other_key": (
        f"It is encrypted for another key than that of {_KEY}.",
        "Give Capillary the public key that belongs to it, or name the key that Capillary has.",
    ),
    "pgp_damaged": (
        "It is damaged, cut short, or protected in a way that is no longer held safe.",
        "Send or export it again.",
    ),
}
_STOPPED: Final = "pgp_stopped"
_WHY: Final = {
    **_OF_KEY,
    **_OF_MESSAGE,
    _STOPPED: (
        "The program that decrypts was stopped.",
        "Import the file again; if it repeats, see that memory is free.",
    ),
}


@contextmanager
def decrypted(blocks: Iterable[bytes], name: str, settings: InsightsSettings) -> Iterator[Iterator[bytes]]:
    """The bytes of a message, armored or binary; nothing of the program is left afterwards.

    A message that is damaged shows when it has been read to its end: only then was all of it right.

    Raises:
        ExportUnreadable: no key is set, it cannot be used, or the message cannot be decrypted; so does the reading.
    """
    if settings.pgp_key_file is None:
        raise ExportUnreadable(
            "pgp_key_missing", f"The export {name} is encrypted with PGP. Set {_KEY} to the file of the private key."
        )
    program = [sys.executable, "-P", decrypting.__file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603 - no word of it is foreign
        feeding = _Feeding(process, blocks, _request(settings.pgp_key_file, settings))
        feeding.start()
        try:
            yield _read(process, feeding, name)
        finally:
            process.kill()
            feeding.join()


def key_fault(key_file: Path, passphrase: str | None) -> tuple[str, str]:
    """What is wrong with a private key, and the cure; both empty where it can be used."""
    try:
        unlock(key_file, passphrase)
    except Undecryptable as error:
        return _OF_KEY[error.code]
    return "", ""


def _request(key_file: Path, settings: InsightsSettings) -> bytes:
    secret = settings.pgp_passphrase
    words = {"key_file": str(key_file.absolute()), "passphrase": secret.get_secret_value() if secret else None}
    return json.dumps(words).encode() + b"\n"


class _Feeding(Thread):
    """Hands the message to the program; `error` is what came instead of its next bytes."""

    def __init__(self, process: subprocess.Popen[bytes], blocks: Iterable[bytes], request: bytes) -> None:
        super().__init__(name="pgp", daemon=True)
        self.error: BaseException | None = None
        self._blocks = blocks
        self._request = request
        self._to: IO[bytes] = _pipe(process.stdin)

    def run(self) -> None:
        # A program that has given up closes its end; what it says about it is read elsewhere.
        with suppress(BrokenPipeError), self._to:
            self._to.write(self._request)
            self._to.flush()
            try:
                for block in self._blocks:
                    self._to.write(block)
            except BrokenPipeError:
                raise
            except BaseException as error:  # noqa: BLE001 - it is raised where the message is read
                self.error = error


def _read(process: subprocess.Popen[bytes], feeding: _Feeding, name: str) -> Iterator[bytes]:
    output = _pipe(process.stdout)
    while block := output.read(BLOCK_BYTES):
        yield block
    said = _pipe(process.stderr).read().decode("utf-8", "replace").split()
    ended = process.wait()
    feeding.join()
    if feeding.error is not None:
        raise feeding.error
    if ended != 0:
        code = said[-1] if said and said[-1] in _WHY else _STOPPED
        kind = ExportInterrupted if code == _STOPPED else ExportUnreadable
        raise kind(code, f"The export {name} cannot be decrypted. {' '.join(_WHY[code])}")


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - all three were asked for
    return stream
