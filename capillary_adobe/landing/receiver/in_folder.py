"""A folder as the place where bodies become durable: hidden files that are appended to, and moved to where they are seen.

Belongs here: which file is written, and when it is moved where. Does not belong here: locks and syncs of one file
(`durable_file.py`), files of others (`recovery.py`), gathering (`group_commit.py`).

A receiver appends to a file of its own under `.receiving/`. It gets its final name when it moves to `events/`, so keys sort by
the moment they can be seen. After a failure a file is given up: what was acknowledged in it lands, and the next lines begin
a new file, so that no broken line stands before a good one.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from capillary_adobe.landing.receiver.durable_file import DurableFile, make_folders, sync_folder
from capillary_adobe.landing.receiver.naming import Names
from capillary_adobe.landing.receiver.outcome import Rhythm, Unwritten
from capillary_adobe.landing.receiver.recovery import LINES, recover
from capillary_adobe.landing.store import ASIDE, EVENTS, LandingError
from capillary_adobe.settings import ReceiverSettings

RECEIVING: Final = ".receiving"
_SPOOLED: Final = ".body"
_PROBE_BYTES: Final = 64 * 1024
# Lines of one append; they are joined in memory.
_MOST_LINES: Final = 4096
# Each costs a file and a sync of its own.
_MOST_ASIDES: Final = 64
_TRIES: Final = 3

_LOG = logging.getLogger(__name__)


class FolderPlace:
    """A local folder. Lines are written by one thread, the rest by any."""

    def __init__(self, root: Path, settings: ReceiverSettings) -> None:
        self._root = root
        self._receiving = root / RECEIVING
        self._names = Names()
        self._roll_bytes = settings.roll_bytes
        self._file: DurableFile | None = None
        self._begun = 0.0
        self._given_up: deque[tuple[float, DurableFile]] = deque()
        self._made: set[Path] = set()
        self._stuck = False
        self.lines = Rhythm(at_once=1, events=_MOST_LINES, seconds=0.0, most=_MOST_LINES)
        self.asides = Rhythm(at_once=1, events=_MOST_ASIDES, seconds=0.0, most=_MOST_ASIDES)
        self.roll_seconds: float | None = settings.roll_seconds

    def open(self) -> None:
        """Make sure that it can be written, and land what dead receivers left.

        Raises:
            LandingError: it cannot be written.
        """
        try:
            self._make_root()
            self._make_receiving()
            self._probe()
        except OSError as error:
            raise LandingError(
                f"LANDING_URL={self._root} cannot be written ({error.strerror}). Check that the folder exists, belongs to "
                "the user of the receiver, lies on one disk with all that is in it and has free space."
            ) from error
        self.tend()

    def write_lines(self, bodies: list[bytes], _deadline: float, /) -> None:
        """Append lines and sync them. Raises Unwritten."""
        try:
            if self._file is None:
                self._file = self._begin_lines()
            if self._file.length == 0:
                self._begun = time.monotonic()
            self._file.append(b"\n".join(bodies) + b"\n")
        except OSError as error:
            self._give_up(because_of_failure=True)
            raise _unwritten(error) from error

    def _begin_lines(self) -> DurableFile:
        file = self._begin(LINES)
        try:
            sync_folder(self._receiving)
        except OSError:
            file.remove()
            raise
        return file

    def settle(self) -> None:
        """Move the file once it is large."""
        if self._file is not None and self._file.length >= self._roll_bytes:
            self.roll()

    def roll(self) -> None:
        """Move to `events/` what is acknowledged."""
        self._give_up()
        while self._given_up:
            file = self._given_up[0][1]
            try:
                self._land_lines(file)
            except OSError as error:
                self._tell_stuck(file, error)
                return
            self._stuck = False
            file.close()
            self._given_up.popleft()

    def _tell_stuck(self, file: DurableFile, error: OSError) -> None:
        if not self._stuck:
            _LOG.warning("Acknowledged events stay in %s until they can be moved (%s).", file.path, error.strerror)
            self._stuck = True

    def _give_up(self, *, because_of_failure: bool = False) -> None:
        file = self._file
        if file is None or (because_of_failure and not file.length and not file.spent):
            # Nothing is in it and it was cut back: on a full disk it serves until there is room.
            return
        self._file = None
        if file.length:
            self._given_up.append((self._begun, file))
        else:
            with suppress(OSError):
                file.remove()

    def _land_lines(self, file: DurableFile) -> None:
        self._move(file, EVENTS, LINES)
        sync_folder(file.path.parent)
        sync_folder(self._receiving)

    def _move(self, file: DurableFile, folder: str, ending: str) -> None:
        if file.moved:
            # Its folders could not be synced the last time; another name would land it twice.
            return
        target = self._root / self._names.key(folder, ending)
        if target.parent not in self._made:
            make_folders(self._root, target.parent)
            self._made.add(target.parent)
        try:
            file.move(target)
        except FileNotFoundError:
            self._made.discard(target.parent)
            raise

    def write_asides(self, bodies: list[tuple[bytes, str]], _deadline: float, /) -> None:
        """Make each body a file of its own. Raises Unwritten."""
        folders = {self._receiving}
        try:
            for body, why in bodies:
                folders.add(self._write_aside(body, why))
            for folder in folders:
                sync_folder(folder)
        except OSError as error:
            raise _unwritten(error) from error

    def _write_aside(self, body: bytes, why: str) -> Path:
        file = self._begin(_SPOOLED)
        try:
            file.append(body)
            self._move(file, ASIDE, f".{why}")
        except OSError:
            with suppress(OSError):
                file.path.unlink()
            raise
        finally:
            file.close()
        return file.path.parent

    def spool(self) -> FolderSpool:
        """Begin a large body. Raises Unwritten."""
        try:
            return FolderSpool(self, self._begin(_SPOOLED))
        except OSError as error:
            raise _unwritten(error) from error

    def land_spooled(self, file: DurableFile, why: str) -> None:
        """Make a large body durable under its name. Raises OSError."""
        file.sync()
        self._move(file, ASIDE, f".{why}")
        sync_folder(file.path.parent)
        sync_folder(self._receiving)

    def tend(self) -> None:
        """Land what dead receivers left."""
        try:
            recover(self._receiving, self._land_lines)
        except OSError as error:
            _LOG.warning("%s cannot be read (%s).", self._receiving, error.strerror)

    def probe(self) -> None:
        """Find out whether it can be written again. Raises Unwritten."""
        try:
            self._probe()
        except OSError as error:
            raise _unwritten(error) from error

    def oldest(self) -> float | None:
        """When the oldest durable body that is not visible yet was written, by the monotonic clock."""
        file = self._file
        begun = [self._begun] if file is not None and file.length else []
        # A copy, since the thread of the lines changes it meanwhile.
        return min([*begun, *(begun for begun, _ in tuple(self._given_up))], default=None)

    def close(self) -> None:
        """Move all to where it is seen; what cannot be moved is left for the next receiver."""
        self.roll()
        for _, file in self._given_up:
            file.close()
        self._given_up.clear()

    def _begin(self, ending: str) -> DurableFile:
        for _ in range(_TRIES):
            path = self._receiving / self._names.hidden(ending)
            try:
                file = DurableFile.begin(path)
            except FileNotFoundError:
                # Somebody tidied the folder away. Its parent is not made again: it may be a disk that is not mounted.
                self._make_receiving()
                continue
            if file is not None:
                return file
        raise FileNotFoundError(2, "the folder of the receivers' own files goes again and again", str(self._receiving))

    def _make_root(self) -> None:
        root = self._root.absolute()
        make_folders(next(folder for folder in (root, *root.parents) if folder.exists()), root)

    def _make_receiving(self) -> None:
        self._receiving.mkdir(exist_ok=True)
        sync_folder(self._root)

    def _probe(self) -> None:
        file = self._begin(_SPOOLED)
        name = f".{file.path.name}"
        try:
            file.append(b"\0" * _PROBE_BYTES)
            # Folders of another user or on another disk would keep what is acknowledged from being seen.
            for folder in (EVENTS, ASIDE):
                make_folders(self._root, self._root / folder)
                file.move(self._root / folder / name)
        finally:
            file.remove()


class FolderSpool:
    """A large body in a hidden file."""

    def __init__(self, place: FolderPlace, file: DurableFile) -> None:
        self._place = place
        self._file = file

    def append(self, piece: bytes) -> None:
        """Add a piece. Raises Unwritten."""
        try:
            self._file.write(piece)
        except OSError as error:
            raise _unwritten(error) from error

    def land(self, why: str) -> None:
        """Make it durable as an object of its own. Raises Unwritten."""
        try:
            self._place.land_spooled(self._file, why)
        except OSError as error:
            raise _unwritten(error) from error

    def discard(self) -> None:
        """Forget it, unless it has landed."""
        if self._file.moved:
            self._file.close()
            return
        with suppress(OSError):
            self._file.remove()


def _unwritten(error: OSError) -> Unwritten:
    return Unwritten(error.strerror or type(error).__name__)
