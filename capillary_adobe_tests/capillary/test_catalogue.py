"""The catalogue holds every event type that Capillary documents, and finds them however they are spelled."""

from __future__ import annotations

import pytest

from capillary_adobe.capillary.catalogue import EventType, shipped_catalogue

# docs.capillarytech.com/docs/supported_events
LISTED = [
    *("rewardIssued", "rewardCreated", "rewardUpdated", "issueRewardFailure", "updateRewardTransaction"),
    *("CouponIssue", "CouponRedeem", "IssueBulkCoupon", "badgeEarned", "cardUpdated"),
    *("customerAdded", "customerUpdated", "loyaltyCustomerMerge", "requestUpdated", "requestWorkflowEvent"),
    *("groupCreated", "groupUpdated", "groupMemberAdded", "groupMemberRemoved", "pointsContributionToGroup"),
    *(
        "transactionAdded",
        "transactionUpdated",
        "transactionRejected",
        "rejectedTransactionRetrigger",
        "retroBillAdded",
        "notInterestedBillAdded",
    ),
    *(
        "pointsIssued",
        "pointsRedeemed",
        "redeemedPointsReversed",
        "issuedPointsReversed",
        "pointsExpired",
        "pointsExpiryReminder",
    ),
    *("pointsExpiryChange", "singlePointsExpiryUpdated", "pointsTransferredInitiated", "pointsTransferredReceived"),
    *(
        "promisedToCurrentPointsConversion",
        "manualPointsAdjustment",
        "alternateCurrenciesIssued",
        "issuedAlternateCurrenciesReversed",
    ),
    *("tierUpgraded", "tierDowngraded", "tierRenewed", "tierDowngradeReminder"),
    *(
        "partnerProgramLinked",
        "partnerProgramUpdated",
        "partnerProgramDelinked",
        "supplementaryMembershipExpiryReminder",
    ),
    *(
        "promotionIssued",
        "promotionEarned",
        "cartPromotionIssued",
        "cartPromotionEarned",
        "cartPromotionRedeemed",
        "cartPromotionRevoked",
    ),
    *(
        "targetCustomerEnrolment",
        "targetPeriodStarted",
        "targetPeriodCompleted",
        "targetValueAchieved",
        "targetValueUpdated",
    ),
    *("targetAchievedValueUpdated", "unifiedTargetsAchieved", "unifiedTargetsUnAchieved"),
    *("streakCustomerEnrolment", "streakCustomerUnEnrolment", "streakLevelAchieved", "streakLevelUnAchieved"),
]
# Documented on the event-schema pages and not in that list.
UNLISTED = [
    *(
        "customerSubscription",
        "promotionCreated",
        "promotionUpdated",
        "revokeIssuedPromotion",
        "revokeEarnedPromotion",
        "rewardExpiryReminder",
    ),
    *(
        "streakStart",
        "streakEnd",
        "targetCustomerUnenrolment",
        "promisedToCurrentAlternateCurrencyConversion",
        "PP_EXPIRY_JOB",
    ),
    "communicationMessageUndelivered",
]
ANNOUNCED = ["identifierReleased"]


def test_the_catalogue_holds_every_documented_event_and_no_other() -> None:
    assert (len(LISTED), len(UNLISTED)) == (66, 12)
    assert set(shipped_catalogue().names()) == {*LISTED, *UNLISTED, *ANNOUNCED}


@pytest.mark.parametrize("name", [*LISTED, *UNLISTED, *ANNOUNCED])
def test_an_event_is_found_by_its_name_and_by_any_case_of_it(name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name[0].swapcase() + name[1:]):
        found = shipped_catalogue().find(spelling)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize("name", ["", "somethingNew", "points Issued", "pointsIssued "])
def test_another_name_is_no_event(name: str) -> None:
    assert shipped_catalogue().find(name) is None


def test_no_two_names_differ_in_case_alone() -> None:
    assert len({name.lower() for name in shipped_catalogue().names()}) == len(shipped_catalogue())


def test_a_natural_key_is_known_where_one_names_the_happening() -> None:
    natural = {found.name: found.natural_key for found in shipped_catalogue() if found.natural_key}
    assert natural == {
        "pointsRedeemed": "redemptionSummaryId",
        "loyaltyCustomerMerge": "victimCustomerIdentifiers.customerId",
        "transactionAdded": "transactionId",
        "promotionEarned": "earnedId",
    }


def test_events_about_no_single_person_say_so() -> None:
    about = {found.name: found.person for found in shipped_catalogue()}
    assert {name for name, person in about.items() if person == "group"} == {
        "groupCreated",
        "groupUpdated",
        "groupMemberAdded",
        "groupMemberRemoved",
        "pointsContributionToGroup",
    }
    assert {name for name, person in about.items() if person == "none"} == {
        "requestWorkflowEvent",
        "promotionCreated",
        "promotionUpdated",
        "rewardCreated",
        "rewardUpdated",
        "rewardExpiryReminder",
        "cardUpdated",
        "communicationMessageUndelivered",
    }
    assert about["loyaltyCustomerMerge"] == "survivorCustomerIdentifiers"


def test_event_types_of_an_organisation_are_added_without_changing_the_shipped_catalogue() -> None:
    shipped = shipped_catalogue()
    added = shipped.with_events([EventType("walletToppedUp", "wallet", "owner", "topUpId")])
    assert added.names() == [*shipped.names(), "walletToppedUp"]
    assert added.find("WALLETTOPPEDUP") == EventType("walletToppedUp", "wallet", "owner", "topUpId")
    assert added.find("pointsissued") == shipped.find("pointsIssued")
    assert shipped.find("walletToppedUp") is None
