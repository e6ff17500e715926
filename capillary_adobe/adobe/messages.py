"""Messages of the streaming inlet: an entity in its envelope, and requests packed by size.

Belongs here: bytes. Does not belong here: sending them (`inlet.py`).
Source: experienceleague.adobe.com/docs/experience-platform/ingestion/tutorials/streaming-multiple-messages.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from capillary_adobe.settings import AdobeSettings

_OPEN = b'{"messages":['
_CLOSE = b"]}"
CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"


@dataclass(frozen=True)
class Message:
    """One entity on its way: its `_id` and its JSON."""

    id: str
    entity: bytes


@dataclass(frozen=True)
class Envelope:
    """What stands around every entity of one dataset."""

    before: bytes
    after: bytes = b"}}"

    @classmethod
    def of_events(cls, settings: AdobeSettings) -> Envelope:
        """The envelope of the events dataset."""
        return cls._of(settings.org_id, settings.events_schema_id, settings.events_dataset_id, settings.events_flow_id)

    @classmethod
    def of_profiles(cls, settings: AdobeSettings) -> Envelope | None:
        """The envelope of the profiles dataset; None where it is not set up."""
        ids = (settings.profiles_schema_id, settings.profiles_dataset_id, settings.profiles_flow_id)
        schema_id, dataset_id, flow_id = ids
        if schema_id is None or dataset_id is None or flow_id is None:
            return None
        return cls._of(settings.org_id, schema_id, dataset_id, flow_id)

    @classmethod
    def _of(cls, org_id: str, schema_id: str, dataset_id: str, flow_id: str) -> Envelope:
        schema_ref = {"id": schema_id, "contentType": CONTENT_TYPE}
        header = {
            "schemaRef": schema_ref,
            "imsOrgId": org_id,
            "datasetId": dataset_id,
            "flowId": flow_id,
            "source": {"name": "capillary-adobe"},
        }
        head = orjson.dumps({"header": header, "body": {"xdmMeta": {"schemaRef": schema_ref}}})
        return cls(before=head[:-2] + b',"xdmEntity":')

    @property
    def overhead(self) -> int:
        """Bytes around an entity within a request, its comma counted."""
        return len(self.before) + len(self.after) + 1

    def size(self, message: Message) -> int:
        """Bytes of a message within a request, its comma counted."""
        return len(message.entity) + self.overhead

    def body(self, messages: Iterable[Message]) -> bytes:
        """The body of a request."""
        return _OPEN + b",".join(self.before + m.entity + self.after for m in messages) + _CLOSE

    def pack(
        self, messages: Iterable[Message], max_bytes: int, max_messages: int | None = None
    ) -> Iterator[list[Message]]:
        """Requests just under the size limit and with at most so many messages, in order."""
        room = max_bytes - len(_OPEN) - len(_CLOSE)
        packed: list[Message] = []
        size = 0
        for message in messages:
            more = self.size(message)
            if packed and (size + more > room or len(packed) == max_messages):
                yield packed
                packed, size = [], 0
            packed.append(message)
            size += more
        if packed:
            yield packed
