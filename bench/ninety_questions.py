"""The UI's own questions, timed: each page of it as it asks the webserver, once cold and then warm.

Belongs here: the questions and their times. Does not belong here: what is kept (`ninety_sizes.py`), and when it is asked
(`ninety_days.py`).
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

_WARM = 5
_PATIENCE_SECONDS = 120.0
_RUN = """{ id runStatus creationTime startTime endTime jobName tags { key value } assetSelection { path }
    assetCheckSelection { name } ... on Run { runId hasReExecutePermission canTerminate } }"""
_LATEST = """{ assetKey { path } unstartedRunIds inProgressRunIds latestRun { runId status }
    latestMaterialization { timestamp runId partition } }"""
_EVENT = """{ runId timestamp partition label metadataEntries { label __typename ... on IntMetadataEntry { intValue }
    ... on FloatMetadataEntry { floatValue } ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } }"""

QUESTIONS: Mapping[str, str] = {
    "runs": f"""{{ runsFeedOrError(limit: 30, view: ROOTS) {{ ... on RunsFeedConnection {{ hasMore results {_RUN} }} }}
        all: runsFeedCountOrError(view: ROOTS) {{ ... on RunsFeedCount {{ count }} }}
        failed: runsFeedCountOrError(view: ROOTS, filter: {{statuses: [FAILURE]}}) {{ ... on RunsFeedCount {{ count }} }} }}""",
    "overview": """query($since: Float!) { timeline: runsOrError(filter: {createdAfter: $since, statuses: [SUCCESS, FAILURE,
        CANCELED]}, limit: 500) { ... on Runs { results { runId status jobName creationTime startTime endTime } } }
        workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { ... on RepositoryLocation { repositories {
        sensors { name sensorState { status ticks(limit: 1) { status timestamp } } }
        schedules { name scheduleState { status ticks(limit: 1) { status timestamp } } }
        jobs { name } } } } } } } }""",
    "asset graph": f"""query($keys: [AssetKeyInput!]!) {{ assetsLatestInfo(assetKeys: $keys) {_LATEST}
        assetNodes(assetKeys: $keys) {{ assetKey {{ path }} partitionStats {{ numPartitions numMaterialized numFailed }}
        assetChecksOrError {{ ... on AssetChecks {{ checks {{ name
        executionForLatestMaterialization {{ status }} }} }} }} }} }}""",
    "partitions of an asset": """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
        partitionStats { numMaterialized numFailed numPartitions }
        assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }""",
    "a day of an asset": f"""query($key: AssetKeyInput!, $day: String!) {{ assetNodeOrError(assetKey: $key) {{
        ... on AssetNode {{ latestRunForPartition(partition: $day) {{ runId status }}
        assetMaterializations(partitions: [$day], limit: 50) {_EVENT} }} }} }}""",
    "plots of an asset": f"""query($key: AssetKeyInput!) {{ assetOrError(assetKey: $key) {{ ... on Asset {{
        assetMaterializations(limit: 100) {_EVENT} }} }} }}""",
    "checks of an asset": """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
        assetChecksOrError { ... on AssetChecks { checks { name description
        executionForLatestMaterialization { status timestamp evaluation { success severity } } } } } } }
        assetCheckExecutions(assetKey: $key, checkName: "nothing_is_lost", limit: 25) { status timestamp runId } }""",
    "ticks of a sensor": """query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor { name
        sensorState { status ticks(limit: 26) { tickId status timestamp endTimestamp skipReason runIds cursor } } } } }""",
    "observations of landing": f"""query($landing: AssetKeyInput!) {{ assetOrError(assetKey: $landing) {{ ... on Asset {{
        assetObservations(limit: 50) {_EVENT} }} }} }}""",
    "a run": """query($run: ID!) { runOrError(runId: $run) { ... on Run { runId status stats { ... on RunStatsSnapshot {
        stepsSucceeded materializations } } stepStats { stepKey status } } }
        logsForRun(runId: $run, limit: 1000) { ... on EventConnection { events { __typename } hasMore } } }""",
}


class Asking:
    """Asks a running webserver."""

    def __init__(self, url: str, location: str) -> None:
        self._url = f"{url}/graphql"
        self._session = requests.Session()
        self._location = location

    def measure(self, day: str, since: float) -> dict[str, dict[str, float]]:
        """Milliseconds of each question, the first time and in the median of the next ones; `day` is the newest partition.

        Raises:
            RuntimeError: an answer tells of an error, or of nothing where something is.
        """
        keys = [
            {"path": one["assetKey"]["path"]} for one in self.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
        ]
        newest = self.ask("{ runsOrError(limit: 1) { ... on Runs { results { runId } } } }")["runsOrError"]["results"]
        variables = {
            "keys": keys,
            "key": {"path": ["ingestion_status"]},
            "landing": {"path": ["landing"]},
            "day": day,
            "since": since,
            "run": newest[0]["runId"],
            "sensor": {
                "repositoryLocationName": self._location,
                "repositoryName": "__repository__",
                "sensorName": "landing_sensor",
            },
        }
        return {name: self._time(question, variables) for name, question in QUESTIONS.items()}

    def _time(self, question: str, variables: dict[str, Any]) -> dict[str, float]:
        wanted = {name: value for name, value in variables.items() if f"${name}:" in question}
        took: list[float] = []
        for _ in range(_WARM + 1):
            started = time.perf_counter()
            self.ask(question, **wanted)
            took.append((time.perf_counter() - started) * 1000)
        return {"first_ms": round(took[0], 1), "warm_ms": round(statistics.median(took[1:]), 1)}

    def ask(self, question: str, **variables: Any) -> dict[str, Any]:
        """A question of GraphQL; its data."""
        answer = self._session.post(self._url, json={"query": question, "variables": variables}, timeout=120)
        body = answer.json()
        if body.get("errors"):
            raise RuntimeError(f"GraphQL: {body['errors'][0]['message']}")
        empty = [name for name, value in body["data"].items() if value in ({}, None)]
        if empty:
            raise RuntimeError(f"GraphQL: {empty[0]} has no answer")
        return body["data"]


@contextmanager
def webserver(folder: Path, environment: Mapping[str, str], location: str) -> Iterator[Asking]:
    """A webserver on the installation while the context lasts."""
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - python_module: {{module_name: capillary_adobe.definitions, location_name: {location}}}\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)]
    with (
        (folder / "webserver.log").open("ab") as log,
        subprocess.Popen(
            command, env=dict(environment), stdout=log, stderr=log, cwd=Path(__file__).parents[1]
        ) as server,
    ):
        try:
            asking = Asking(f"http://127.0.0.1:{port}", location)
            _wait(asking, server)
            yield asking
        finally:
            server.terminate()


def _wait(asking: Asking, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if asking.ask("{ assetNodes { id } }")["assetNodes"]:
                return
        except (requests.RequestException, RuntimeError):
            pass
        if server.poll() is not None or time.monotonic() > give_up:
            raise SystemExit("the webserver does not answer; its log is webserver.log in the folder of the measurement")
        time.sleep(0.2)
