"""Looks at the objects of the installation in AEP, from record and namespaces to the inlet, and whether they fit.

Belongs here: one look at each kind of entity, at the record and at the inlet. Does not belong here: what the schemas must
hold (the drift report of `adobe.setup`). Nothing is written, and the inlet gets no message.
"""

from __future__ import annotations

from typing import Any, Final

import requests

from capillary_adobe.adobe.bearer import Bearer
from capillary_adobe.adobe.namespaces import Namespaces
from capillary_adobe.adobe.platform import NotThere, json_of, segment
from capillary_adobe.doctor.aep import Aep
from capillary_adobe.doctor.findings import Check, Verdict, fail, ok, skipped, warn
from capillary_adobe.environment import overriding
from capillary_adobe.settings import AdobeSettings, IdentitySettings, StorageSettings, load, variable
from capillary_adobe.state import EnvironmentRecord, State
from capillary_adobe.xdm.identities import EXTERNAL, namespaces_in_use
from capillary_adobe.xdm.schemas import Kind

_SETUP: Final = "Run `capillary-adobe setup`, or correct {variable}."
_NO_TOKEN: Final = "Needs an access token; `ims` tells why there is none."  # noqa: S105 - words, no secret
_FLOWS: Final = "/data/foundation/flowservice"
_FULL: Final = "application/vnd.adobe.xed+json; version=1"


class AepObjects:
    """What set-up made, as AEP has it."""

    def __init__(self, aep: Aep) -> None:
        self._aep = aep

    def checks(self) -> list[Check]:
        """Every look of this module, in order."""
        return [
            Check("environment record", self.record),
            Check("identity namespaces", self.namespaces, outside=True),
            Check("event objects", lambda: self.objects("events"), outside=True),
            Check("profile objects", lambda: self.objects("profiles"), outside=True),
            Check("inlet", self.inlet, outside=True),
        ]

    def record(self) -> Verdict | list[Verdict]:
        """Whether the environment sets something else than set-up recorded."""
        credential = self._aep.credential
        state = State(load(StorageSettings).state_url)
        look = state.look(seconds=3)
        recorded: dict[str, str] = {}
        if look is not None and "environment" not in look.missing:
            recorded = EnvironmentRecord(state, credential.org_id, credential.sandbox_name).read()
        if not recorded:
            if overriding():
                return ok("Nothing is recorded; the environment names the objects.")
            return warn("Nothing is recorded for this organisation and sandbox.", "Run `capillary-adobe setup`.")
        differing = [
            variable(AdobeSettings, name) for name, value in overriding().items() if recorded.get(name, value) != value
        ]
        return [
            warn(f"{name} is not what set-up recorded.", f"Take {name} out of the environment unless that is meant.")
            for name in differing
        ] or ok(f"{len(recorded)} values are recorded, and the environment contradicts none.")

    def namespaces(self) -> Verdict | list[Verdict]:
        """Whether the namespaces of the identities exist; without them no profile is reached."""
        if self._aep.lacks:
            return skipped(self._aep.lacks)
        there = {one.code for one in Namespaces(self._aep.platform).all() if one.is_active}
        wanted = dict.fromkeys((*namespaces_in_use(load(IdentitySettings)), EXTERNAL))
        return [
            fail(f"The sandbox has no active namespace {code}.", "Run `capillary-adobe setup`.")
            for code in wanted
            if code not in there
        ] or ok(f"The {len(wanted)} namespaces of the identities exist.")

    def objects(self, kind: Kind) -> Verdict | list[Verdict]:
        """Whether schema, dataset and dataflow of a kind of entity exist and belong together."""
        settings = self._aep.settings
        ids = {part: getattr(settings, f"{kind}_{part}_id") for part in ("schema", "dataset", "flow")}
        if not any(ids.values()):
            return skipped("Not set up; nothing is delivered of this kind.")
        if self._aep.lacks:
            return skipped(self._aep.lacks)
        faults = [
            *self._schema(kind, ids["schema"]),
            *self._dataset(kind, ids["dataset"], ids["schema"]),
            *self._flow(kind, ids["flow"], ids["dataset"]),
        ]
        return faults or ok("Schema, dataset, dataflow and inlet exist and belong together.")

    def inlet(self) -> Verdict:
        """Whether the inlet takes requests: a request without messages, so that nothing is ingested."""
        settings = self._aep.settings
        if not self._aep.has_token:
            return skipped(_NO_TOKEN)
        try:
            answer = requests.post(
                settings.batch_url,
                json={"messages": []},
                auth=Bearer(self._aep.token.value()),
                timeout=settings.timeout_seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return fail(
                f"The inlet does not answer ({type(error).__name__}).", "Check ADOBE_INLET_URL and the network."
            )
        return judge_inlet(answer.status_code)

    def _schema(self, kind: Kind, schema_id: str | None) -> list[Verdict]:
        if schema_id is None:
            return [_not_named(kind, "schema")]
        path = f"/data/foundation/schemaregistry/tenant/schemas/{segment(schema_id)}"
        return [] if self._get(path, {"Accept": _FULL}) else [_absent(kind, "schema")]

    def _dataset(self, kind: Kind, dataset_id: str | None, schema_id: str | None) -> list[Verdict]:
        if dataset_id is None:
            return [_not_named(kind, "dataset")]
        found = self._get(f"/data/foundation/catalog/dataSets/{segment(dataset_id)}")
        content = _object(found.get(dataset_id)) if found else None
        if content is None:
            return [_absent(kind, "dataset")]
        has = _object(content.get("schemaRef")).get("id")
        if has in (None, schema_id):
            return []
        return [
            fail(
                f"The dataset of the {kind} has another schema than ADOBE_{kind.upper()}_SCHEMA_ID names.",
                _SETUP.format(variable=f"ADOBE_{kind.upper()}_SCHEMA_ID"),
            )
        ]

    def _flow(self, kind: Kind, flow_id: str | None, dataset_id: str | None) -> list[Verdict]:
        if flow_id is None:
            return [_not_named(kind, "flow")]
        flow = self._item("flows", flow_id)
        if flow is None:
            return [_absent(kind, "flow")]
        variable = f"ADOBE_{kind.upper()}_FLOW_ID"
        faults: list[Verdict] = []
        if flow.get("state") not in (None, "enabled"):
            words = f"The dataflow of the {kind} is {flow['state']}, so that AEP takes nothing."
            faults.append(fail(words, "Enable it in AEP under Sources, Dataflows."))
        targets = [self._item("targetConnections", id_) for id_ in flow.get("targetConnectionIds") or []]
        datasets = {_object(_object(target).get("params")).get("dataSetId") for target in targets}
        if dataset_id not in datasets:
            words = f"The dataflow of the {kind} leads to another dataset."
            faults.append(fail(words, _SETUP.format(variable=variable)))
        if not self._begins_at_inlet(flow):
            words = f"The dataflow of the {kind} begins at another inlet than ADOBE_INLET_URL names."
            faults.append(fail(words, _SETUP.format(variable="ADOBE_INLET_URL")))
        return faults

    def _begins_at_inlet(self, flow: dict[str, Any]) -> bool:
        wanted = self._aep.settings.inlet_url.rpartition("/")[2]
        for id_ in flow.get("sourceConnectionIds") or []:
            source = self._item("sourceConnections", id_) or {}
            base = self._item("connections", str(source.get("baseConnectionId") or "none")) or {}
            params = _object(_object(base.get("auth")).get("params"))
            if wanted in (params.get("inletId"), str(params.get("inletUrl") or "").rpartition("/")[2]):
                return True
        return False

    def _item(self, kind: str, id_: str) -> dict[str, Any] | None:
        found = self._get(f"{_FLOWS}/{kind}/{segment(id_)}")
        items = found.get("items") if found else None
        return items[0] if type(items) is list and items and type(items[0]) is dict else None

    def _get(self, path: str, headers: dict[str, str | None] | None = None) -> dict[str, Any] | None:
        try:
            return _object(json_of(self._aep.platform.call("GET", path, headers=headers)))
        except NotThere:
            return None


def judge_inlet(status: int) -> Verdict:
    """The verdict on the status of a request without messages."""
    if status in (401, 403):
        cure = (
            "Check that the credential belongs to the inlet's organisation and that this machine's address is allowed."
        )
        return fail(f"The inlet refuses the credential with status {status}.", cure)
    if status == 404:
        return fail("There is no such inlet.", _SETUP.format(variable="ADOBE_INLET_URL"))
    if status == 429 or status >= 500:
        return warn(f"The inlet answers {status}.", "Try again in a minute; if it lasts, see Adobe's status page.")
    # Adobe says nothing of a request without messages: whatever else it answers, it has read the request and the token.
    return ok(f"The inlet answers (status {status} to a request without messages).")


def _absent(kind: Kind, part: str) -> Verdict:
    variable = f"ADOBE_{kind.upper()}_{part.upper()}_ID"
    return fail(f"AEP has no {part} as {variable} names it in this sandbox.", _SETUP.format(variable=variable))


def _not_named(kind: Kind, part: str) -> Verdict:
    variable = f"ADOBE_{kind.upper()}_{part.upper()}_ID"
    return fail(f"{variable} is not set, and others of the {kind} are.", _SETUP.format(variable=variable))


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}
