"""Places of exports: a folder, a bucket and an SFTP server give the same files, and say plainly where they cannot."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from capillary_adobe.capillary.insights.places import Place, PlaceError, PlaceUnavailable, open_place
from capillary_adobe.settings import InsightsSettings
from capillary_adobe_tests.s3_faults import Fault, FaultyS3, Request, faulty_s3
from capillary_adobe_tests.s3_servers import S3Server, moto_server
from capillary_adobe_tests.sftp_server import PASSWORD, SftpServer, sftp_server

# Nothing in it repeats: bytes that are taken twice or left out show.
DATA = random.Random(7).randbytes(10_000_000)  # noqa: S311
FILES = {"bills.zip": DATA, "Daily Txn/2026-01-05/bills of day.csv": b"a,b\n", "Daily Txn/leer.csv": b""}
LEFT_OUT = (".hidden", "_SUCCESS", "a.zip.filepart", "a.tmp", ".hid/a.csv", "b.csv.PART")


def insights(**values: Any) -> InsightsSettings:
    return InsightsSettings(_env_file=None, **values)  # type: ignore[call-arg]


@dataclass
class Kind:
    """A kind of place: how its address is made, how a file comes to be there, and the settings that it takes."""

    url: Callable[[str], str]
    put: Callable[[str, bytes], None]
    settings: InsightsSettings

    def place(self, path: str = "exports") -> Place:
        return open_place(self.url(path), self.settings)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    folder = tmp_path_factory.mktemp("served")
    with sftp_server(folder, tmp_path_factory.mktemp("keys")) as server:
        yield server


@pytest.fixture(scope="module")
def faulty() -> Iterator[FaultyS3]:
    with faulty_s3() as server:
        yield server


@pytest.fixture(params=["folder", "s3", "sftp"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        server.use(monkeypatch)
        bucket, client = server.bucket(), server.client()
        return Kind(
            lambda path: f"s3://{bucket}/{path}",
            lambda path, data: client.put_object(Bucket=bucket, Key=path, Body=data),
            insights(),
        )
    if request.param == "sftp":
        served: SftpServer = request.getfixturevalue("sftp")
        root = served.folder / tmp_path.name
        return Kind(
            lambda path: served.url(f"{tmp_path.name}/{path}"),
            lambda path, data: put(root, path, data),
            insights(**served.settings),
        )
    return Kind(lambda path: str(tmp_path / path), lambda path, data: put(tmp_path, path, data), insights())


def put(root: Path, path: str, data: bytes) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def refused(act: Callable[[], object], kind: type[PlaceError] = PlaceError) -> str:
    with pytest.raises(PlaceError) as error:
        act()
    assert type(error.value) is kind
    text = str(error.value)
    assert text.endswith(".")
    assert PASSWORD not in text
    return text


def test_files_of_a_place_and_its_folders(kind: Kind, tmp_path: Path) -> None:
    for name, data in {**FILES, **dict.fromkeys(LEFT_OUT, b"x")}.items():
        kind.put(f"exports/{name}", data)
    kind.put("exports2/other.csv", b"beside")
    place = kind.place()
    found = list(place.files())
    assert [(one.name, one.size) for one in found] == sorted((name, len(data)) for name, data in FILES.items())
    assert all(1.7e12 < one.changed_ms < 1e13 for one in found)
    for name, data in FILES.items():
        target = tmp_path / "fetched" / "one"
        assert place.fetch(name, target) == hashlib.sha256(data).hexdigest()
        assert target.read_bytes() == data
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == ["one"]


def test_a_single_file_is_a_place(kind: Kind, tmp_path: Path) -> None:
    kind.put("exports/bills.zip", DATA)
    kind.put("exports/bills.zip.sig", b"beside")
    place = kind.place("exports/bills.zip")
    assert [(one.name, one.size) for one in place.files()] == [("bills.zip", len(DATA))]
    assert place.fetch("bills.zip", tmp_path / "one") == hashlib.sha256(DATA).hexdigest()


def test_a_file_that_has_the_name_of_its_folder(kind: Kind, tmp_path: Path) -> None:
    kind.put("exports/exports", b"inner")
    assert kind.place().fetch("exports", tmp_path / "one") == hashlib.sha256(b"inner").hexdigest()


def test_a_file_that_is_gone(kind: Kind, tmp_path: Path) -> None:
    kind.put("exports/a.csv", b"x")
    target = tmp_path / "fetched" / "one"
    assert "b.csv" in refused(lambda: kind.place().fetch("b.csv", target))
    assert not target.exists()


@pytest.mark.parametrize("kind", ["folder", "sftp"], indirect=True)
def test_a_place_that_is_not_there(kind: Kind) -> None:
    assert "nowhere" in refused(lambda: list(kind.place("nowhere").files()))


@pytest.mark.parametrize("kind", ["folder"], indirect=True)
def test_no_room_for_what_is_fetched(kind: Kind, tmp_path: Path) -> None:
    kind.put("exports/a.csv", DATA)
    put(tmp_path, "file", b"")
    text = refused(lambda: kind.place().fetch("a.csv", tmp_path / "file" / "a"))
    assert "INSIGHTS_WORK_FOLDER" in text


def test_links_and_names_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path, "exports/a/b.csv", b"x")
    (tmp_path / "exports" / "a" / "circle").symlink_to(tmp_path / "exports")
    (tmp_path / "exports" / "link.csv").symlink_to(tmp_path / "exports" / "a" / "b.csv")
    (tmp_path / "exports" / "broken.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "exports" / "round.csv").symlink_to("round.csv")
    Path(os.fsdecode(os.fsencode(tmp_path / "exports") + b"/\xff.csv")).write_bytes(b"x")
    place = open_place(str(tmp_path / "exports"), insights())
    assert [one.name for one in place.files()] == ["a/b.csv", "link.csv"]


def test_a_path_that_cannot_be_looked_at(tmp_path: Path) -> None:
    place = open_place(str(tmp_path / ("x" * 300)), insights())
    assert "cannot be read (File name too long)" in refused(lambda: list(place.files()))


def test_links_at_a_server(sftp: SftpServer, tmp_path: Path) -> None:
    root = sftp.folder / tmp_path.name
    put(root, "a/b.csv", b"x")
    (root / "a" / "circle").symlink_to("..")
    (root / "link.csv").symlink_to("a/b.csv")
    (root / "broken.csv").symlink_to("nowhere")
    place = open_place(sftp.url(tmp_path.name), insights(**sftp.settings))
    assert [one.name for one in place.files()] == ["a/b.csv", "link.csv"]


@pytest.mark.parametrize("kind", ["folder", "sftp"], indirect=True)
def test_a_file_that_grows_while_it_is_fetched(kind: Kind, sftp: SftpServer, tmp_path: Path) -> None:
    name = tmp_path.name
    root = tmp_path if "sftp" not in kind.url("") else sftp.folder / name
    kind.put("exports/a.csv", DATA)
    path = root / "exports" / "a.csv"
    begun, ended = threading.Event(), threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            for _ in range(10_000):
                file.write(b"more\n")
                begun.set()
                if ended.wait(0.001):
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    begun.wait()
    target = tmp_path / "fetched" / "a"
    try:
        text = refused(lambda: kind.place().fetch("a.csv", target), PlaceUnavailable)
    finally:
        ended.set()
        writer.join()
    assert "still being written" in text
    assert list(target.parent.iterdir()) == []


def test_a_fetch_that_breaks_leaves_nothing_and_can_be_repeated(sftp: SftpServer, tmp_path: Path) -> None:
    put(sftp.folder, f"{tmp_path.name}/a.zip", DATA)
    place = open_place(sftp.url(tmp_path.name), insights(**sftp.settings))
    target = tmp_path / "fetched" / "a"

    def broken(offset: int) -> None:
        if offset > len(DATA) // 2:
            raise ConnectionError

    sftp.on_read = broken
    try:
        assert "a.zip" in refused(lambda: place.fetch("a.zip", target), PlaceUnavailable)
    finally:
        sftp.on_read = lambda _: None
    assert list(target.parent.iterdir()) == []
    assert place.fetch("a.zip", target) == hashlib.sha256(DATA).hexdigest()


def test_an_object_whose_connection_breaks_is_read_on_from_there(
    faulty: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.server.use(monkeypatch)
    bucket = faulty.server.bucket()
    faulty.server.client().put_object(Bucket=bucket, Key="exports/a.zip", Body=DATA)
    place = open_place(f"s3://{bucket}/exports", insights())
    faulty.heal()
    faulty.times(2, "cut", "GET", "a.zip")
    assert place.fetch("a.zip", tmp_path / "a") == hashlib.sha256(DATA).hexdigest()
    assert faulty.requests[0].ranged == ""
    assert all(one.ranged.startswith("bytes=") for one in faulty.requests[1:])
    denied = (403, "<Error><Code>AccessDenied</Code></Error>")
    faulty.fault = lambda request: denied if request.ranged else "cut"
    assert "AWS_ACCESS_KEY_ID" in refused(lambda: place.fetch("a.zip", tmp_path / "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_object_that_is_replaced_while_it_is_fetched(
    faulty: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.server.use(monkeypatch)
    bucket, client = faulty.server.bucket(), faulty.server.client()
    client.put_object(Bucket=bucket, Key="a.zip", Body=DATA)
    place = open_place(f"s3://{bucket}", insights())
    replaced = iter(range(1))

    def fault(request: Request) -> Fault | None:
        if request.ranged and next(replaced, None) is not None:
            client.put_object(Bucket=bucket, Key="a.zip", Body=bytes(len(DATA)))
        return "cut" if request.method == "GET" and not request.ranged else None

    faulty.fault = fault
    try:
        text = refused(lambda: place.fetch("a.zip", tmp_path / "a"), PlaceUnavailable)
    finally:
        faulty.heal()
    assert "still being written" in text


def test_a_bucket_that_is_not_there_refuses_or_does_not_answer(
    faulty: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.server.use(monkeypatch)
    nowhere = open_place("s3://no-such-bucket/x", insights())
    assert "Make the bucket" in refused(lambda: list(nowhere.files()))
    assert "Make the bucket" in refused(lambda: nowhere.fetch("a", tmp_path / "a"))
    faulty.times(100, (403, "<Error><Code>AccessDenied</Code></Error>"), "GET", "")
    assert "AWS_ACCESS_KEY_ID" in refused(lambda: list(nowhere.files()))
    faulty.times(100, (503, "<Error><Code>SlowDown</Code></Error>"), "GET", "")
    refused(lambda: list(nowhere.files()), PlaceUnavailable)
    faulty.heal()


def test_connections_are_closed(sftp: SftpServer, tmp_path: Path) -> None:
    put(sftp.folder, f"{tmp_path.name}/a.csv", b"x")
    place = open_place(sftp.url(tmp_path.name), insights(**sftp.settings))
    next(place.files())
    place.fetch("a.csv", tmp_path / "a")
    refused(lambda: place.fetch("b.csv", tmp_path / "b"))
    refused(lambda: list(open_place(sftp.url("nowhere"), insights(**sftp.settings)).files()))
    wait_until(lambda: not sftp.connections)


def wait_until(holds: Callable[[], bool]) -> None:
    ended = threading.Event()
    for _ in range(200):
        if holds():
            return
        ended.wait(0.05)
    raise AssertionError("still connected")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user@host/x",
        "https://host/x.zip",
        "sftp://host/x",
        "sftp://user@/x",
        "sftp://user@host:port/x",
        "sftp://us/er@host/x",
        "s3://B/x",
        "s3://bucket/a%20b",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    refused(lambda: open_place(url, insights()))


@pytest.mark.parametrize("secret", ["hidden", "hid@den", "hid/den", "hid#den", "hid:den"])
def test_an_address_with_a_password_is_refused_and_not_told(secret: str) -> None:
    text = refused(lambda: open_place(f"sftp://user:{secret}@host.example/exports", insights()))
    assert secret not in text
    assert "hid" not in text


def test_a_place_is_shown_as_its_address(sftp: SftpServer) -> None:
    for url in (sftp.url("a/b"), "sftp://u@h/~/x", "sftp://u@h:2222/", "s3://bucket/x", "folder/x"):
        assert str(open_place(url, insights())).rstrip("/") == url.rstrip("/")


def test_the_users_own_folder(sftp: SftpServer, tmp_path: Path) -> None:
    put(sftp.folder, f"{tmp_path.name}/a.csv", b"x")
    place = open_place(sftp.url(f"~/{tmp_path.name}"), insights(**sftp.settings))
    assert [one.name for one in place.files()] == ["a.csv"]


def test_a_key_in_place_of_a_password(sftp: SftpServer, tmp_path: Path) -> None:
    put(sftp.folder, f"{tmp_path.name}/a.csv", b"x")
    settings = insights(sftp_known_hosts=sftp.known_hosts, sftp_key_file=sftp.client_key)
    assert [one.name for one in open_place(sftp.url(tmp_path.name), settings).files()] == ["a.csv"]


def at_server(sftp: SftpServer, **values: Any) -> Callable[[], object]:
    settings = insights(**{**sftp.settings, **values})
    return lambda: list(open_place(sftp.url(), settings).files())


def test_a_server_whose_key_is_not_known_gets_no_password(sftp: SftpServer, tmp_path: Path) -> None:
    sftp.logins.clear()
    (tmp_path / "empty").write_text("")
    text = refused(at_server(sftp, sftp_known_hosts=tmp_path / "empty"))
    assert "ssh-keyscan" in text
    assert "SHA256:" in text
    public = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "other").write_text(f"[127.0.0.1]:{sftp.port} {public}")
    assert "another host key" in refused(at_server(sftp, sftp_known_hosts=tmp_path / "other"))
    assert "does not exist" in refused(at_server(sftp, sftp_known_hosts=tmp_path / "nowhere"))
    (tmp_path / "broken").write_text(f"[127.0.0.1]:{sftp.port} ssh-ed25519 AAA\n")
    assert "known hosts" in refused(at_server(sftp, sftp_known_hosts=tmp_path / "broken"))
    assert not sftp.logins


def test_a_user_whom_the_server_refuses(sftp: SftpServer, tmp_path: Path) -> None:
    assert "refuses the user" in refused(at_server(sftp, sftp_password="wrong"))
    assert "INSIGHTS_SFTP_PASSWORD" in refused(at_server(sftp, sftp_password=None))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "other"))
    assert "refuses the user" in refused(at_server(sftp, sftp_password=None, sftp_key_file=tmp_path / "other"))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "locked"), passphrase="secret")
    assert "passphrase" in refused(at_server(sftp, sftp_key_file=tmp_path / "locked"))
    (tmp_path / "text").write_text("no key")
    assert "no private key" in refused(at_server(sftp, sftp_key_file=tmp_path / "text"))
    assert "cannot be read" in refused(at_server(sftp, sftp_key_file=tmp_path / "nowhere"))


def test_a_server_that_cannot_be_reached(sftp: SftpServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = insights(**sftp.settings)
    text = refused(lambda: list(open_place(f"sftp://u@127.0.0.1:{port}/", settings).files()), PlaceUnavailable)
    assert "Nothing takes connections" in text
    refused(lambda: list(open_place("sftp://u@no-such-host.invalid/", settings).files()), PlaceUnavailable)


def test_a_server_that_does_not_answer(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capillary_adobe.capillary.insights.places.sftp_connection._CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sftp://u@127.0.0.1:{silent.getsockname()[1]}/"
        refused(lambda: list(open_place(url, insights(**sftp.settings)).files()), PlaceUnavailable)
