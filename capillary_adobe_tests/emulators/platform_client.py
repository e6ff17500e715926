"""A plain client of the Platform API, and entities that follow the schemas.

Belongs here: what several test files need to speak to the gateway and what lies behind it. Does not belong here: any
expectation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import requests

from capillary_adobe.emulators.aep import Behaviour, RunningEmulator
from capillary_adobe_tests.emulators.client import CONTENT_TYPE, Client

T = TypeVar("T")

FINAL = frozenset({"success", "active", "failed", "failure", "aborted", "abandoned", "stalled", "inactive", "deleted"})


def eventually(look: Callable[[], T | None], what: str = "what was waited for", seconds: float = 120) -> T:
    """Look again and again until there is something to see.

    Ever less often: a look asks the server that is waited for, and it and the test have a machine together.
    """
    deadline, pause = time.monotonic() + seconds, 0.005
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return seen


def good(entity_id: str = "e-1", **fields: object) -> dict[str, Any]:
    """An event that follows its schema."""
    return {
        "_id": entity_id,
        "timestamp": "2026-04-23T17:30:41.201Z",
        "eventType": "loyalty.pointsIssued",
        "identityMap": {"capillaryCustomerId": [{"id": "c-1", "primary": True}]},
    } | fields


def good_profile(customer: str = "c-1") -> dict[str, Any]:
    """A profile that follows its schema."""
    return {
        "identityMap": {"capillaryCustomerId": [{"id": customer, "primary": True}]},
        "extSourceSystemAudit": {"lastUpdatedDate": "2026-04-23T17:30:41.201Z"},
    }


def lines(*entities: dict[str, Any] | bytes) -> bytes:
    """A file of JSON lines; bytes go in as they are."""
    return b"\n".join(entity if isinstance(entity, bytes) else orjson.dumps(entity) for entity in entities)


def parsed(answer: requests.Response) -> list[dict[str, Any]]:
    """The content of a file of JSON lines."""
    return [orjson.loads(line) for line in answer.content.splitlines()]


@contextmanager
def running(store: Path, **behaviour: Any) -> Iterator[Platform]:
    """The Platform API of an emulator that loses no time, until the context ends."""
    swift = Behaviour(**({"batch_seconds": 0, "validation_seconds": 0.05} | behaviour))
    with RunningEmulator(store, behaviour=swift) as emulator, requests.Session() as session:
        yield Platform(Client(emulator, session))


class Platform:
    """Calls with the headers that the gateway wants."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.tenant = client.tenant
        self.events = client.tenant.events_dataset_id
        self.profiles = client.tenant.profiles_dataset_id

    def headers(self, **changes: str | None) -> dict[str, str]:
        """The headers of a call; `_` in a name stands for `-`, None leaves the header out."""
        headers: dict[str, str | None] = {
            "Authorization": f"Bearer {self.client.token}",
            "x-api-key": self.tenant.client_id,
            "x-gw-ims-org-id": self.tenant.org_id,
            "x-sandbox-name": self.tenant.sandbox_name,
        }
        changed = headers | {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in changed.items() if value is not None}

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        """Any call below /data/foundation/."""
        url = path if path.startswith("http") else f"{self.client.base_url}/data/foundation/{path}"
        sent = self.headers() if headers is None else headers
        return requests.request(method, url, headers=sent, timeout=30, **more)

    def get(self, path: str, /, **params: object) -> requests.Response:
        """Read."""
        return self.call("GET", path, params=params)

    def create(self, **body: Any) -> requests.Response:
        """Create a batch of events as JSON lines, unless the body says otherwise."""
        content = {"datasetId": self.events, "inputFormat": {"format": "json"}} | body
        return self.call("POST", "import/batches", json=content)

    def begin(self, **body: Any) -> str:
        """Create a batch and give its id."""
        return self.create(**body).json()["id"]

    def file(self, batch: str, path: str, dataset: str | None = None) -> str:
        """The path of a file of a batch."""
        return f"import/batches/{batch}/datasets/{dataset or self.dataset_of(batch)}/files/{path}"

    def dataset_of(self, batch: str) -> str:
        """The dataset of a batch."""
        return self.batch(batch)["relatedObjects"][0]["id"]

    def put(self, batch: str, path: str, data: Any, dataset: str | None = None) -> requests.Response:
        """Upload a file in one piece."""
        headers = self.headers(Content_Type="application/octet-stream")
        return self.call("PUT", self.file(batch, path, dataset), headers, data=data)

    def act(self, batch: str, action: str) -> requests.Response:
        """Act on a batch."""
        return self.call("POST", f"import/batches/{batch}", params={"action": action})

    def batch(self, batch: str) -> dict[str, Any]:
        """A batch in the Catalog."""
        return self.get(f"catalog/batches/{batch}").json()[batch]

    def final(self, batch: str) -> dict[str, Any]:
        """A batch once its status is final."""

        def look() -> dict[str, Any] | None:
            found = self.batch(batch)
            return found if found["status"] in FINAL else None

        return eventually(look, f"the final status of {batch}")

    def ingest(self, *files: bytes, **body: Any) -> tuple[str, dict[str, Any]]:
        """Send files as one batch and wait for its end."""
        batch = self.begin(**body)
        for number, data in enumerate(files):
            assert self.put(batch, f"part-{number}", data).ok
        assert self.act(batch, "COMPLETE").status_code == 200
        return batch, self.final(batch)

    def failed_batches(self, **params: object) -> dict[str, dict[str, Any]]:
        """The failed batches of events, oldest first."""
        params = {"dataSet": self.events, "status": "failed", "limit": 100, "orderBy": "asc:created"} | params
        return self.get("catalog/batches", **params).json()

    def some_failed(self, count: int = 1) -> dict[str, dict[str, Any]]:
        """The failed batches of events once there are so many."""

        def look() -> dict[str, dict[str, Any]] | None:
            found = self.failed_batches()
            return found if len(found) >= count else None

        return eventually(look, f"{count} failed batches")

    def failed_records(self, batch: str) -> list[dict[str, Any]]:
        """Every record of a failed batch, read as a client reads them: page by page, file by file."""
        records: list[dict[str, Any]] = []
        url: str | None = f"export/batches/{batch}/failed"
        while url:
            page = self.get(url).json()
            for entry in page["data"]:
                answer = self.get(entry["_links"]["self"]["href"])
                assert len(answer.content) == int(entry["length"])
                records += parsed(answer)
            url = page.get("_links", {}).get("next", {}).get("href")
        return records

    def validated(self) -> dict[str, Any]:
        """The emulator's summary once everything is validated."""

        def look() -> dict[str, Any] | None:
            summary = self.client.summary()
            return None if summary["awaiting_validation"] else summary

        return eventually(look, "the end of the validation")

    def stream(self, *entities: dict[str, Any], dataset: str | None = None, **header: object) -> requests.Response:
        """Stream entities to the inlet."""
        return self.client.send_many(*(self.message(entity, dataset, **header) for entity in entities))

    def message(self, entity: dict[str, Any], dataset: str | None = None, **header: object) -> dict[str, Any]:
        """A message with this entity."""
        target = self.tenant.datasets()[dataset or self.events]
        reference = {"id": target.schema_id, "contentType": CONTENT_TYPE}
        usual = {"schemaRef": reference, "imsOrgId": self.tenant.org_id, "datasetId": target.dataset_id}
        return {
            "header": usual | {"flowId": target.flow_id} | header,
            "body": {"xdmMeta": {"schemaRef": reference}, "xdmEntity": entity},
        }
