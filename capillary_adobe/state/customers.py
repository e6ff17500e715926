"""Customers: the table of their documents.

Belongs here: keeping documents, merging facts into them, and who is due for a new profile. Does not belong here: the
merge itself (`profiles.document`).
"""

from __future__ import annotations

import sqlalchemy as sa

from capillary_adobe.state.database import metadata

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("customer_id", sa.BigInteger, primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
    # Grows by one whenever what a profile is made of has changed; a profile of revision n is never sent after one of n + 1.
    sa.Column("revision", sa.BigInteger, nullable=False),
    # The last revision that AEP has acknowledged or refused, or of which no valid profile could be made.
    sa.Column("settled_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("settled_ms", sa.BigInteger, nullable=False, server_default="0"),
    # When Capillary was last asked about the customer, epoch ms.
    sa.Column("looked_up_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("merged_into", sa.BigInteger),
    sqlite_with_rowid=False,
)
sa.Index(
    "customers_due",
    customers.c.org_id,
    customers.c.customer_id,
    sqlite_where=customers.c.revision > customers.c.settled_revision,
    postgresql_where=customers.c.revision > customers.c.settled_revision,
)
