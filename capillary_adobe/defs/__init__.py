"""Everything that Dagster sees: assets, checks, sensors, resources, partitions.

Belongs here: wiring, metadata and words for the operator. Does not belong here: work on events; an asset calls one
function of a domain package.
"""
