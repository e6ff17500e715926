"""A program of its own that decrypts an OpenPGP message from its input to its output.

Belongs here: unlocking a private key, and the message. Does not belong here: starting the program and reading from it
(`pgp.py`).

The library holds Python's lock while it works, which on a large export is minutes, and it maps files into memory. As a
program between two pipes it does neither, and no decrypted byte touches a disk. It is started by its path, so it
imports nothing of this package. The first line of its input is `{"key_file": …, "passphrase": …}`; the last line of its
errors is a code.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pysequoia import PyDecryptor, Tsk, decrypt_file

_KEY_TYPE_MISSING = "No suitable decryption subkey"
_LOCKED = "secret key material is encrypted"
_NOT_FOR_US = "No key to decrypt message"


class Undecryptable(Exception):
    """Why a key or a message cannot be used: `code` is one of the codes in `pgp.py`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def unlock(key_file: Path, passphrase: str | None) -> PyDecryptor:
    """The private key in a file, armored or binary.

    Raises:
        Undecryptable: there is no such key, or it does not open with the passphrase.
    """
    try:
        key = Tsk.from_bytes(key_file.read_bytes())
    except (OSError, RuntimeError) as error:
        raise Undecryptable("pgp_key_unreadable") from error
    try:
        return key.decryptor()
    except RuntimeError as error:
        if _KEY_TYPE_MISSING in str(error):
            raise Undecryptable("pgp_key_unusable") from error
        if _LOCKED not in str(error) or passphrase is None:
            raise Undecryptable("pgp_passphrase_missing") from error
    try:
        return key.decryptor(passphrase)
    except RuntimeError as error:
        raise Undecryptable("pgp_passphrase_wrong") from error


def decrypt(key_file: Path, passphrase: str | None, source: str, target: str) -> None:
    """Decrypt from one path to another; what was written before damage was found stays there.

    Raises:
        Undecryptable: the key cannot be used, or the message is damaged or for another key.
    """
    key = unlock(key_file, passphrase)
    try:
        decrypt_file(source, target, decryptor=key)
    except RuntimeError as error:
        raise Undecryptable("pgp_other_key" if _NOT_FOR_US in str(error) else "pgp_damaged") from error


def main() -> int:
    """Decrypt standard input as its first line says."""
    line = b""
    # Byte by byte, since what follows is for another reader of the same pipe.
    while (one := os.read(0, 1)) not in {b"", b"\n"}:
        line += one
    request = json.loads(line)
    try:
        decrypt(Path(request["key_file"]), request["passphrase"], "/dev/fd/0", "/dev/fd/1")
    except Undecryptable as error:
        sys.stderr.write(f"{error.code}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
