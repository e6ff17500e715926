"""The Schema Registry: field groups, schemas and descriptors of a sandbox.

Belongs here: its addresses, the forms of an answer it must be asked for, what comes back as plain values. Does not belong
here: what a schema ought to say (`adobe.setup`) and what it means for an entity (`xdm.tenant_schemas`).
Sources: schema-registry.yaml of github.com/AdobeDocs/experience-platform-apis and the API guide at
experienceleague.adobe.com/docs/experience-platform/xdm/api/getting-started.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from capillary_adobe.adobe.errors import PermanentDeliveryError
from capillary_adobe.adobe.platform import NotThere, Platform, json_of, segment

Container = Literal["fieldgroups", "schemas"]
Json = dict[str, Any]

_ROOT: Final = "/data/foundation/schemaregistry"
_TENANT: Final = f"{_ROOT}/tenant"
_LISTED: Final = {"Accept": "application/vnd.adobe.xed-id+json"}
_PLAIN: Final = {"Accept": "application/vnd.adobe.xed+json; version=1"}
_FULL: Final = {"Accept": "application/vnd.adobe.xed-full+json; version=1"}
# Descriptors speak XDM where everything else speaks XED.
_DESCRIPTORS: Final = {"Accept": "application/vnd.adobe.xdm+json"}
_WRITTEN: Final = {"Content-Type": "application/json"}
_MOST_PAGES: Final = 100

IDENTITY: Final = "xdm:descriptorIdentity"


@dataclass(frozen=True)
class TenantSchema:
    """A schema as the registry shows it in full: every reference resolved."""

    id: str
    version: str
    content: Json


@dataclass(frozen=True)
class IdentityDescriptor:
    """That a field of a schema holds an identity."""

    id: str
    path: str
    namespace: str
    is_primary: bool


class SchemaRegistry:
    """The Schema Registry of one sandbox; safe to share between threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def tenant_id(self) -> str:
        """The organisation's tenant id, without its underscore.

        Raises:
            PermanentDeliveryError: the registry names none.
        """
        found = _object(json_of(self._platform.call("GET", f"{_ROOT}/stats", headers={"Accept": "application/json"})))
        tenant = found.get("tenantId")
        if not isinstance(tenant, str) or not tenant.strip("_ "):
            raise PermanentDeliveryError(
                "The Schema Registry names no tenant id for the organisation. Set ADOBE_TENANT_ID to the one that Adobe "
                "gave it, without its underscore."
            )
        return tenant.strip().removeprefix("_")

    def ids(self, container: Container, title: str) -> list[str]:
        """The `$id`s of the tenant's field groups or schemas with exactly this title."""
        listed = self._listed(container, title)
        return [str(one["$id"]) for one in listed if one.get("title") == title and one.get("$id")]

    def plain(self, container: Container, id_: str) -> Json | None:
        """A field group or schema as it was written, references left as they are; None where there is none."""
        return self._one(container, id_, _PLAIN)

    def full(self, schema_id: str) -> TenantSchema:
        """A schema with every reference resolved.

        Raises:
            NotThere: the sandbox has no such schema.
            Refused: the registry does not show it.
            TransientDeliveryError: repeating did not help within the retry budget.
        """
        answer = self._platform.call("GET", f"{_TENANT}/schemas/{segment(schema_id)}", headers=_FULL)
        content = _object(json_of(answer))
        return TenantSchema(schema_id, str(content.get("version") or ""), content)

    def create(self, container: Container, body: Mapping[str, Any]) -> str:
        """Make a field group or schema; its `$id`.

        Raises:
            Refused: the registry does not take it.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        answer = self._platform.call(
            "POST", f"{_TENANT}/{container}", json=dict(body), headers=_WRITTEN, repeat_unanswered=False
        )
        return str(_object(json_of(answer)).get("$id") or "")

    def patch(self, container: Container, id_: str, operations: Sequence[Json]) -> None:
        """Change a field group or schema by JSON Patch.

        Raises:
            Refused: the registry does not take the change.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        path = f"{_TENANT}/{container}/{segment(id_)}"
        self._platform.call("PATCH", path, json=list(operations), headers=_WRITTEN, repeat_unanswered=False)

    def identity_descriptors(self, schema_id: str) -> list[IdentityDescriptor]:
        """The identity descriptors of a schema."""
        params = {"property": f"xdm:sourceSchema=={schema_id}"}
        answer = self._platform.call("GET", f"{_TENANT}/descriptors", params=params, headers=_DESCRIPTORS)
        # A type of which there is none stands nowhere in the answer.
        listed = _object(json_of(answer)).get(IDENTITY)
        return [
            IdentityDescriptor(
                str(one.get("@id") or ""),
                str(one.get("xdm:sourceProperty") or ""),
                str(one.get("xdm:namespace") or ""),
                one.get("xdm:isPrimary") is True,
            )
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and one.get("xdm:sourceSchema") == schema_id
        ]

    def create_identity_descriptor(self, schema_id: str, path: str, namespace: str) -> str:
        """Mark a field as a secondary identity; the descriptor's `@id`.

        Raises:
            Refused: the registry does not take it.
            Unanswered: whether it was made is unknown; look before making it again.
        """
        body = {
            "@type": IDENTITY,
            "xdm:sourceSchema": schema_id,
            "xdm:sourceVersion": 1,
            "xdm:sourceProperty": path,
            "xdm:namespace": namespace,
            "xdm:property": "xdm:code",
            "xdm:isPrimary": False,
        }
        answer = self._platform.call(
            "POST", f"{_TENANT}/descriptors", json=body, headers=_WRITTEN, repeat_unanswered=False
        )
        return str(_object(json_of(answer)).get("@id") or "")

    def _one(self, container: Container, id_: str, accept: Mapping[str, str]) -> Json | None:
        try:
            return _object(json_of(self._platform.call("GET", f"{_TENANT}/{container}/{segment(id_)}", headers=accept)))
        except NotThere:
            return None

    def _listed(self, container: Container, title: str) -> Iterator[Json]:
        # `start` goes on behind a value of what the list is ordered by, which the registry would choose itself.
        params: dict[str, Any] = {"property": f"title=={title}", "orderby": "title"}
        for _ in range(_MOST_PAGES):
            answer = self._platform.call("GET", f"{_TENANT}/{container}", params=params, headers=_LISTED)
            page = _object(json_of(answer))
            results = page.get("results")
            yield from (one for one in (results if isinstance(results, list) else []) if isinstance(one, dict))
            following = _object(page.get("_page")).get("next")
            if not following:
                return
            params = {**params, "start": following}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
