"""A lock that is tried for and never waited for: one holder, and none left behind by a kill."""

from __future__ import annotations

import threading
from pathlib import Path

from capillary_adobe.state import State
from capillary_adobe_tests.forked import Forked

NAME = "batch capillary-adobe-2026-03-04-x"
HOLD = """
import sys
from capillary_adobe.state import State
with State(sys.argv[1]).lock_if_free(sys.argv[2]) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_one_holds_it_and_others_are_told_so(state: State) -> None:
    with state.lock_if_free(NAME) as first:
        with state.lock_if_free(NAME) as second, state.lock_if_free(f"{NAME}y") as other:
            assert (first, second, other) == (True, False, True)
        # Who did not get it has not let it go either.
        with state.lock_if_free(NAME) as third:
            assert not third
    with state.lock_if_free(NAME) as again:
        assert again


def test_it_ends_with_an_error(state: State) -> None:
    try:
        with state.lock_if_free(NAME):
            raise RuntimeError
    except RuntimeError:
        pass
    with state.lock_if_free(NAME) as again:
        assert again


def test_it_ends_with_its_process(state: State) -> None:
    url = state.engine.url.render_as_string(hide_password=False)
    with Forked(HOLD, url, NAME) as process:
        assert process.stdout.readline() == "True\n"
        with state.lock_if_free(NAME) as meanwhile:
            assert not meanwhile
        process.kill()
        process.wait()
    for _ in range(100):
        # A server notices a moment later that its client is gone.
        with state.lock_if_free(NAME) as again:
            if again:
                return
        threading.Event().wait(0.1)
    raise AssertionError("the lock of a process that is gone is still held")


def test_never_two_hold_it_and_no_file_stays(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path}/state.db")
    holders: list[int] = []
    most = 0
    got = 0

    def try_often() -> None:
        nonlocal most, got
        for _ in range(200):
            with state.lock_if_free(NAME) as held:
                if held:
                    holders.append(1)
                    most = max(most, len(holders))
                    got += 1
                    holders.pop()

    threads = [threading.Thread(target=try_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, got > 0) == (1, True)
    assert not (tmp_path / "state.db.locks" / NAME).exists()
