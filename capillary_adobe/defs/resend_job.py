"""Job `resend_profiles`: having every profile made and sent once more, from the UI.

Belongs here: the job, its run config and what its run shows. Does not belong here: single customers (the command
`capillary-adobe profiles resend`; a customer id stands in no run config), making and sending.
"""

import dagster as dg
from pydantic import Field

from capillary_adobe.defs.failures import told_plainly
from capillary_adobe.defs.resources import StateResource
from capillary_adobe.settings import IdentitySettings, load
from capillary_adobe.state.customers import Customers

RESEND_JOB = "resend_profiles"
# A job and an op of one name do not load together.
RESEND_OP = "ask_for_profiles"


class ResendConfig(dg.Config):
    """Whether it is done or only counted."""

    apply: bool = Field(
        default=False, description="True has every profile made and sent again; false only counts them."
    )


@dg.op(name=RESEND_OP)
def _ask_for_profiles(context: dg.OpExecutionContext, config: ResendConfig, state: StateResource) -> None:
    with told_plainly():
        customers = Customers(state.open(), load(IdentitySettings).max_customers)
        asked = customers.send_again(None) if config.apply else 0
        counted = customers.counts()
    context.log.info(
        f"{asked} profiles will be made and sent again"
        if config.apply
        else f"{counted.customers} customers; set `ops.{RESEND_OP}.config.apply` to true to send their profiles again"
    )
    context.add_output_metadata({"asked": asked, "customers": counted.customers, "due": counted.due})


def build_resend_job() -> dg.JobDefinition:
    """The job."""

    @dg.job(
        name=RESEND_JOB,
        description=(
            "Have every customer's profile made and sent once more, as it is now: after a change of what profiles hold, or "
            f"where AEP has lost them. As it stands it only counts; set `ops.{RESEND_OP}.config.apply` to true in the "
            "launchpad. They follow with the next runs of refresh_customers, 10,000 a run. For single customers: "
            "`capillary-adobe profiles resend`."
        ),
    )
    def resend_profiles() -> None:
        _ask_for_profiles()

    return resend_profiles
