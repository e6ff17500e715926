"""What the demo asks of a running Dagster, through the GraphQL API that its UI uses.

Belongs here: those questions and the one order, to materialize a partition. Does not belong here: when to ask
(`stack.py`, `smoke.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from capillary_adobe.demo.surroundings import LOCATION, DemoError

_TIMEOUT_SECONDS = 20
_REPOSITORY = "__repository__"
_UNFINISHED = ["QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING"]

_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name
    locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"
_ASSETS = "{ assetNodes { isMaterializable assetKey { path } groupName } }"
_RUNS = """query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
    runId status tags { key value } } } } }"""
_CHECKS = """query($run: ID!) { runOrError(runId: $run) { ... on Run { eventConnection(limit: 1000) { events {
    ... on AssetCheckEvaluationEvent { evaluation { checkName success severity } } } } } } }"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } } }"""
_CANCEL = """mutation($runs: [String!]!) { terminateRuns(runIds: $runs, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) {
    __typename } }"""


@dataclass(frozen=True)
class Run:
    """A run as the API tells it."""

    run_id: str
    status: str
    tags: dict[str, str]


class DagsterUi:
    """A running Dagster webserver."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"
        self._session = requests.Session()

    def answers(self) -> bool:
        """Whether the webserver is up."""
        try:
            self._ask("{ version }")
        except requests.RequestException:
            return False
        return True

    def location_loaded(self) -> bool:
        """Whether the code location is loaded.

        Raises:
            DemoError: its code has an error.
        """
        for entry in self._ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]:
            loaded = entry["locationOrLoadError"] or {}
            if "message" in loaded and "UNAVAILABLE" not in loaded["message"]:
                raise DemoError(f"The code location {entry['name']} does not load: {loaded['message']}")
            if entry["name"] == LOCATION and loaded.get("__typename") == "RepositoryLocation":
                return True
        return False

    def daemons_reported(self, since: float) -> bool:
        """Whether every daemon that this instance needs has reported since then, epoch seconds.

        Dagster calls one healthy for half an hour after its last report, so also one that a former demo had.
        """
        states = self._ask(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        needed = [state["lastHeartbeatTime"] or 0 for state in states if state["required"]]
        return bool(needed) and min(needed) >= since

    def runs(self, **wanted: Any) -> list[Run]:
        """Runs that fit the filter, newest first."""
        return [
            Run(found["runId"], found["status"], {tag["key"]: tag["value"] for tag in found["tags"]})
            for found in self._ask(_RUNS, filter=wanted)["runsOrError"]["results"]
        ]

    def unfinished(self, **wanted: Any) -> list[str]:
        """Ids of the runs that fit the filter and wait or are at work."""
        return [run.run_id for run in self.runs(statuses=_UNFINISHED, **wanted)]

    def cancel_unfinished(self) -> int:
        """Mark every unfinished run as cancelled, for a Dagster that has just started and has none at work."""
        left = self.unfinished()
        if left:
            self._ask(_CANCEL, runs=left)
        return len(left)

    def failed_checks(self, run_id: str) -> list[str]:
        """Names of the run's checks that failed as errors."""
        events = self._ask(_CHECKS, run=run_id)["runOrError"]["eventConnection"]["events"]
        evaluations = [event["evaluation"] for event in events if event.get("evaluation")]
        return [one["checkName"] for one in evaluations if not one["success"] and one["severity"] == "ERROR"]

    def materialize(self, group: str, partition: str | None = None) -> str:
        """Materialize a group's assets, or a partition of them, as the button of the UI does; the run's id.

        Raises:
            DemoError: Dagster refuses the run.
        """
        keys = [
            {"path": node["assetKey"]["path"]}
            for node in self._ask(_ASSETS)["assetNodes"]
            if node["groupName"] == group and node["isMaterializable"]
        ]
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": _REPOSITORY,
            "jobName": "__ASSET_JOB",
            "assetSelection": keys,
        }
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}, "runConfigData": {}}
        answer = self._ask(_LAUNCH, params=params)["launchPipelineExecution"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DemoError(f"Dagster did not take the run of {partition or group}: {answer}")
        return answer["run"]["runId"]

    def _ask(self, question: str, **variables: Any) -> dict[str, Any]:
        answer = self._session.post(
            self._url, json={"query": question, "variables": variables}, timeout=_TIMEOUT_SECONDS
        )
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise DemoError(f"Dagster's API did not take a question of the demo: {body['errors'][0]['message']}")
        return body["data"]
