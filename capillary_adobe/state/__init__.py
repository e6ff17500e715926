"""The state database: what has been read, claimed and acknowledged, and who works on which day.

Belongs here: the small facts that must survive a kill and be shared by every run. Does not belong here: events and
entities themselves (the lake). Each module holds one kind of fact; `State` opens the database they live in.
"""

from capillary_adobe.state.batches import ReadBatches, SentBatch, SentBatches
from capillary_adobe.state.calls import CallsInFlight
from capillary_adobe.state.claims import Claims, Place, Verdict
from capillary_adobe.state.customers import CustomerCounts, Customers, Due, Merged
from capillary_adobe.state.database import State, StateError
from capillary_adobe.state.day_receipts import DayReceipts
from capillary_adobe.state.days_to_settle import DaysToSettle
from capillary_adobe.state.environment import EnvironmentRecord
from capillary_adobe.state.erasures import ErasureCounts, Erasures, WorkOrder, now_ms
from capillary_adobe.state.history_days import HistoryDay, HistoryDays
from capillary_adobe.state.history_files import FileDay, HistoryFile, HistoryFiles
from capillary_adobe.state.loyalty_history import LoyaltyHistory
from capillary_adobe.state.microbatches import MicroBatch, MicroBatches
from capillary_adobe.state.objects import WHOLE_DAY, LandedObjects, ReadObject
from capillary_adobe.state.outcomes import Detail, Fate, Known, Outcome, Route
from capillary_adobe.state.pace import Paces, PaceView
from capillary_adobe.state.receipts import Receipt, Receipts
from capillary_adobe.state.references import References
from capillary_adobe.state.rule_stages import Evidence, Files, RuleEvidence, RuleStages, Stage, StagedRule
from capillary_adobe.state.schemas import CachedSchema, TenantSchemas

__all__ = [
    "WHOLE_DAY",
    "CachedSchema",
    "CallsInFlight",
    "Claims",
    "CustomerCounts",
    "Customers",
    "DayReceipts",
    "DaysToSettle",
    "Detail",
    "Due",
    "EnvironmentRecord",
    "ErasureCounts",
    "Erasures",
    "Evidence",
    "Fate",
    "FileDay",
    "Files",
    "HistoryDay",
    "HistoryDays",
    "HistoryFile",
    "HistoryFiles",
    "Known",
    "LandedObjects",
    "LoyaltyHistory",
    "Merged",
    "MicroBatch",
    "MicroBatches",
    "Outcome",
    "PaceView",
    "Paces",
    "Place",
    "ReadBatches",
    "ReadObject",
    "Receipt",
    "Receipts",
    "References",
    "Route",
    "RuleEvidence",
    "RuleStages",
    "SentBatch",
    "SentBatches",
    "Stage",
    "StagedRule",
    "State",
    "StateError",
    "TenantSchemas",
    "Verdict",
    "WorkOrder",
    "now_ms",
]
