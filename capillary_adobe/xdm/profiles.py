"""From a customer's merged document to the whole XDM record of the profile, valid or refused with its reason.

Belongs here: calling the mapping, the parts that no rule writes (`identityMap`, `loyalty.loyaltyID`), leaving out what AEP
would not take, judging the result. Does not belong here: the rules (`mappings/profile/`), what they read
(`profile_source.py`), which customers are due (`state.customers`) and sending.

A streamed record replaces the customer's whole fragment, so every record is whole: what it lacks, the profile lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import orjson

from capillary_adobe.capillary.values import utc
from capillary_adobe.profiles.document import DELETED, MERGED_INTO, CustomerKey, Document
from capillary_adobe.profiles.identities import Identity, identities_of
from capillary_adobe.settings import CapillarySettings, TenantSettings
from capillary_adobe.settings.customers import IdentitySettings, ProfileSettings
from capillary_adobe.xdm.conformance import Conformance, Violation
from capillary_adobe.xdm.identities import EMAIL, EXTERNAL, PHONE, customer_identity, identity_map
from capillary_adobe.xdm.language.compiler import compile_rules
from capillary_adobe.xdm.language.expressions import COLUMNS
from capillary_adobe.xdm.language.rule_lines import RuleLines
from capillary_adobe.xdm.language.rules import PROFILE, load_profile_rules
from capillary_adobe.xdm.profile_source import Contacts, ProgramNames, source_of
from capillary_adobe.xdm.schemas import tenant_key
from capillary_adobe.xdm.violations import any_element

ROOM_BYTES: Final = 2048
"""What the inlet wraps around a record: AEP measures the request, not the record."""
MAX_BYTES: Final = 100_000
"""Profile takes no larger record by batch, whatever the inlet takes, and each record may go either way."""

_COLUMN: Final = {name: place for place, name in enumerate(COLUMNS)}
_BULKY: Final = ("extendedFields", "customFields")
# Whoever has no identity or no moment of last update is nobody's profile, or cannot be put in order.
_NEEDED: Final = ("identityMap", "extSourceSystemAudit/lastUpdatedDate")
_ROUNDS: Final = 8


class Profile(NamedTuple):
    """The record of one customer and what was noticed on the way; no text where there is nothing to send."""

    text: bytes
    newest_ms: int
    """Source time of the newest value in the document."""
    unreadable: list[str]
    violations: list[Violation]
    variant: int = 0

    @property
    def nothing(self) -> bool:
        """Whether the customer has no profile any more, so that there is nothing to send and nothing wrong."""
        return not self.text and not self.violations


class ProfileStage:
    """The compiled mapping of the profile and the rules a record must keep; build it once, use it for every customer."""

    def __init__(
        self,
        tenant: TenantSettings,
        capillary: CapillarySettings,
        identities: IdentitySettings,
        profiles: ProfileSettings,
        names: ProgramNames | None = None,
    ) -> None:
        rules = {PROFILE: load_profile_rules()}
        self._transform = compile_rules(rules, tenant.tenant_id)[PROFILE]
        self._lines = RuleLines(rules)
        self._conformance = Conformance("profiles", tenant.tenant_id)
        self._tenant = tenant_key(tenant.tenant_id)
        self._zone = capillary.org_timezone
        self._with_org = capillary.identity_with_org
        self._identities = identities
        self._profiles = profiles
        self._names = names or ProgramNames()

    def render(self, key: CustomerKey, document: Document, held: Collection[str] = ()) -> Profile:
        """The record of a document; `held` are the identities that several customers share, by `xdm.identities.mark`.

        The same document, held identities, settings and names give the same bytes. It never raises.
        """
        newest_ms = 0
        unreadable: list[str] = []
        try:
            # A document without a field is of somebody whom Capillary does not know either.
            if not document or says(document, DELETED):
                return Profile(b"", 0, [], [])
            newest_ms = _newest_ms(document)
            body, variant = self._body(key, _of_the_living(document), newest_ms, held, unreadable)
            return self._judged(body, newest_ms, unreadable, variant)
        except Exception as error:  # noqa: BLE001 - whatever one document does to the mapping, the others go on
            detail, cure = f"the mapping stopped with {type(error).__name__}", "report the document's shape"
            failure = Violation("mapping_failed", "", "mapping", detail, cure=cure)
            return Profile(b"", newest_ms, unreadable, [failure])

    def judge(self, record: dict[str, Any], size: int) -> list[Violation]:
        """What AEP would find wrong with a record of `size` bytes."""
        found = self._conformance.violations(record, size + ROOM_BYTES)
        if size + ROOM_BYTES > MAX_BYTES and not found:
            detail, cure = f"{size} bytes, at most {MAX_BYTES} with its envelope", "mend the customer's longest fields"
            found = [Violation("entity_too_large", "", "maxBytes", detail, "size", "object", cure)]
        return found

    def rule_of(self, profile: Profile, violation: Violation) -> str | None:
        """The line of the mapping that a violation goes back to."""
        return self._lines.of_variant(PROFILE, profile.variant, violation.pointer, violation.category)

    def _body(
        self, key: CustomerKey, document: Document, newest_ms: int, held: Collection[str], unreadable: list[str]
    ) -> tuple[dict[str, Any], int]:
        mine = identities_of(document)
        identities = self._identity_map(key, document, mine, held)
        contacts = self._contacts(mine, self._identity_map(key, {}, mine, ()) if held else identities)
        audit_key = f"{key.customer_id}@{key.org_id}.Capillary"
        source = source_of(document, contacts, audit_key, self._profiles, self._names)
        mapped = self._transform(source, self._row(key, newest_ms), unreadable)
        body = {"identityMap": identities, **mapped.fields}
        ids = contacts.loyalty_ids
        if ids:
            body["loyalty"] = {"loyaltyID": ids, **body.get("loyalty", {})}
        return body, mapped.variant

    def _row(self, key: CustomerKey, newest_ms: int) -> tuple[Any, ...]:
        row: list[Any] = [None] * len(COLUMNS)
        row[_COLUMN["org_id"]] = key.org_id
        row[_COLUMN["customer_id"]] = str(key.customer_id)
        row[_COLUMN["created_ms"]] = newest_ms
        row[_COLUMN["zone"]] = self._zone
        row[_COLUMN["identity"]] = customer_identity(key.org_id, key.customer_id, with_org=self._with_org)
        return tuple(row)

    def _identity_map(
        self, key: CustomerKey, document: Document, identities: Collection[Identity], held: Collection[str]
    ) -> dict[str, Any]:
        # A victim who had victims of its own names them, too: so a chain of merges hangs together link by link.
        victims = [
            name.removeprefix("merged.") for name in document if name.startswith("merged.") and says(document, name)
        ]
        return identity_map(
            key.org_id,
            key.customer_id,
            identities,
            self._identities,
            with_org=self._with_org,
            held=held,
            others=victims,
        )

    def _contacts(self, identities: Collection[Identity], listed: Mapping[str, list[dict[str, Any]]]) -> Contacts:
        """What the profile may show: an identity that others share still is the customer's contact."""
        shown = {
            kind: listed[symbol][0]["id"] for kind, symbol in _SHOWN.items() if self._plain(kind) and symbol in listed
        }
        cards = frozenset(one.value for one in identities if one.kind == "card") if self._plain("card") else frozenset()
        hidden = frozenset(one.value.lower().removeprefix("+") for one in identities if not self._plain(one.kind))
        return Contacts(shown.get("email"), shown.get("phone"), shown.get("external_id"), cards, hidden)

    def _plain(self, kind: str) -> bool:
        return getattr(self._identities, kind) == "plain"

    def _judged(self, body: dict[str, Any], newest_ms: int, unreadable: list[str], variant: int) -> Profile:
        text = orjson.dumps(body)
        if len(text) + ROOM_BYTES > MAX_BYTES:
            text = self._without_bulk(body, unreadable)
        violations = self.judge(body, len(text))
        for _ in range(_ROUNDS):
            if not violations or not self._mended(body, violations, unreadable):
                break
            text = orjson.dumps(body)
            violations = self.judge(body, len(text))
        return Profile(text, newest_ms, unreadable, violations, variant)

    def _without_bulk(self, body: dict[str, Any], unreadable: list[str]) -> bytes:
        """The record's JSON without the lists that no one bounds, as far as that is needed."""
        ours = body.get(self._tenant, {}).get("capillary", {})
        text = orjson.dumps(body)
        for name in _BULKY:
            if len(text) + ROOM_BYTES > MAX_BYTES and ours.pop(name, None) is not None:
                unreadable.append(f"/{self._tenant}/capillary/{name}")
                text = orjson.dumps(body)
        return text

    def _mended(self, body: dict[str, Any], violations: list[Violation], unreadable: list[str]) -> bool:
        """Leave out each value that is at fault; whether all of them could be."""
        places = sorted((one.pointer for one in violations), key=_in_order, reverse=True)
        if not all(_is_optional(place) for place in places):
            return False
        for place in places:
            _leave_out(body, place.split("/")[1:])
            unreadable.append(any_element(place))
        return True


_SHOWN: Final = {"email": EMAIL, "phone": PHONE, "external_id": EXTERNAL}


def says(document: Document, name: str) -> bool:
    """Whether a register of the document has a value."""
    register = document.get(name)
    return register is not None and register.value is not None and register.value is not False


def _of_the_living(document: Document) -> Document:
    """The document without a merge that a later one between the same two turned round."""
    merge = document.get(MERGED_INTO)
    if merge is None or merge.value is None:
        return document
    back = document.get(f"merged.{merge.value}")
    if back is None or back.value is None or back.stamp <= merge.stamp:
        return document
    return {name: register for name, register in document.items() if name != MERGED_INTO}


def _newest_ms(document: Document) -> int:
    """Source time of the newest value.

    Raises:
        ValueError, OverflowError: the time is none that a calendar has.
    """
    newest = max((register.stamp.at_us for register in document.values()), default=0) // 1000
    utc(newest)
    return newest


def _in_order(place: str) -> tuple[tuple[int, str], ...]:
    """Later elements of a list stand after earlier ones, and what lies within something after it."""
    return tuple((int(step), "") if step.isdecimal() else (0, step) for step in place.split("/"))


def _is_optional(place: str) -> bool:
    path = place.removeprefix("/")
    return bool(path) and not any(
        path == need or need.startswith(f"{path}/") or path.startswith(f"{need}/") for need in _NEEDED
    )


def _leave_out(body: dict[str, Any], steps: list[str]) -> None:
    """Take a value away, with every object and list that it leaves empty; where it is absent, the object that lacks it."""
    above: list[Any] = [body]
    names = [step.replace("~1", "/").replace("~0", "~") for step in steps]
    for name in names[:-1]:
        owner = _member(above[-1], name)
        if not isinstance(owner, dict | list):
            break
        above.append(owner)
    depth = len(above) - 1
    if _member(above[depth], names[depth]) is None and not _has(above[depth], names[depth]):
        depth -= 1
    while depth >= 0:
        _remove(above[depth], names[depth])
        if above[depth] or depth == 0:
            return
        depth -= 1


def _has(owner: Any, name: str) -> bool:
    return name in owner if isinstance(owner, dict) else name.isdecimal() and int(name) < len(owner)


def _member(owner: Any, name: str) -> Any:
    if isinstance(owner, dict):
        return owner.get(name)
    return owner[int(name)] if _has(owner, name) else None


def _remove(owner: Any, name: str) -> None:
    if isinstance(owner, dict):
        owner.pop(name, None)
    elif _has(owner, name):
        del owner[int(name)]
