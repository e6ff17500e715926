"""Datasets, the streaming connection with its inlet, and the dataflows: how each is recognised and made.

Belongs here: one class for each kind of object of the Catalog and the Flow Service. Does not belong here: schemas
(`schema_parts`) and the order of things (`running`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from capillary_adobe.adobe.errors import TransientDeliveryError
from capillary_adobe.adobe.flow_service import Entity, FlowObject
from capillary_adobe.adobe.setup.model import Action, Finding, Ids, Part
from capillary_adobe.adobe.setup.sandbox import ASKED, RENAME, Sandbox, choose, person
from capillary_adobe.xdm.schemas import Kind

BASE: Final = "base_connection_id"


class DatasetPart(Part):
    """The dataset of one kind of entity."""

    kind = "dataset"

    def __init__(self, sandbox: Sandbox, kind: Kind) -> None:
        self._sandbox = sandbox
        self.key = f"{kind}_dataset_id"
        self.name = sandbox.named(kind)
        self._kind = kind
        self._variable = f"ADOBE_{self.key.upper()}"

    def look(self, ids: Ids, /) -> Finding:
        """See whether it is there and follows the schema."""
        datasets = self._sandbox.datasets
        schema_id = ids.get(f"{self._kind}_schema_id")
        given = self._sandbox.given.get(self.key)
        id_, unclear = given, None
        if not given:
            listed = [one.id for one in datasets.named(self.name)]
            id_, unclear = self._sandbox.known(self.key, listed, "datasets", choose(self._variable), datasets.one)
        if unclear is not None:
            return unclear
        found = datasets.one(id_) if id_ else None
        if found is None:
            if given:
                return person(f"{self._variable} names no dataset of this sandbox. Correct it, or take it away.", given)
            return Finding(Action.CREATE)
        if found.schema_id != schema_id:
            return person(
                f"It follows the schema {found.schema_id}, not the {self._kind} schema. Set ADOBE_{self._kind.upper()}"
                f"_SCHEMA_ID to that one, or give the dataset another name in AEP: a dataset's schema cannot be changed.",
                found.id,
            )
        return Finding(Action.GIVEN if given else Action.EXISTS, found.id)

    def make(self, ids: Ids, /) -> str:
        """Create it, enabled for Profile where that is asked for."""
        return self._sandbox.datasets.create(
            self.name,
            f"Loyalty {self._kind} of Capillary.",
            ids[f"{self._kind}_schema_id"],
            self._sandbox.settings.dataset_content_type,
            in_profile=self._sandbox.wanted.enable_profile,
        )


class DatasetInProfilePart(Part):
    """That the data of a dataset goes into Profile."""

    kind = "Profile tag"

    def __init__(self, sandbox: Sandbox, kind: Kind) -> None:
        self._sandbox = sandbox
        self.name = f"dataset {sandbox.named(kind)}"
        self.key = f"{kind}_dataset_in_profile"
        self._dataset_key = f"{kind}_dataset_id"

    def look(self, ids: Ids, /) -> Finding:
        """See whether the dataset is enabled."""
        dataset_id = ids.get(self._dataset_key)
        found = self._sandbox.datasets.one(dataset_id) if dataset_id else None
        id_ = found.id if found else ""
        if found and found.in_profile:
            return Finding(Action.EXISTS, id_)
        if not self._sandbox.wanted.enable_profile:
            return Finding(Action.EXISTS, id_, differences=(ASKED,))
        return Finding(Action.EXTEND, id_, "data sent before is not in Profile")

    def make(self, ids: Ids, /) -> str:
        """A tag is only ever added to a dataset."""
        raise NotImplementedError(f"a tag is only ever added: {ids}")

    def extend(self, found: Finding, /) -> None:
        """Enable it."""
        self._sandbox.datasets.put_in_profile(found.id)


class InletPart(Part):
    """The streaming connection: AEP gives its inlet's address with it."""

    kind = "streaming connection"
    key = BASE
    _entity: Entity = "connections"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.name = sandbox.named("inlet")

    def look(self, _ids: Ids, /) -> Finding:
        """See whether it is there, takes XDM, and asks for a token."""
        flows, given = self._sandbox.flows, self._sandbox.given.get("inlet_url")
        spec_id = self._sandbox.settings.streaming_spec_id
        if given:
            every = flows.listed(self._entity, "connectionSpec.id", spec_id)
            found = next((one for one in every if _inlet_url(self._whole(one)) == given), None)
            if found is None:
                return person(
                    "No streaming connection of this sandbox has the inlet of ADOBE_INLET_URL. Correct it, or take it away."
                )
        else:
            found, unclear = _find(self._sandbox, self._entity, self.key, self.name, "streaming connections")
            if unclear is not None:
                return unclear
            if found is None:
                return Finding(Action.CREATE, detail="XDM, with authentication")
        return self._judged(found, given)

    def make(self, _ids: Ids, /) -> str:
        """Create it."""
        settings = self._sandbox.settings
        params = {
            # AEP wants it unique among the sandbox's streaming connections.
            "sourceId": re.sub(r"\W+", "-", self.name).strip("-").lower(),
            "name": self.name,
            "dataType": "xdm",
            "authenticationRequired": True,
        }
        body = {
            "name": self.name,
            "description": "Inlet for loyalty events of Capillary.",
            "connectionSpec": {"id": settings.streaming_spec_id, "version": settings.spec_version},
            "auth": {"specName": "Streaming Connection", "params": params},
        }
        return self._sandbox.flows.create(self._entity, body)

    def show(self, id_: str, /) -> Finding:
        """With the address that AEP has given it."""
        found = self._sandbox.flows.one(self._entity, id_)
        if found is None:
            raise TransientDeliveryError(f"AEP has made the streaming connection {self.name} and does not show it yet.")
        return self._judged(found, None)

    def _judged(self, found: FlowObject, given: str | None) -> Finding:
        whole = self._whole(found)
        params = whole.at("auth", "params")
        params = params if isinstance(params, dict) else {}
        # The connector's answers spell it as a text too.
        if str(params.get("authenticationRequired")).lower() != "true":
            return person(f"It takes messages without a token, from anybody. {RENAME}", found.id)
        if str(params.get("dataType", "xdm")).lower() != "xdm":
            return person(f"It takes {params.get('dataType')} data and must take XDM. {RENAME}", found.id)
        url = _inlet_url(whole)
        if not url:
            raise TransientDeliveryError(f"AEP shows no inlet address of the streaming connection {self.name} yet.")
        off = () if whole.state == "enabled" else (f"is {whole.state}. Enable it in the Sources workspace.",)
        return Finding(Action.GIVEN if given else Action.EXISTS, found.id, differences=off, recorded={"inlet_url": url})

    def _whole(self, listed: FlowObject) -> FlowObject:
        """The connection itself, where the list leaves the part with the inlet out."""
        if _inlet_url(listed):
            return listed
        return self._sandbox.flows.one(self._entity, listed.id) or listed


class RoadPart(Part):
    """A source connection, a target connection or a dataflow of one kind of entity."""

    def __init__(
        self,
        sandbox: Sandbox,
        kind: Kind,
        entity: Entity,
        words: tuple[str, str, str],
        body: Callable[[Sandbox, Kind, Ids], dict[str, Any]],
        mismatch: Callable[[FlowObject, Kind, Ids], str | None],
    ) -> None:
        self._sandbox = sandbox
        self._kind: Kind = kind
        self._entity: Entity = entity
        self.kind, self._plural, ending = words
        self.key = f"{kind}_{ending}_id"
        self.name = sandbox.named(f"{kind} {ending.partition('_')[0]}")
        self._body, self._mismatch = body, mismatch

    def look(self, ids: Ids, /) -> Finding:
        """See whether it is there and leads where it should."""
        given = self._sandbox.given.get(self.key)
        variable = f"ADOBE_{self.key.upper()}"
        if given:
            found = self._sandbox.flows.one(self._entity, given)
            if found is None:
                return person(f"{variable} names no {self.kind} of this sandbox. Correct it, or take it away.", given)
        else:
            cure = choose(variable) if self._entity == "flows" else RENAME
            found, unclear = _find(self._sandbox, self._entity, self.key, self.name, self._plural, cure)
            if unclear is not None:
                return unclear
            if found is None:
                return Finding(Action.CREATE)
        wrong = self._elsewhere(found, ids) if given else self._mismatch(found, self._kind, ids)
        if wrong and not given:
            return person(f"{wrong} Give it another name in AEP, then run set-up again.", found.id)
        off = () if found.state == "enabled" else (f"is {found.state}. Enable it in the Sources workspace.",)
        return Finding(
            Action.GIVEN if given else Action.EXISTS, found.id, differences=(*((wrong,) if wrong else ()), *off)
        )

    def make(self, ids: Ids, /) -> str:
        """Create it."""
        body = {"name": self.name, "description": f"Loyalty {self._kind} of Capillary."}
        return self._sandbox.flows.create(self._entity, body | self._body(self._sandbox, self._kind, ids))

    def _elsewhere(self, flow: FlowObject, ids: Ids) -> str | None:
        """Why a dataflow that is given does not lead from the inlet to the dataset."""
        ends: tuple[tuple[Entity, tuple[str, ...], str], ...] = (
            ("sourceConnections", ("baseConnectionId",), BASE),
            ("targetConnections", ("params", "dataSetId"), f"{self._kind}_dataset_id"),
        )
        for entity, path, key in ends:
            named = flow.at(f"{entity[:-1]}Ids")
            for id_ in named if isinstance(named, list) else [named]:
                end = self._sandbox.flows.one(entity, str(id_))
                if end is not None and end.at(*path) == ids.get(key):
                    break
            else:
                return "does not come from the inlet." if key == BASE else "does not lead to the dataset."
        return None


def road(sandbox: Sandbox, kind: Kind) -> list[RoadPart]:
    """What leads entities of a kind from the inlet to their dataset; a dataflow that is given brings its connections."""
    flow = RoadPart(sandbox, kind, "flows", ("dataflow", "dataflows", "flow"), _flow, _flow_mismatch)
    if sandbox.given.get(flow.key):
        return [flow]
    source = ("source connection", "source connections", "source_connection")
    target = ("target connection", "target connections", "target_connection")
    return [
        RoadPart(sandbox, kind, "sourceConnections", source, _source, _source_mismatch),
        RoadPart(sandbox, kind, "targetConnections", target, _target, _target_mismatch),
        flow,
    ]


def _source(sandbox: Sandbox, _kind: Kind, ids: Ids) -> dict[str, Any]:
    settings = sandbox.settings
    spec = {"id": settings.streaming_spec_id, "version": settings.spec_version}
    return {"baseConnectionId": ids[BASE], "connectionSpec": spec}


def _source_mismatch(found: FlowObject, _kind: Kind, ids: Ids) -> str | None:
    same = found.at("baseConnectionId") == ids.get(BASE)
    return None if same else "It belongs to another streaming connection."


def _target(sandbox: Sandbox, kind: Kind, ids: Ids) -> dict[str, Any]:
    settings = sandbox.settings
    return {
        "data": {"schema": {"id": ids[f"{kind}_schema_id"], "version": settings.target_content_type}},
        "params": {"dataSetId": ids[f"{kind}_dataset_id"]},
        "connectionSpec": {"id": settings.dataset_spec_id, "version": settings.spec_version},
    }


def _target_mismatch(found: FlowObject, kind: Kind, ids: Ids) -> str | None:
    same = found.at("params", "dataSetId") == ids.get(f"{kind}_dataset_id")
    return None if same else "It leads to another dataset."


def _flow(sandbox: Sandbox, kind: Kind, ids: Ids) -> dict[str, Any]:
    settings = sandbox.settings
    return {
        "flowSpec": {"id": settings.flow_spec_id, "version": settings.spec_version},
        "sourceConnectionIds": [ids[f"{kind}_source_connection_id"]],
        "targetConnectionIds": [ids[f"{kind}_target_connection_id"]],
    }


def _flow_mismatch(found: FlowObject, kind: Kind, ids: Ids) -> str | None:
    for end, place in (("source", "sourceConnectionIds"), ("target", "targetConnectionIds")):
        wanted = ids.get(f"{kind}_{end}_connection_id")
        named = found.at(place)
        if wanted is not None and wanted not in (named if isinstance(named, list) else [named]):
            return f"It has another {end} connection."
    return None


def _find(
    sandbox: Sandbox, entity: Entity, key: str, name: str, what: str, cure: str = RENAME
) -> tuple[FlowObject | None, Finding | None]:
    """The object that is recorded, or the one of a name."""
    listed = {one.id: one for one in sandbox.flows.named(entity, name)}
    one = partial(sandbox.flows.one, entity)
    id_, unclear = sandbox.known(key, list(listed), what, cure, one)
    return (listed.get(id_) or one(id_) if id_ else None), unclear


def _inlet_url(connection: FlowObject) -> str:
    url = connection.at("auth", "params", "inletUrl")
    return url if isinstance(url, str) else ""
