"""Opening exports: every packing that Insights+ has, and what an operator is told where one does not open."""

from __future__ import annotations

import gzip
import io
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
import pyzipper
from hypothesis import given
from hypothesis import strategies as st
from pysequoia import ArmorKind, Cert, Tsk, armor, encrypt

from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.opened import CsvFile, ExportUnreadable, open_export
from capillary_adobe.capillary.insights.rows import read_rows
from capillary_adobe.capillary.insights.unreadable import ExportInterrupted
from capillary_adobe.settings import InsightsSettings

TABLE = b"bill_id,note\n1,a\n2,b\n"
LARGE = b"bill_id,note\n" + b"".join(b"%d,%x\n" % (n, random.Random(n).getrandbits(256)) for n in range(20_000))  # noqa: S311
PASSWORD = "zip-password"
# A private key of GnuPG is locked in the way that this one is: RFC 9580, 3.7.
LOCKED = Path(__file__).with_name("locked_key.asc")
PASSPHRASE = "key-passphrase"


@pytest.fixture(scope="module")
def key() -> Tsk:
    return Tsk.generate("Exports <exports@example.com>")


@pytest.fixture
def settings(tmp_path: Path, key: Tsk) -> InsightsSettings:
    file = tmp_path / "key.asc"
    file.write_text(str(key))
    return given_settings(pgp_key_file=file, zip_password=PASSWORD)


def given_settings(**values: Any) -> InsightsSettings:
    return InsightsSettings(_env_file=None, **values)  # type: ignore[call-arg]


def read(data: bytes, settings: InsightsSettings, tmp_path: Path, name: str = "x.zip") -> dict[str, bytes]:
    path = tmp_path / "fetched"
    path.write_bytes(data)
    return {file.name: file.stream.read() for file in open_export(path, name, settings)}


def refused(data: bytes, settings: InsightsSettings, tmp_path: Path) -> ExportUnreadable:
    with pytest.raises(ExportUnreadable) as error:
        read(data, settings, tmp_path)
    text = str(error.value)
    assert "x.zip" in text
    assert PASSWORD not in text
    assert text.endswith(".")
    return error.value


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def aes_zipped(files: dict[str, bytes], password: str = PASSWORD) -> bytes:
    target = io.BytesIO()
    with pyzipper.AESZipFile(target, "w", pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def zip_crypto(data: bytes, password: str) -> bytes:
    """A zip with one stored member under the older encryption (APPNOTE.TXT, 6.1), which no library writes."""
    import struct
    import zlib

    table = [0] * 256
    for place in range(256):
        value = place
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        table[place] = value
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = (keys[0] >> 8) ^ table[(keys[0] ^ byte) & 0xFF]
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = (keys[2] >> 8) ^ table[(keys[2] ^ (keys[1] >> 24)) & 0xFF]

    def encrypted(plain: bytes) -> bytes:
        out = bytearray()
        for byte in plain:
            mix = keys[2] | 2
            out.append(byte ^ (((mix * (mix ^ 1)) >> 8) & 0xFF))
            update(byte)
        return bytes(out)

    for byte in password.encode():
        update(byte)
    check = zlib.crc32(data)
    body = encrypted(bytes(11) + bytes([check >> 24]) + data)
    name = b"a.csv"
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 1, 0, 0, 0, check, len(body), len(data), len(name), 0) + name
    fixed = (20, 20, 1, 0, 0, 0, check, len(body), len(data), len(name), 0, 0, 0, 0, 0, 0)
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", *fixed) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(head) + len(body), 0)
    return head + body + central + end


class Unseekable(io.RawIOBase):
    """What a zip is written to as a stream: its sizes stand behind the data, not before."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += bytes(data)
        return len(data)


def pgp(data: bytes, cert: Cert, *, armored: bool = False) -> bytes:
    return encrypt(data, [cert], armor=armored)


def test_a_csv_file_as_it_is(settings: InsightsSettings, tmp_path: Path) -> None:
    assert read(TABLE, settings, tmp_path, "daily/bills.csv") == {"daily/bills.csv": TABLE}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_of_several_files_in_folders(method: int, settings: InsightsSettings, tmp_path: Path) -> None:
    junk = {
        "__MACOSX/._a.csv": b"\0\5\x16\7",
        ".DS_Store": b"x",
        "a/.hidden.csv": b"x",
        "manifest.json": b"{}",
        "b/": b"",
    }
    data = zipped({"a/one.csv": TABLE, **junk, "b/c/two.txt": LARGE, "three": TABLE}, method)
    assert read(data, settings, tmp_path) == {
        "x.zip/a/one.csv": TABLE,
        "x.zip/b/c/two.txt": LARGE,
        "x.zip/three": TABLE,
    }


def test_a_zip_that_was_written_as_a_stream_and_one_of_64_bits(settings: InsightsSettings, tmp_path: Path) -> None:
    target = Unseekable()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", LARGE)
        with archive.open("b.csv", "w", force_zip64=True) as member:
            member.write(TABLE)
    assert read(bytes(target.data), settings, tmp_path) == {"x.zip/a.csv": LARGE, "x.zip/b.csv": TABLE}


@pytest.mark.parametrize("lock", [lambda: aes_zipped({"a.csv": LARGE}), lambda: zip_crypto(LARGE, PASSWORD)])
def test_both_encryptions_of_zip(lock: Any, settings: InsightsSettings, tmp_path: Path) -> None:
    locked = lock()
    assert read(locked, settings, tmp_path) == {"x.zip/a.csv": LARGE}
    missing = refused(locked, given_settings(), tmp_path)
    assert (missing.code, "INSIGHTS_ZIP_PASSWORD" in str(missing)) == ("zip_password_missing", True)
    wrong = refused(locked, given_settings(zip_password="another"), tmp_path)
    assert (wrong.code, "INSIGHTS_ZIP_PASSWORD" in str(wrong)) == ("zip_password_wrong", True)


def test_a_wrong_password_that_passes_the_check_of_the_older_encryption(tmp_path: Path) -> None:
    # One in 256 does.
    locked = zip_crypto(TABLE, PASSWORD)
    tries = (refused(locked, given_settings(zip_password=f"p{number}"), tmp_path) for number in range(5000))
    passed = next(error for error in tries if error.code != "zip_password_wrong")
    assert passed.code == "zip_damaged"
    assert "INSIGHTS_ZIP_PASSWORD is not its password" in str(passed)


@given(st.data())
def test_a_zip_that_is_cut_short_or_changed_is_never_taken_for_whole(data: st.DataObject) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"capillary-adobe-{os.getpid()}.zip"  # noqa: S108
    whole = zipped({"a.csv": LARGE[:3000], "b.csv": TABLE})
    end_of_members = whole.index(b"PK\1\2")
    place = data.draw(st.integers(0, end_of_members - 1))
    broken = (
        whole[:place] if data.draw(st.booleans()) else whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
    )
    path.write_bytes(broken)
    try:
        found, code = {file.name: file.stream.read() for file in open_export(path, "x", given_settings())}, ""
    except ExportUnreadable as error:
        found, code = {}, error.code
    finally:
        path.unlink()
    assert code in {"", "zip_damaged", "zip_unsupported", "zip_password_missing", "no_csv", "not_csv"}
    # A name or a date may have changed, or the file is no zip any longer; no content may have.
    assert code or list(found) == ["x"] or list(found.values()) == [LARGE[:3000], TABLE]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (zipped({}), "no_csv"),
        (zipped({"__MACOSX/a.csv": b"x", "readme.md": b"x", "b/": b""}), "no_csv"),
        (zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<x/>"}), "not_csv"),
        (b"PAR1" + bytes(100), "not_csv"),
        (zipped({"a.parquet": b"PAR1" + bytes(100)}), "not_csv"),
        (zipped({"a.csv": LARGE})[:5000], "zip_damaged"),
        (gzip.compress(LARGE)[:-100], "gzip_damaged"),
        (gzip.compress(TABLE)[:-4] + b"\0\0\0\1", "gzip_damaged"),
        (b"\x1f\x8b" + b"nonsense" * 9, "gzip_damaged"),
    ],
    # Not the bytes: they tell the time of day, and each worker would have tests of its own.
    ids=lambda value: value if type(value) is str else "",
)
def test_what_cannot_be_read(data: bytes, code: str, settings: InsightsSettings, tmp_path: Path) -> None:
    assert refused(data, settings, tmp_path).code == code


def test_gzip_of_several_members(settings: InsightsSettings, tmp_path: Path) -> None:
    data = gzip.compress(LARGE) + gzip.compress(TABLE) + bytes(512)
    assert read(data, settings, tmp_path, "a.csv.gz") == {"a.csv.gz": LARGE + TABLE}


@pytest.mark.parametrize("armored", [True, False])
def test_pgp_armored_and_binary(armored: bool, settings: InsightsSettings, tmp_path: Path, key: Tsk) -> None:
    data = pgp(LARGE, key.extract_certificate(), armored=armored)
    assert read(data, settings, tmp_path, "a.csv.pgp") == {"a.csv.pgp": LARGE}


def test_every_nesting(settings: InsightsSettings, tmp_path: Path, key: Tsk) -> None:
    cert = key.extract_certificate()
    inner = zipped({"one.csv.pgp": pgp(LARGE, cert), "two.csv": TABLE, "three.csv.gz": gzip.compress(TABLE)})
    assert read(pgp(inner, cert), settings, tmp_path, "x.zip.pgp") == {
        "x.zip.pgp/one.csv.pgp": LARGE,
        "x.zip.pgp/two.csv": TABLE,
        "x.zip.pgp/three.csv.gz": TABLE,
    }
    assert read(aes_zipped({"in.zip": zipped({"a.csv": TABLE})}), settings, tmp_path) == {"x.zip/in.zip/a.csv": TABLE}
    deep = TABLE
    for _ in range(5):
        deep = gzip.compress(deep)
    assert refused(deep, settings, tmp_path).code == "nested_too_deeply"


def test_keys_that_do_not_open(settings: InsightsSettings, tmp_path: Path, key: Tsk) -> None:
    locked = Tsk.from_file(str(LOCKED)).extract_certificate()
    other = tmp_path / "other.asc"
    other.write_text(str(Tsk.generate("Other <other@example.com>")))
    public = tmp_path / "public.asc"
    public.write_text(str(key.extract_certificate()))
    signature = tmp_path / "text"
    signature.write_text(armor(b"nonsense", ArmorKind.SecretKey))
    message, of_locked = pgp(TABLE, key.extract_certificate()), pgp(TABLE, locked)

    def code(data: bytes, **values: Any) -> str:
        error = refused(data, given_settings(**values), tmp_path)
        assert "INSIGHTS_PGP_" in str(error)
        assert PASSPHRASE not in str(error)
        return error.code

    assert code(message) == "pgp_key_missing"
    assert code(message, pgp_key_file=tmp_path / "nowhere") == "pgp_key_unreadable"
    assert code(message, pgp_key_file=signature) == "pgp_key_unreadable"
    assert code(message, pgp_key_file=public) == "pgp_key_unusable"
    assert code(message, pgp_key_file=other) == "pgp_other_key"
    assert code(of_locked, pgp_key_file=LOCKED) == "pgp_passphrase_missing"
    assert code(of_locked, pgp_key_file=LOCKED, pgp_passphrase="wrong") == "pgp_passphrase_wrong"
    unlocked = given_settings(pgp_key_file=LOCKED, pgp_passphrase=PASSPHRASE)
    assert read(of_locked, unlocked, tmp_path) == {"x.zip": TABLE}
    # A passphrase too many is no fault.
    unneeded = given_settings(pgp_key_file=settings.pgp_key_file, pgp_passphrase=PASSPHRASE)
    assert read(message, unneeded, tmp_path) == {"x.zip": TABLE}


@pytest.mark.parametrize("place", [60, 400, 300_000, -30])
def test_a_pgp_message_that_is_cut_short_or_changed(
    place: int, settings: InsightsSettings, tmp_path: Path, key: Tsk
) -> None:
    whole = pgp(LARGE, key.extract_certificate())
    changed = bytearray(whole)
    changed[place] ^= 1
    assert refused(whole[:place], settings, tmp_path).code == "pgp_damaged"
    assert refused(bytes(changed), settings, tmp_path).code in {"pgp_damaged", "pgp_other_key"}


def test_damage_within_a_message_shows_though_its_reader_stops_early(
    settings: InsightsSettings, tmp_path: Path, key: Tsk
) -> None:
    # More than the program looks through before it gives its first bytes.
    whole = pgp(LARGE * 40, key.extract_certificate())
    path = tmp_path / "fetched"
    path.write_bytes(whole[:-2000])
    with pytest.raises(ExportUnreadable):
        [file.stream.read(10) for file in open_export(path, "x.zip", settings)]


def test_nothing_is_left_of_an_export_that_is_not_read_to_its_end(
    settings: InsightsSettings, tmp_path: Path, key: Tsk
) -> None:
    path = tmp_path / "fetched"
    path.write_bytes(pgp(LARGE * 40, key.extract_certificate()))
    opened = open_export(path, "x.pgp", settings)
    assert next(opened).stream.read(4) == b"bill"
    assert [child for child in psutil.Process().children() if "decrypting" in " ".join(child.cmdline())]
    opened.close()  # type: ignore[attr-defined]
    assert not [child for child in psutil.Process().children() if "decrypting" in " ".join(child.cmdline())]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fetched", "key.asc"]


def test_letters_that_look_like_pgp_are_csv(settings: InsightsSettings, tmp_path: Path) -> None:
    for head in ("État,b\n", "Área,b\n", "…,b\n", "Œuvre,b\n"):
        for encoding in ("utf-8", "cp1252"):
            data = head.encode(encoding)
            assert read(data, settings, tmp_path) == {"x.zip": data}


def test_a_zip_that_unpacks_to_very_much_stays_small_in_memory(settings: InsightsSettings, tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as member:
        member.write(b"a,b\n")
        line = b"1," + b" " * 100_000 + b"\n"
        for _ in range(1500):
            member.write(line)
    path = tmp_path / "bomb"
    path.write_bytes(target.getvalue())
    assert path.stat().st_size < 200_000
    process = psutil.Process()
    before = process.memory_info().rss
    most, rows = before, 0
    for file in open_export(path, "bomb.zip", settings):
        for _ in read_rows(CsvFile(file.name, file.stream), Form()):
            rows += 1
            most = max(most, process.memory_info().rss) if rows % 100 == 0 else most
    assert rows == 1500
    assert most - before < 60 * 2**20


def test_a_decryption_that_the_machine_stopped_may_succeed_later(
    settings: InsightsSettings, tmp_path: Path, key: Tsk
) -> None:
    path = tmp_path / "a.pgp"
    path.write_bytes(pgp(LARGE * 40, key.extract_certificate()))
    stream = next(iter(opened := open_export(path, "a.pgp", settings))).stream
    (program,) = (one for one in psutil.Process().children() if "decrypting" in " ".join(one.cmdline()))
    program.kill()
    with pytest.raises(ExportInterrupted, match="was stopped"):
        stream.drain()
    opened.close()  # type: ignore[attr-defined]
