"""What the Schema Registry shows of its objects.

Belongs here: the objects of a container, one object in a form, the unions and the statistics. Does not belong here:
reading the form from a header (`schema_registry_accept`) and changing anything (`schema_registry_objects`).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from capillary_adobe.emulators.effective_schema import effective_schema, folded, merged
from capillary_adobe.emulators.sandboxes import Resources
from capillary_adobe.emulators.schema_registry_accept import Form, without_texts
from capillary_adobe.emulators.schema_registry_evolution import enabled
from capillary_adobe.emulators.standard_groups import standard
from capillary_adobe.emulators.tenant import Tenant

_STANDARD: Final = {"classes": "classes", "fieldgroups": "mixins"}
_BRIEF: Final = ("$id", "meta:altId", "version", "title")
_RECENT: Final = 10
_UNION: Final = "__union"


class Views:
    """The objects of one sandbox, shown to a client of the tenant."""

    def __init__(self, resources: Resources, tenant: Tenant) -> None:
        self._resources = resources
        self._tenant = tenant

    def all(self, container: str, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind in a container, as it is kept."""
        if container == "global":
            word = _STANDARD.get(kind)
            return [content for content in standard().values() if content["meta:resourceType"] == word]
        return self.unions() if kind == "unions" else self._resources.all(kind)

    def one(self, container: str, kind: str, id_: str) -> dict[str, Any] | None:
        """An object by its `$id` or `meta:altId`, as it is kept."""
        return next((item for item in self.all(container, kind) if id_ in (item["$id"], item["meta:altId"])), None)

    def listed(self, content: dict[str, Any], form: Form) -> dict[str, Any]:
        """An object in a list."""
        return {name: content[name] for name in _BRIEF} if "id" in form.flags else with_tag(content)

    def shown(self, content: dict[str, Any], form: Form) -> dict[str, Any]:
        """An object on its own."""
        whole = with_tag(self._full(content) if "full" in form.flags else content)
        if "desc" in form.flags:
            told = [item for item in self._resources.all("descriptors") if item["xdm:sourceSchema"] == content["$id"]]
            whole |= {"meta:descriptors": told}
        return without_texts(whole) if "notext" in form.flags else whole

    def unions(self) -> list[dict[str, Any]]:
        """For each class with a schema enabled for Profile: all such schemas as one."""
        found: dict[str, dict[str, Any]] = {}
        for schema in self._resources.all("schemas"):
            if enabled(schema):
                class_ = standard()[schema["meta:class"]]
                union = found.setdefault(class_["$id"], _union(class_))
                known = {part["$ref"] for part in union["allOf"]}
                union["allOf"] += [part for part in schema["allOf"] if part["$ref"] not in known]
                union["meta:extends"] = [part["$ref"] for part in union["allOf"]]
        return list(found.values())

    def stats(self) -> dict[str, Any]:
        """Whose Registry this is and what is in it."""
        schemas = self._resources.all("schemas")
        made = [item for kind in ("schemas", "fieldgroups", "datatypes") for item in self._resources.all(kind)]
        return {
            "imsOrg": self._tenant.org_id,
            "tenantId": self._tenant.tenant_id,
            "counts": {
                "schemas": len(schemas),
                "mixins": len(self._resources.all("fieldgroups")),
                "datatypes": len(self._resources.all("datatypes")),
                "classes": 0,
                "unions": len(self.unions()),
            },
            "recentlyCreatedResources": _latest(made, "repo:createdDate"),
            "recentlyUpdatedResources": _latest(made, "repo:lastModifiedDate"),
            "classUsage": [_usage(class_, schemas) for class_ in self.all("global", "classes")],
        }

    def _full(self, content: dict[str, Any]) -> dict[str, Any]:
        whole = effective_schema(self._resources, content["$id"], self._tenant.tenant_id)
        if whole is not None:
            return whole
        named = {name: value for name, value in content.items() if name not in ("definitions", "allOf", "refs")}
        return merged(named, folded(self._resources, content))


def with_tag(content: dict[str, Any]) -> dict[str, Any]:
    """An object with the tag of its state."""
    tag = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return content | {"meta:registryMetadata": content.get("meta:registryMetadata", {}) | {"eTag": tag}}


def _union(class_: dict[str, Any]) -> dict[str, Any]:
    return {
        "$id": f"{class_['$id']}{_UNION}",
        "meta:altId": f"{class_['meta:altId']}{_UNION}",
        "meta:resourceType": "unions",
        "version": "1.0",
        "title": class_["title"],
        "description": "The union of the schemas that are enabled for Profile",
        "type": "object",
        "allOf": [],
        "meta:class": class_["$id"],
        "meta:containerId": "tenant",
        "meta:xdmType": "object",
    }


def _latest(made: list[dict[str, Any]], date: str) -> list[dict[str, Any]]:
    dated = sorted(made, key=lambda item: item.get("meta:registryMetadata", {}).get(date, 0), reverse=True)
    return [{name: item[name] for name in _BRIEF} for item in dated[:_RECENT]]


def _usage(class_: dict[str, Any], schemas: list[dict[str, Any]]) -> dict[str, Any]:
    used = [{name: item[name] for name in _BRIEF} for item in schemas if item["meta:class"] == class_["$id"]]
    return {"$id": class_["$id"], "title": class_["title"], "numberOfSchemas": len(used), "schemas": used}
