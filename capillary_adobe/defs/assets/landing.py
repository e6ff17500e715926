"""The landing store as Dagster sees it: data that others deliver.

Belongs here: the external asset. Does not belong here: polling (`defs/sensors.py`).
"""

import dagster as dg

LANDING = dg.AssetKey("landing")
# By its name: the module would bring the whole import with it.
_HISTORY_FILES = "history_files"


def landing_spec() -> dg.AssetSpec:
    """The external asset that the landing sensor observes."""
    return dg.AssetSpec(
        LANDING,
        deps=[_HISTORY_FILES],
        group_name="landing",
        kinds={"json", "file", "s3"},
        description=(
            "Objects of Capillary events as received, in a folder or in a bucket of S3: under `events/<day>/<hour>/` "
            "(webhook), `aside/<day>/<hour>/` (bodies that could not be lines, one an object) and `history/<day>/` (exports). "
            "They are never changed. Each observation tells what the sensor saw. Nothing to press here: if "
            "observations stop, look at the sensor `landing_sensor` and at whatever writes to LANDING_URL."
        ),
    )
