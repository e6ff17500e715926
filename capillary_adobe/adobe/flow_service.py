"""The Flow Service: streaming connections with their inlet, source and target connections, dataflows.

Belongs here: its addresses and filters, what comes back as plain values. Does not belong here: what they are to say
(`adobe.setup`).
Sources: flow-service.yaml of github.com/AdobeDocs/experience-platform-apis and
experienceleague.adobe.com/docs/experience-platform/sources/tutorials/api/create/streaming/http.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from capillary_adobe.adobe.platform import NotThere, Platform, json_of, segment

Entity = Literal["connections", "sourceConnections", "targetConnections", "flows"]
Json = dict[str, Any]

_ROOT: Final = "/data/foundation/flowservice"
_MOST_PAGES: Final = 100
# What the service keeps of something that was taken away.
_GONE: Final = frozenset({"deleted", "deleting"})


@dataclass(frozen=True)
class FlowObject:
    """One object of the service; `content` is what it answers."""

    id: str
    name: str
    state: str
    content: Json

    def at(self, *path: str) -> Any:
        """A value within the content; None where a step of the path is missing."""
        value: Any = self.content
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value


class FlowService:
    """The Flow Service of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def listed(self, entity: Entity, path: str, value: str) -> list[FlowObject]:
        """The objects whose property at this path, such as `name`, has this value."""
        params: dict[str, Any] = {"property": f"{path}=={value}"}
        found: dict[str, FlowObject] = {}
        for _ in range(_MOST_PAGES):
            page = _object(json_of(self._platform.call("GET", f"{_ROOT}/{entity}", params=params)))
            items = page.get("items")
            new = [_flow_object(one) for one in (items if isinstance(items, list) else []) if isinstance(one, dict)]
            found |= {one.id: one for one in new if one.id and one.state not in _GONE}
            following = _continuation(page)
            if not new or following is None:
                break
            params["continuationToken"] = following
        return list(found.values())

    def named(self, entity: Entity, name: str) -> list[FlowObject]:
        """The objects with exactly this name; the service lets several have it."""
        return [one for one in self.listed(entity, "name", name) if one.name == name]

    def one(self, entity: Entity, id_: str) -> FlowObject | None:
        """An object by its id; None where the sandbox has none."""
        try:
            body = _object(json_of(self._platform.call("GET", f"{_ROOT}/{entity}/{segment(id_)}")))
        except NotThere:
            return None
        items = body.get("items")
        found = items[0] if isinstance(items, list) and items else body
        made = _flow_object(_object(found))
        return made if made.id and made.state not in _GONE else None

    def create(self, entity: Entity, body: Mapping[str, Any]) -> str:
        """Make an object; its id.

        Raises:
            Refused: the service does not take it.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        answer = self._platform.call("POST", f"{_ROOT}/{entity}", json=dict(body), repeat_unanswered=False)
        return str(_object(json_of(answer)).get("id") or "")


def _flow_object(content: Json) -> FlowObject:
    return FlowObject(
        str(content.get("id") or ""),
        str(content.get("name") or ""),
        str(content.get("state") or "enabled").lower(),
        content,
    )


def _continuation(page: Json) -> str | None:
    """The token of the next page, which some answers give only inside a link."""
    href = _object(_object(page.get("_links")).get("next")).get("href")
    given = parse_qs(urlsplit(href).query).get("continuationToken") if isinstance(href, str) else None
    return given[0] if given else None


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
