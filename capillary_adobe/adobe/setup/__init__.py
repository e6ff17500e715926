"""Set-up of AEP: what an installation needs there, found or made once, recorded, and compared again whenever wanted.

Belongs here: the desired objects, looking for them, the plan, carrying it out step by step, the drift report. Does not
belong here: the services' addresses (`schema_registry`, `namespaces`, `datasets`, `flow_service`) and how it is told to
people (`cli_setup.py`, `defs/setup_job.py`).
"""

from capillary_adobe.adobe.setup.model import Action, Plan, SetupError, Step
from capillary_adobe.adobe.setup.running import Setup
from capillary_adobe.adobe.setup.sandbox import Wanted

__all__ = ["Action", "Plan", "Setup", "SetupError", "Step", "Wanted"]
