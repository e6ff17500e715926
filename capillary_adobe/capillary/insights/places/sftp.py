"""A folder of an SFTP server, or one file of it.

Belongs here: its address, listing, reading. Does not belong here: the connection (`sftp_connection.py`), what a listing
leaves out (`place.py`).

Insights+ exports to the brand's own SFTP server only, with a default folder in which each template has one:
docs.capillarytech.com/docs/create-ftp-server.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import paramiko

from capillary_adobe.capillary.insights.places.place import FoundFile, PlaceError, changed, is_left_out, store
from capillary_adobe.capillary.insights.places.sftp_connection import PORT, Server, connected, told
from capillary_adobe.settings import InsightsSettings

# One request carries so much; a window of them is asked for at once, and held in memory.
_REQUEST_BYTES: Final = 2**15
_WINDOW_BYTES: Final = 2**22
# Links are not followed into folders, so this bounds only what is deep by intent.
_MOST_FOLDERS: Final = 20


@dataclass(frozen=True)
class SftpPlace:
    """What lies under a path of a server, or the file that it names; each call connects anew."""

    server: Server
    path: str
    settings: InsightsSettings

    @classmethod
    def at(cls, url: str, settings: InsightsSettings) -> SftpPlace:
        """The place at `sftp://<user>@<host>[:port]/<path>`; a path that begins with `/~/` is below the user's own
        folder.

        Raises:
            PlaceError: the address is malformed, names no user, or holds a password.
        """
        shown = re.sub(r"//.*@", "//…@", url)
        try:
            parts = urlsplit(url)
            host, port, user = parts.hostname, parts.port or PORT, parts.username
        except ValueError as error:
            raise _malformed(shown) from error
        if parts.password is not None:
            raise PlaceError(
                f"The address {shown} holds a password, which logs and tables would tell. Leave it out of the address and set "
                "INSIGHTS_SFTP_PASSWORD."
            )
        if not host or not user:
            raise _malformed(shown)
        path = unquote(parts.path)
        path = f".{path[2:]}" if re.match(r"/~(/|$)", path) else path or "/"
        return cls(Server(host, port, unquote(user)), path.rstrip("/") or "/", settings)

    def __str__(self) -> str:
        below = f"/~{self.path[1:]}" if self.path.startswith(".") else self.path
        return f"sftp://{self.server}{below}"

    def files(self) -> Iterator[FoundFile]:
        """Every file, by name; links to files are followed, links to folders are not.

        Raises:
            PlaceError: the server refuses, or there is no such folder or file.
            PlaceUnavailable: the server does not answer.
        """
        with connected(self.server, self.settings) as sftp, told(str(self)):
            state = sftp.stat(self.path)
            if stat.S_ISDIR(state.st_mode or 0):
                found = sorted(self._walk(sftp, self.path, "", _MOST_FOLDERS))
            else:
                found = [_found(self.path.rpartition("/")[2], state)]
        yield from found

    def _walk(self, sftp: paramiko.SFTPClient, folder: str, prefix: str, depth: int) -> Iterator[FoundFile]:
        for entry in sftp.listdir_attr(folder):
            if is_left_out(entry.filename):
                continue
            path, name = f"{folder.rstrip('/')}/{entry.filename}", f"{prefix}{entry.filename}"
            mode = entry.st_mode or 0
            if stat.S_ISDIR(mode) and depth:
                yield from self._walk(sftp, path, f"{name}/", depth - 1)
            elif stat.S_ISREG(mode):
                yield _found(name, entry)
            elif stat.S_ISLNK(mode) and (linked := _stat_of_link(sftp, path)):
                yield _found(name, linked)

    def fetch(self, name: str, target: Path) -> str:
        """Store a file here, and give the hex SHA-256 of its bytes.

        Raises:
            PlaceError: it is gone or cannot be read, the server refuses, or there is no room for it here.
            PlaceUnavailable: the server does not answer, or the file changed meanwhile.
        """
        what = f"The export {name} at {self}"
        with connected(self.server, self.settings) as sftp:
            with told(what):
                is_folder = stat.S_ISDIR(sftp.stat(self.path).st_mode or 0)
                path = f"{self.path.rstrip('/')}/{name}" if is_folder else self.path
                before = _found(name, sftp.stat(path))

            def check(size: int) -> None:
                with told(what):
                    after = _found(name, sftp.stat(path))
                if size != before.size or after != before:
                    raise changed(name, self)

            return store(_blocks(sftp, path, before.size, what), target, check)


def _malformed(shown: str) -> PlaceError:
    return PlaceError(
        f"{shown} is no address of an SFTP server: give sftp://<user>@<host>[:port]/<folder>, and signs such as @ and # in the "
        "user's name as %40 and %23."
    )


def _blocks(sftp: paramiko.SFTPClient, path: str, size: int, what: str) -> Iterator[bytes]:
    """The bytes that the file had when it was looked at, and one more if it has grown: a writer may be faster than we."""
    with told(what), sftp.open(path, "rb") as file:
        for start in range(0, size, _WINDOW_BYTES):
            end = min(start + _WINDOW_BYTES, size)
            asked = [(at, min(_REQUEST_BYTES, end - at)) for at in range(start, end, _REQUEST_BYTES)]
            yield from file.readv(asked)
        file.seek(size)
        yield file.read(1)


def _stat_of_link(sftp: paramiko.SFTPClient, path: str) -> paramiko.SFTPAttributes | None:
    try:
        state = sftp.stat(path)
    except OSError:
        return None
    return state if stat.S_ISREG(state.st_mode or 0) else None


def _found(name: str, state: paramiko.SFTPAttributes) -> FoundFile:
    return FoundFile(name, state.st_size or 0, (state.st_mtime or 0) * 1000)
