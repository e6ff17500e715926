"""Datasets in the Catalog: finding, making, enabling for Profile.

Belongs here: addresses and bodies of `dataSets`. Does not belong here: batches (`catalog.py`).
Sources: catalog.yaml of github.com/AdobeDocs/experience-platform-apis and
experienceleague.adobe.com/docs/experience-platform/catalog/datasets/enable-upsert.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from capillary_adobe.adobe.platform import NotThere, Platform, json_of, segment

_ROOT: Final = "/data/foundation/catalog/dataSets"
_PAGE: Final = 100
_MOST_PAGES: Final = 100
_ENABLED: Final = "enabled:true"
_TAGS: Final = ("unifiedProfile", "unifiedIdentity")
_PATCH: Final = {"Content-Type": "application/json-patch+json"}


@dataclass(frozen=True)
class Dataset:
    """A dataset: the schema its data follows, and whether it is enabled for Profile."""

    id: str
    name: str
    schema_id: str
    in_profile: bool


class Datasets:
    """The datasets of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def named(self, name: str) -> list[Dataset]:
        """Every dataset with exactly this name; the Catalog lets several have it."""
        found: dict[str, Dataset] = {}
        for page in range(_MOST_PAGES):
            params = {"name": name, "limit": _PAGE, "start": page * _PAGE, "properties": "name,schemaRef,tags"}
            body = json_of(self._platform.call("GET", _ROOT, params=params))
            entries = body if isinstance(body, dict) else {}
            found |= {id_: _dataset(id_, entry) for id_, entry in entries.items() if isinstance(entry, dict)}
            if len(entries) < _PAGE:
                break
        return [one for one in found.values() if one.name == name]

    def one(self, dataset_id: str) -> Dataset | None:
        """A dataset by its id; None where the sandbox has none."""
        try:
            body = json_of(self._platform.call("GET", f"{_ROOT}/{segment(dataset_id)}"))
        except NotThere:
            return None
        entry = body.get(dataset_id) if isinstance(body, dict) else None
        return _dataset(dataset_id, entry) if isinstance(entry, dict) else None

    def create(self, name: str, description: str, schema_id: str, content_type: str, *, in_profile: bool) -> str:
        """Make a dataset; its id.

        Raises:
            Refused: the Catalog does not take it.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        body: dict[str, Any] = {
            "name": name,
            "description": description,
            "schemaRef": {"id": schema_id, "contentType": content_type},
        }
        if in_profile:
            body["tags"] = {tag: [_ENABLED] for tag in _TAGS}
        made = json_of(self._platform.call("POST", _ROOT, json=body, repeat_unanswered=False))
        reference = str(made[0]) if isinstance(made, list) and made else ""
        return reference.rpartition("/")[2]

    def put_in_profile(self, dataset_id: str) -> None:
        """Enable a dataset for Profile.

        Raises:
            Refused: the Catalog does not take the change.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        operations = [{"op": "add", "path": f"/tags/{tag}", "value": [_ENABLED]} for tag in _TAGS]
        path = f"{_ROOT}/{segment(dataset_id)}"
        self._platform.call("PATCH", path, json=operations, headers=_PATCH, repeat_unanswered=False)


def _dataset(id_: str, entry: dict[str, Any]) -> Dataset:
    reference, tags = entry.get("schemaRef"), entry.get("tags")
    profile = tags.get(_TAGS[0]) if isinstance(tags, dict) else None
    words = {str(word).replace(" ", "") for word in profile} if isinstance(profile, list) else set()
    schema_id = reference.get("id") if isinstance(reference, dict) else None
    return Dataset(id_, str(entry.get("name") or ""), str(schema_id or ""), _ENABLED in words)
