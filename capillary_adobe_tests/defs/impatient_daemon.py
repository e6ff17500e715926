"""Dagster's daemon with a shorter pause between two looks at backfills: `python -m … run -w <workspace>`.

Belongs here: that one number. Its own is 30 seconds and has no setting; a test of a backfill's life would mostly wait for it.
"""

from __future__ import annotations

from dagster._daemon import cli, controller

controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 1

if __name__ == "__main__":
    cli.main()
