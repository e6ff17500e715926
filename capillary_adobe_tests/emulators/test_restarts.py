"""What the Platform API knows after a restart, wherever the emulator was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capillary_adobe_tests.emulators.platform_client import Platform, eventually, good, lines, running

ROWS = 20_000


def seen(platform: Platform) -> dict[str, Any]:
    """What a restart must not change."""
    summary = platform.validated()
    return {name: summary[name] for name in ("accepted", "distinct", "duplicates", "failed_later", "in_lake")}


def test_batches_are_known_at_every_stage(store: Path) -> None:
    with running(store, batch_seconds=60) as before:
        loading, completed = before.begin(externalId="kept"), before.begin()
        for batch in (loading, completed):
            before.put(batch, "a", lines(good(batch)))
        before.act(completed, "COMPLETE")

    with running(store) as after:
        assert after.batch(loading)["status"] == "loading"
        assert after.batch(loading)["externalId"] == "kept"
        assert after.final(completed)["status"] == "success"
        after.act(loading, "COMPLETE")
        ended = after.final(loading)
        assert ended["status"] == "success"

    with running(store) as again:
        assert again.batch(loading) == ended
        assert again.client.summary()["accepted"] == 2


def test_a_file_in_parts_goes_on(store: Path) -> None:
    data = lines(good("1"), good("2"))
    with running(store) as before:
        batch = before.begin()
        path = before.file(batch, "large")
        before.call("POST", path, params={"action": "INITIALIZE"})
        headers = {"Content_Type": "application/octet-stream", "Content_Range": "bytes 0-99"}
        before.call("PATCH", path, before.headers(**headers), data=data[:100])

    with running(store) as after:
        assert after.call("HEAD", path).headers["Range"] == "bytes=0-99"
        headers["Content_Range"] = f"bytes 100-{len(data) - 1}"
        after.call("PATCH", path, after.headers(**headers), data=data[100:])
        assert after.call("POST", path, params={"action": "COMPLETE"}).status_code == 201
        after.act(batch, "COMPLETE")
        assert after.final(batch)["metrics"]["outputRecordCount"] == 2


def test_an_ingestion_that_was_interrupted_loses_and_doubles_nothing(store: Path) -> None:
    with running(store) as before:
        batch = before.begin()
        before.put(batch, "a", lines(*(good(str(number)) for number in range(ROWS))))
        before.act(batch, "COMPLETE")
        eventually(lambda: before.client.summary()["accepted"])

    with running(store) as after:
        assert after.final(batch)["status"] == "success"
        summary = after.client.summary()
        assert (summary["accepted"], summary["distinct"]) == (ROWS, ROWS)


def test_a_validation_that_was_interrupted_loses_and_doubles_nothing(store: Path) -> None:
    with running(store, validation_seconds=0) as before:
        messages = [before.message(good(str(number), eventType=7 if number % 2 else "a.b")) for number in range(1000)]
        for _ in range(10):
            before.client.send_many(*messages)

    with running(store) as after:
        summary = after.validated()
        assert (summary["accepted"], summary["failed_later"], summary["in_lake"]["records"]) == (10_000, 5000, 5000)
        assert sum(batch["metrics"]["invalidRecordCount"] for batch in after.failed_batches().values()) == 5000


def test_both_lanes_and_a_revert_are_counted_as_before(store: Path) -> None:
    with running(store) as before:
        before.stream(good("1"), good("bad", eventType=7))
        before.ingest(lines(good("1"), good("2")))
        reverted, _ = before.ingest(lines(good("2"), good("3")))
        before.act(reverted, "REVERT")
        eventually(lambda: before.client.summary()["in_lake"]["records"] == 3)
        counts, batches = seen(before), before.some_failed()

    with running(store) as after:
        assert seen(after) == counts
        assert after.failed_batches() == batches


def test_what_was_waiting_is_validated(store: Path) -> None:
    with running(store, validation_seconds=60) as before:
        before.stream(good("bad", eventType=7))
        assert before.client.summary()["accepted"] == 1

    with running(store) as after:
        assert after.validated()["failed_later"] == 1
        assert len(after.some_failed()) == 1


def test_a_window_that_a_kill_cut_short_is_done_again(store: Path) -> None:
    with running(store) as before:
        before.stream(good("bad", eventType=7))
        (gone,) = before.some_failed()
        before.validated()
    (store / "validated.jsonl").write_bytes(b'{"lines":1,"off')

    with running(store) as after:
        assert after.validated()["failed_later"] == 1
        (batch,) = after.failed_batches()
        assert batch != gone
