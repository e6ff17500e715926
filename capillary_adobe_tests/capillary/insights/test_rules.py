"""The rules file: what it changes, and what is said of each mistake in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.insights.rules import Form, InsightsRules, RulesError
from capillary_adobe_tests.examples import examples

KOLKATA = ZoneInfo("Asia/Kolkata")
KEYS = (
    "live_from",
    "shared_keys",
    "columns",
    "templates",
    "ignore",
    "form",
    "words",
    "custom_fields",
    "extended_fields",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "insights.yaml"


def read(file: Path, text: str) -> InsightsRules:
    file.write_text(text, "utf-8")
    return InsightsRules.read(file, KOLKATA)


def mistakes(file: Path, text: str) -> list[str]:
    with pytest.raises(RulesError) as told:
        read(file, text)
    return str(told.value).splitlines()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_without_a_file_there_are_no_rules() -> None:
    rules = InsightsRules.read(None)
    assert rules.watermark("pointsIssued") is None
    assert rules.form == Form()
    assert not rules.ignores("Footfall.zip")
    assert rules.template_of("Points.zip") is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "live_from:\ncolumns:\n"])
def test_an_empty_file_says_nothing(file: Path, text: str) -> None:
    assert read(file, text) == InsightsRules()


def test_a_watermark_by_type_and_one_for_all_others(file: Path) -> None:
    rules = read(
        file, "live_from: {default: 2026-10-01, tierUpgraded: 2026-10-03T12:00:00+05:30}\nshared_keys: [pointsIssued]"
    )
    assert rules.watermark("pointsExpired") == ms("2026-10-01T00:00:00+05:30")
    assert rules.watermark("tierUpgraded") == ms("2026-10-03T06:30:00+00:00")
    # With a shared key nothing is cut, and no webhook is that has no twin in any export.
    assert rules.watermark("pointsIssued") is None
    assert rules.watermark("customerAdded") is None
    assert rules.shared_keys == {"pointsIssued"}


def test_a_moment_alone_is_the_watermark_of_all(file: Path) -> None:
    assert read(file, "live_from: 2026-10-01T00:00:00Z").watermark("tierRenewed") == ms("2026-10-01T00:00:00+00:00")


def test_a_change_holds_from_the_next_reading_on(file: Path) -> None:
    before = read(file, "live_from: 2026-10-01")
    after = read(file, "live_from: 2026-11-01")
    assert before.watermark("tierRenewed") != after.watermark("tierRenewed")


def test_files_that_are_ignored_or_named(file: Path) -> None:
    rules = read(file, 'templates: {"*/Daily Txn*": transactions, "*.csv": points}\nignore: ["*Footfall*"]')
    assert rules.template_of("daily txn_2026.zip/part.csv") == "transactions"
    assert rules.template_of("brand/Daily Txn_2026.zip") == "transactions"
    assert rules.template_of("other.csv") == "points"
    assert rules.template_of("other.zip") is None
    assert rules.ignores("brand/FOOTFALL_2026.zip/a.csv")
    assert not rules.ignores("brand/points.zip")


@pytest.mark.parametrize("name", ["bills [new.csv", "bills [new].csv", "bills new].csv"])
def test_a_bracket_of_a_name_is_written_as_the_cure_says(file: Path, name: str) -> None:
    assert read(file, f'ignore: ["{name.replace("[", "[[]")}"]').ignores(name)


def test_columns_are_found_by_headers_that_are_alike_and_can_be_left_out(file: Path) -> None:
    rules = read(file, 'columns: {transactions: {"Bill No.": bill_number, Amount: }}')
    assert rules.columns_of("transactions") == {"billno": "bill_number", "amount": None}
    assert rules.columns_of("points") == {}


def test_the_context_has_the_organisations_words_and_forms(file: Path) -> None:
    rules = read(
        file,
        "form: {delimiter: ';', decimal: ',', dates: ['%d/%m/%Y'], encoding: cp1252, quote: \"'\", escape: '\\'}\n"
        "words: {deduction_type: {Redeemed points: redeemed}}\n"
        "custom_fields: {transactions: [colour]}\nextended_fields: {transactions: [gift]}",
    )
    context = rules.context(7, KOLKATA, "INR")
    assert rules.form == Form(";", "cp1252", "'", ("%d/%m/%Y",), ",", "\\")
    assert (context.org_id, context.zone, context.currency) == (7, KOLKATA, "INR")
    assert rules.form == Form(";", "cp1252", "'", ("%d/%m/%Y",), ",", "\\")
    assert context.words == {"deduction_type": {"redeemedpoints": "redeemed"}}
    assert rules.own_fields_of("transactions") == ("colour", "gift")
    assert context.custom_fields == {"transactions": ("colour",)}
    assert context.extended_fields == {"transactions": ("gift",)}


MISTAKES = [
    ("liv_from: 2026-10-01", "1:1", "liv_from is no key. Is it live_from?"),
    ("live_from: {default: tomorrow}", "1:22", "tomorrow is no moment"),
    ("live_from: {default: 2026-13-01}", "1:22", "2026-13-01 is no moment"),
    ("live_from: {default: 2026-10-01T12:00:00}", "1:22", "has no offset"),
    ("live_from: {default: 2026-10-01T12:00:00.5Z}", "1:22", "lies within a second"),
    ("live_from: [1]", "1:12", "no mapping"),
    ("live_from: {pointIssued: 2026-10-01}", "1:13", "Is it pointsIssued?"),
    ("live_from: {transactionAdded: 2026-10-01}", "1:13", "never cut"),
    ("live_from: {customerAdded: 2026-10-01}", "1:13", "stands in no export"),
    ("shared_keys: pointsIssued", "1:14", "no list"),
    ("shared_keys: [pointsRedeemed]", "1:15", "never cut"),
    ("shared_keys: [pointsIssued]\nlive_from: {pointsIssued: 2026-10-01}", "2:13", "stands in shared_keys as well"),
    ("columns: {transaction: {a: bill_id}}", "1:11", "Is it transactions?"),
    ("columns:\n  transactions:\n    a: bill_idd", "3:8", "bill_idd is no column of transactions. Is it bill_id?"),
    ("columns: {points: {a: victim_customer_id}}", "1:23", "is no column of points"),
    ("columns: {points: {a: bill_id, b: bill_id}}", "1:35", "second header to bill_id"),
    ("columns: {points: {a: [bill_id]}}", "1:23", "is not the name of a column of ours"),
    ("columns: {points: [a]}", "1:19", "no mapping"),
    ('templates: {"*": coupon}', "1:18", "coupon is no template"),
    ('templates: {"*[": points}', "1:13", "bracket without its partner"),
    ('ignore: [""]', "1:10", "is not a text"),
    ("ignore: '*x*'", "1:9", "no list"),
    ("form: {dates: '%d/%m'}", "1:15", "does not tell day, month and year"),
    ("form: {dates: ['%Q']}", "1:16", "no form of dates"),
    ("form: {dates: []}", "1:15", "list of forms"),
    ("form: {encoding: utf-9}", "1:18", "no encoding"),
    ("form: {encoding: zip}", "1:18", "no encoding"),
    ("form: {delimiter: ab}", "1:19", "one sign"),
    ("form: {quote: ''}", "1:15", "one sign"),
    ("form: {escape: ab}", "1:16", "one sign"),
    ("form: {escape: '\"'}", "1:7", "one sign for escape and another use"),
    ("form: {escape: ';', delimiter: ';'}", "1:7", "one sign for escape and another use"),
    ("form: {decimal: ';'}", "1:17", 'decimal is "." or ","'),
    ("form: {delimiter: ',', decimal: ','}", "1:7", "one sign for delimiter and decimal"),
    ("form: {delimitr: ';'}", "1:8", "Is it delimiter?"),
    ("words: {deduction_type: {Redeemed: redeem}}", "1:36", "Is it redeemed?"),
    ("words: {bill_number: {a: b}}", "1:9", "no column with words"),
    ("custom_fields: {transactions: colour}", "1:31", "no list"),
    ("a: b: c", "1:5", "no usable YAML"),
    ("columns:\n  points: {a: bill_id}\n  points: {b: bill_id}", "3:3", "written twice"),
    ("- a", "1:1", "no mapping"),
]


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES, ids=[text[:40] for text, _, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_cure(file: Path, text: str, place: str, words: str) -> None:
    [told] = mistakes(file, text)
    assert told.startswith(f"{file}:{place}: ")
    assert words.replace("no usable", "not usable") in told


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    told = mistakes(
        file,
        "live_from: {default: x, pointsIssued: y}\ncolumns:\n  points: {a: b, c: d}\n  nothing: {}\n"
        "form: {decimal: 1, quote: ab}\nodd: 1",
    )
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in told] == ["1", "1", "3", "3", "4", "5", "5", "6"]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path, file: Path) -> None:
    with pytest.raises(RulesError, match="INSIGHTS_RULES"):
        InsightsRules.read(tmp_path / "none.yaml", KOLKATA)
    with pytest.raises(RulesError, match="cannot be read"):
        InsightsRules.read(tmp_path, KOLKATA)
    file.write_bytes(b"live_from: \xff\xfe")
    with pytest.raises(RulesError, match="UTF-8"):
        InsightsRules.read(file, KOLKATA)
    file.write_bytes(b"#" * 2**21)
    with pytest.raises(RulesError, match="larger than 1 MB"):
        InsightsRules.read(file, KOLKATA)


def test_a_bom_is_no_mistake(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfignore: ['*x*']")
    assert InsightsRules.read(file, KOLKATA).ignore == ("*x*",)


@settings(deadline=None, max_examples=examples(200), database=None)
@given(key=st.sampled_from(["", *(f"{key}: " for key in KEYS)]), text=st.text(max_size=40))
def test_any_text_is_rules_or_an_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, key: str, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(f"{key}{text}".encode("utf-8", "replace"))
    try:
        InsightsRules.read(file, KOLKATA)
    except RulesError as told:
        names = {line.startswith(str(file)) for line in str(told).splitlines()}
    else:
        names = {True}
    assert names == {True}


def test_the_zone_is_the_organisations_where_none_is_given(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPILLARY_ORG_TIMEZONE", "Asia/Tokyo")
    file.write_text("live_from: 2026-10-01")
    tokyo = datetime(2026, 9, 30, 15, tzinfo=UTC)
    assert InsightsRules.read(file).watermark("tierRenewed") == int(tokyo.timestamp() * 1000)
