"""Documents of customers for tests: a full one, and any that a strategy makes up."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from capillary_adobe.profiles.document import CustomerKey, Document, Register, Stamp

KEY = CustomerKey(100458, 387599999)
AT_US = 1_795_165_200_000_000
"""2026-11-20T09:00:00Z."""
FULL: dict[str, Any] = {
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "Jane.Doe@Example.com",
    "mobile": "919650004321",
    "external_id": "EXT-77",
    "loyalty_type": "LOYALTY",
    "source": "INSTORE",
    "joined_ms": 1_700_000_000_000,
    "status": "Active",
    "status_reason": "none",
    "birth_date": "1990-02-28",
    "gender": "F",
    "language": "en_in",
    "zone": "Asia/Kolkata",
    "purchases": 1200.5,
    "address.street1": "1 Main St",
    "address.city": "Mumbai",
    "address.state": "Maharashtra",
    "address.postal_code": "400001",
    "address.country": "in",
    "card.5550001": {"series": "gold", "status": "ACTIVE"},
    "card.5550002": None,
    "program.973.name": "Acme Club",
    "program.973.is_default": True,
    "program.973.points": 1520,
    "program.973.lifetime_points": 2000.5,
    "program.973.redeemed": 40,
    "program.973.expired": 10,
    "program.973.returned": 3,
    "program.973.adjusted": -2,
    "program.973.promised": 500,
    "program.973.tier_number": 2,
    "program.973.tier_name": "Gold",
    "program.973.tier_expiry": "2027-04-27T23:59:59+05:30",
    "program.973.tier_upgraded_ms": 1_790_000_000_000,
    "program.973.next_tier": "Platinum",
    "program.973.points_to_next_tier": 480,
    "program.973.expirations": [
        {"points": 100, "date": "2027-01-31T23:59:59+05:30"},
        {"points": 0, "date": "2027-02-28T23:59:59+05:30"},
    ],
    "program.5.points": 7,
    "program.5.tier_number": 1,
    "program.5.tier_expiry": "2027-01-01T00:00:00Z",
    "program.5.lifetime_points": 9,
    "consent.email.BULK": "y",
    "consent.email.TRANS": "n",
    "consent.sms.BULK": "n",
    "consent.whatsapp.BULK": "y",
    "consent.ios.BULK": "n",
    "consent.android.BULK": "y",
    "consent.call.BULK": "n",
    "custom.shoe.size": "42",
    "extended.pet": "cat",
}

EMAIL = "Jane.Doe@Example.com"
PHONE = "919650004321"


def document(values: dict[str, Any] | None = None, at_us: int = AT_US, **later: tuple[int, Any]) -> dict[str, Register]:
    """A document of values of one moment; `later` are values with seconds after it, by field (`__` for a dot)."""
    found = {name: Register(Stamp(at_us), value) for name, value in (FULL if values is None else values).items()}
    for name, (seconds, value) in later.items():
        found[name.replace("__", ".")] = Register(Stamp(at_us + seconds * 1_000_000), value)
    return found


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        ["", " ", "null", "y", "n", "M", "x@y.zz", "a@b", "2026-02-30", "1990-01-01", "en", "IN", "é*", "-1", "NaN"]
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["points", "date", "series", "status", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [*FULL, "merged_into", "merged.7", "merged.x", "program..points", "program.1.2.points", "deleted"]
) | st.builds(
    "{}{}".format,
    st.sampled_from(["card.", "custom.", "extended.", "program.", "consent.", "withdrawn.", "merged.", ""]),
    st.text(max_size=12),
)
_STAMPS = st.builds(
    Stamp,
    st.integers(0, 2 * AT_US) | st.integers(-(2**70), 2**70),
    st.integers(0, 9),
    st.sampled_from(["", "api", "0f"]),
)

registers = st.builds(Register, _STAMPS, _VALUES)
any_documents: st.SearchStrategy[Document] = st.dictionaries(_NAMES, registers, max_size=25)
sound_documents: st.SearchStrategy[Document] = st.dictionaries(
    st.sampled_from(list(FULL)),
    st.builds(Register, st.builds(Stamp, st.integers(AT_US, AT_US + 10**9)), _SCALARS),
    max_size=40,
).map(lambda changed: {**document(), **changed})
