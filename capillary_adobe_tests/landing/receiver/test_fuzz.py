"""Ten thousand bodies of every kind: each acknowledged one is in the store exactly once, byte for byte."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import orjson

from capillary_adobe.landing import Record, read_landed
from capillary_adobe_tests.landing.receiver.receiving import SECRET, Receiver, read_answer, receiving, request

COUNT = 10_000
CLIENTS = 4
LONGEST_BODY = 8192
# Stands in most payloads, and must stand nowhere else.
PERSONAL = "jane.doe@example.com"


def value(dice: random.Random, depth: int = 0) -> object:
    kind = dice.randrange(9 if depth < 4 else 6)
    if kind < 2:
        return dice.choice(["", PERSONAL, "line\nbreak", "\u2028\u2029\u0085", "é中😀", '"\\/', "{[", "x" * 300])
    if kind < 4:
        return dice.choice([0, -1, 2**63 - 1, 2**64 - 1, 1.5, 1e300, True, False, None])
    if kind < 6:
        return dice.choice([{}, [], [[]], {"": {}}])
    if kind < 8:
        return {f"k{number}": value(dice, depth + 1) for number in range(dice.randrange(6))}
    return [value(dice, depth + 1) for _ in range(dice.randrange(5))]


def event(dice: random.Random) -> bytes:
    return orjson.dumps({"eventName": "fuzz", "number": dice.getrandbits(60), "data": value(dice), "email": PERSONAL})


def broken_in_lines(dice: random.Random) -> bytes:
    ends = dice.choice([b"\n", b"\r\n", b"\r", b"\n\n", b"\n "])
    pretty = orjson.dumps(orjson.loads(event(dice)), option=orjson.OPT_INDENT_2)
    return dice.choice(
        [pretty.replace(b"\n", ends), event(dice) + ends, ends + event(dice), event(dice) + ends + event(dice)]
    )


KINDS: list[Callable[[random.Random], bytes]] = [
    event,
    event,
    event,
    event,
    event,
    broken_in_lines,
    lambda dice: orjson.dumps([orjson.loads(event(dice)) for _ in range(dice.randrange(4))]),
    lambda dice: event(dice)[: dice.randrange(1, 60)],
    lambda dice: dice.randbytes(dice.randrange(1, 300)),
    lambda dice: dice.choice(
        [
            b"",
            b"\xef\xbb\xbf" + event(dice),
            event(dice).decode().encode("utf-16"),
            event(dice).replace(b"fuzz", b"f\xfczz"),
            gzip.compress(event(dice)),
            gzip.compress(event(dice))[:-9],
            b"[" * dice.randrange(3000),
            b'{"a":' * 200 + b"1" + b"}" * 200,
            b"\x00" * dice.randrange(99),
            b" \t ",
            b"null",
            b'"' + PERSONAL.encode() + b'"',
            b"12",
            b'{"NaN": NaN}',
            b'{"a": 1}{"a": 2}',
            event(dice) + b"\x00",
            b"\n" * dice.randrange(5),
            event(dice) * 99,
            dice.randbytes(20_000),
        ]
    ),
]


def post_all(receiver: Receiver, bodies: list[bytes], seed: int) -> list[int]:
    """Over one connection; now and then in pieces, or with headers that are of no use."""
    dice, answers = random.Random(seed), []  # noqa: S311 - no secret
    with receiver.connect() as connection:
        for body in bodies:
            if dice.random() < 0.05:
                cut = dice.randrange(len(body) + 1)
                pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]) if piece)
                whole = request(b"", "Transfer-Encoding: chunked", "Content-Encoding: gzip") + pieces + b"0\r\n\r\n"
            else:
                whole = request(body, "Content-Type: application/json")
            connection.sendall(whole)
            answers.append(read_answer(connection).status)
    return answers


def values(body: bytes) -> list[bytes]:
    """What a body that is whole JSON means: one event, or those of an array."""
    found = orjson.loads(body)
    return [orjson.dumps(one) for one in (found if isinstance(found, list) else [found])]


def records_of(body: bytes) -> list[Record]:
    return list(read_landed("aside/2026-11-26/00/1-a-1.unreadable", BytesIO(body)))


def test_each_acknowledged_body_is_there_once_and_as_sent(tmp_path: Path) -> None:
    dice = random.Random(20261126)  # noqa: S311 - no secret
    bodies = [dice.choice(KINDS)(dice) for _ in range(COUNT)]
    with receiving(tmp_path, {"RECEIVE_MAX_BODY_BYTES": str(LONGEST_BODY)}) as receiver:
        with ThreadPoolExecutor(CLIENTS) as threads:
            parts = [threads.submit(post_all, receiver, bodies[one::CLIENTS], one) for one in range(CLIENTS)]
        assert [status for part in parts for status in part.result() if status != 200] == []
        figures = receiver.get("/metrics").text
        assert receiver.stop() == 0
        asides, lines, records = receiver.asides(), receiver.lines(), receiver.records()
        log = receiver.log()

    sent, aside = Counter(bodies), Counter[bytes]()
    for (_, body), times in asides.items():
        aside[body] += times
    assert aside <= sent
    among = sent - aside
    # Line breaks within a body part it into lines, which land together; nothing else is among them.
    assert lines == Counter(line for body, times in among.items() for line in body.split(b"\n") for _ in range(times))
    assert {why for why, _ in asides} == {"unreadable", "oversize"}
    assert all((len(body) > LONGEST_BODY) == (why == "oversize") for why, body in asides)

    # And the pipeline's reader gives of the lines what each body means, and something of every body that lies aside.
    read = Counter(orjson.dumps(record.value) for record in records if record.problem is None)
    meant = Counter(one for body, times in among.items() for one in values(body) * times)
    assert meant <= read
    assert [body for body in aside if not records_of(body)] == []
    assert min(len(among), len(asides)) > COUNT / 20

    for told in (log, figures):
        assert PERSONAL not in told
        assert SECRET not in told
        assert "fuzz" not in told
