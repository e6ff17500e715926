"""Who is let in: secrets, signatures, certificates, and what is told of those who are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capillary_adobe.landing.receiver.credentials import Credentials
from capillary_adobe.settings import ReceiverSettings, SettingsError, load
from capillary_adobe_tests.landing.receiver.receiving import SECRET, is_closed, read_answer, receiving, request

# RFC 4231, test case 2: key, text, HMAC-SHA256.
KEY, TEXT = "Jefe", b"what do ya want for nothing?"
DIGEST = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
FORMS = {
    "hex": lambda digest: digest.hex().encode(),
    "HEX": lambda digest: digest.hex().upper().encode(),
    "prefixed hex": lambda digest: b"sha256=" + digest.hex().encode(),
    "base64": base64.b64encode,
    "base64 without padding": lambda digest: base64.b64encode(digest).rstrip(b"="),
    "prefixed base64": lambda digest: b"SHA256=" + base64.b64encode(digest),
    "base64 for addresses": base64.urlsafe_b64encode,
    "with blanks": lambda digest: b"  " + digest.hex().encode() + b" ",
}


def credentials(**settings: str) -> Credentials:
    return Credentials(load(ReceiverSettings, **{"secret": SECRET, **settings}))


def signed(keys: Credentials, body: bytes, *values: bytes, pieces: int = 1) -> bool:
    signature = keys.signature([(b"x-signature", value) for value in values])
    assert signature is not None
    step = max(1, len(body) // pieces)
    for at in range(0, len(body), step):
        signature.add(body[at : at + step])
    return signature.fits()


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([(b"authorization", SECRET.encode())], ""),
        ([(b"authorization", b" " + SECRET.encode() + b"\t")], ""),
        ([(b"authorization", b"the-former-one")], ""),
        ([(b"authorization", b"wrong"), (b"authorization", SECRET.encode())], ""),
        ([], "secret_missing"),
        ([(b"x-authorization", SECRET.encode())], "secret_missing"),
        ([(b"authorization", b"")], "secret_wrong"),
        ([(b"authorization", SECRET.encode()[:-1])], "secret_wrong"),
        ([(b"authorization", SECRET.encode() + b"x")], "secret_wrong"),
        ([(b"authorization", SECRET.upper().encode())], "secret_wrong"),
        ([(b"authorization", b"\xff\x00")], "secret_wrong"),
    ],
)
def test_either_secret_lets_in_and_nothing_else(headers: list[tuple[bytes, bytes]], fault: str) -> None:
    assert credentials(previous_secret="the-former-one").fault(headers) == fault


@pytest.mark.parametrize(
    ("value", "fault"),
    [(b"CN=capillary,O=C", ""), (b"CN=other", ""), (b"CN=", "certificate_wrong"), (None, "certificate_missing")],
)
def test_a_certificate_is_one_of_those_listed(value: bytes | None, fault: str) -> None:
    judge = credentials(certificate_header="X-Client-Subject", certificates="CN=capillary,O=C ; CN=other;")
    headers = [(b"authorization", SECRET.encode())]
    assert judge.fault(headers + ([(b"x-client-subject", value)] if value is not None else [])) == fault


@pytest.mark.parametrize("form", FORMS)
def test_signatures_in_every_usual_form(form: str) -> None:
    keys = credentials(hmac_header="X-Signature", hmac_secret=KEY)
    value = FORMS[form](DIGEST)
    assert keys.fault([(b"authorization", SECRET.encode()), (b"x-signature", value)]) == ""
    assert signed(keys, TEXT, value)
    assert not signed(keys, TEXT + b" ", value)


@given(
    body=st.binary(max_size=200), pieces=st.integers(1, 9), other=st.binary(min_size=1), form=st.sampled_from([*FORMS])
)
def test_only_the_signature_of_this_body_fits(body: bytes, pieces: int, other: bytes, form: str) -> None:
    keys = credentials(hmac_header="X-Signature", hmac_secret="new", hmac_previous_secret="former")
    for key in (b"new", b"former"):
        digest = hmac.digest(key, body, hashlib.sha256)
        assert signed(keys, body, FORMS[form](digest), pieces=pieces)
        assert not signed(keys, body + other, FORMS[form](digest), pieces=pieces)
    assert not signed(keys, body, FORMS[form](hmac.digest(b"another", body, hashlib.sha256)), pieces=pieces)


@given(value=st.binary(max_size=90))
def test_no_other_value_is_taken_for_a_signature(value: bytes) -> None:
    keys = credentials(hmac_header="X-Signature", hmac_secret="key")
    digest = hmac.digest(b"key", b"body", hashlib.sha256)
    known = {form(digest).strip() for form in FORMS.values()}
    assert signed(keys, b"body", value) == (value.strip() in known)


def test_a_signature_that_is_not_there_is_told_before_the_body() -> None:
    keys = credentials(hmac_header="X-Signature", hmac_secret="key")
    assert keys.fault([(b"authorization", SECRET.encode())]) == "signature_missing"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hmac_header": "X-Signature"}, "RECEIVE_HMAC_HEADER and RECEIVE_HMAC_SECRET belong together"),
        ({"certificates": "CN=x"}, "RECEIVE_CERTIFICATE_HEADER and RECEIVE_CERTIFICATES belong together"),
        ({"certificates": " ; ;", "certificate_header": "X-Client"}, "RECEIVE_CERTIFICATES names no certificate"),
        ({"secret": "p\u00e4sswort"}, "RECEIVE_SECRET is malformed"),
        ({"previous_secret": "two\nlines"}, "RECEIVE_PREVIOUS_SECRET is malformed"),
        ({"path": "/metrics"}, "RECEIVE_PATH is malformed"),
        ({"queue_bytes": "1048575"}, "RECEIVE_QUEUE_BYTES is less than RECEIVE_MAX_BODY_BYTES"),
        ({"group_seconds": "6"}, "RECEIVE_GROUP_SECONDS is more than half of RECEIVE_COMMIT_SECONDS"),
        ({"commit_seconds": "inf"}, "less than or equal to 300"),
    ],
)
def test_settings_that_would_let_in_nobody_or_anybody(settings: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(ReceiverSettings, **settings)
    assert words in str(caught.value)
    assert settings.get("secret", "\u00e4") not in str(caught.value)


def test_a_secret_is_changed_without_losing_an_event(tmp_path: Path) -> None:
    landed = None
    rotation = [
        ({"RECEIVE_SECRET": "old"}, {"old": 200, "new": 429}),
        ({"RECEIVE_SECRET": "new", "RECEIVE_PREVIOUS_SECRET": "old"}, {"old": 200, "new": 200}),
        ({"RECEIVE_SECRET": "new", "RECEIVE_REFUSED_STATUS": "503"}, {"old": 503, "new": 200}),
    ]
    for settings, expected in rotation:
        with receiving(tmp_path, settings) as receiver:
            answers = {secret: receiver.post(b'"%s"' % secret.encode(), Authorization=secret) for secret in expected}
            assert {secret: answer.status_code for secret, answer in answers.items()} == expected
            assert all(answer.ok or answer.headers["Retry-After"] == "5" for answer in answers.values())
            assert receiver.stop() == 0
            landed = receiver.asides()
    assert landed == {("unreadable", b'"old"'): 2, ("unreadable", b'"new"'): 2}


def test_signature_and_certificate_over_http(tmp_path: Path) -> None:
    settings = {
        "RECEIVE_HEADER": "X-Webhook-Secret",
        "RECEIVE_HMAC_HEADER": "X-Signature",
        "RECEIVE_HMAC_SECRET": "key-of-the-body",
        "RECEIVE_CERTIFICATE_HEADER": "X-Client-Subject",
        "RECEIVE_CERTIFICATES": "CN=capillary",
        "RECEIVE_MAX_BODY_BYTES": "20000",
    }
    with receiving(tmp_path, settings) as receiver:

        def post(body: bytes, signature: str = "", subject: str = "CN=capillary") -> int:
            own = signature or hmac.digest(b"key-of-the-body", body, "sha256").hex()
            answer = receiver.post(
                body, Authorization="", X_Webhook_Secret=SECRET, X_Signature=own, X_Client_Subject=subject
            )
            return answer.status_code

        small, large = b'{"signed": true}', b"L" * 500_000
        assert [post(small), post(large)] == [200, 200]
        wrong = "sha256=" + "0" * 64
        assert [post(b'{"forged": 1}', wrong), post(b"F" * 500_000, wrong), post(b"{}", subject="CN=mallory")] == [
            429
        ] * 3
        assert receiver.post(small).status_code == 429
        figures = receiver.figures()
        assert figures["requests_total refused signature_wrong"] == 2
        assert figures["requests_total refused certificate_wrong"] == 1
        assert figures["requests_total refused secret_missing"] == 1
        assert receiver.stop() == 0
        assert receiver.lines() == {small: 1}
        assert receiver.asides() == {("oversize", large): 1}


def test_refusals_are_told_loudly_and_without_what_was_sent(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        for number in range(50):
            assert receiver.post(b'{"customer": "payload"}', Authorization=f"guess-{number}").status_code == 429
        receiver.post(Authorization="")
        with receiver.connect() as connection:
            # Refused by its headers: the body need not be sent, and what comes of it is passed over.
            connection.sendall(request(b"", "Content-Length: 300000", secret="guess"))
            assert read_answer(connection).status == 429
            connection.sendall(b"x" * 300_000 + request(b'{"after": "the refused"}', "Connection: close"))
            assert read_answer(connection).status == 200
            assert is_closed(connection)
        assert receiver.figures()["requests_total refused secret_wrong"] == 51
        assert receiver.stop() == 0
        told = [line for line in receiver.log().splitlines() if "refused" in line]
        # One at once; the others would follow together after some seconds.
        assert len(told) == 1
        assert '"level":"error"' in told[0]
        assert "guess" not in receiver.log()
        assert "payload" not in receiver.log()
