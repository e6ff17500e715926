"""XDM: from a Capillary event to entities that Experience Platform takes.

Belongs here: mapping files and their compiler, identities, the schemas of the entities and the check against them.
Does not belong here: tables, transport, anything that imports dagster.
"""
