"""A real SFTP server for the tests, on a free port, gone afterwards.

Belongs here: starting and ending it over a folder, its keys, and how it may misbehave. Does not belong here: any expectation.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER = "exports"
PASSWORD = "sftp-password"


@dataclass
class SftpServer:
    """A running server.

    `on_read` is called with the offset before each read of a file; a ConnectionError from it breaks the connection. `logins`
    are the users who tried to log in.
    """

    port: int
    folder: Path
    known_hosts: Path
    client_key: Path
    on_read: Callable[[int], None] = lambda _: None
    connections: list[Any] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    def url(self, path: str = "") -> str:
        return f"sftp://{USER}@127.0.0.1:{self.port}/{path}"

    @property
    def settings(self) -> dict[str, Any]:
        """What InsightsSettings needs to use it."""
        return {"sftp_known_hosts": self.known_hosts, "sftp_password": PASSWORD}


@contextmanager
def sftp_server(folder: Path, beside: Path) -> Iterator[SftpServer]:
    """A server over a folder; its known_hosts and a client's key are written to `beside`."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key.write_private_key(str(beside / "client_key"))
    server = SftpServer(0, folder, beside / "known_hosts", beside / "client_key")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(_listen(server, host_key, client_key), loop).result()
    try:
        server.port = acceptor.get_port()
        public = host_key.export_public_key().decode()
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {public}")
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(acceptor), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(server: SftpServer, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            server.connections.append(conn)
            self.connection = conn

        def connection_lost(self, exc: Exception | None) -> None:
            server.connections.remove(self.connection)

        def begin_auth(self, username: str) -> bool:
            server.logins.append(username)
            return True

        def password_auth_supported(self) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return username == USER and key.public_data == client_key.public_data

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
            super().__init__(channel, chroot=str(server.folder).encode())

        def read(self, file_obj: object, offset: int, size: int) -> Any:
            try:
                server.on_read(offset)
            except ConnectionError:
                self.channel.get_connection().abort()
            return super().read(file_obj, offset, size)

    return await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Login, server_host_keys=[host_key], sftp_factory=Files, allow_scp=False
    )


async def _end(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
