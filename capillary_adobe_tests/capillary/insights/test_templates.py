"""Templates: the shipped columns, and which template a file is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.capillary.insights.rules import InsightsRules
from capillary_adobe.capillary.insights.templates import (
    Template,
    TemplateUnknown,
    TemplateUnread,
    event_types,
    find_template,
    own_words,
    templates,
)
from capillary_adobe.demo.export_columns import HEADERS
from capillary_adobe_tests.examples import examples

NO_RULES = InsightsRules()
KINDS = {"id", "number", "text", "moment", "date", "time"}
# As the pages of the standard templates and of the warehouse write them.
STANDARD = {
    "transactions": "bill_id,bill_number,bill_amount,bill_discount,initial_bill_value,tax_amount,"
    "event_user.user_id,event_date.date,event_time.time,event_zone_till.till,line_item_id,item_code,quantity,rate,line_item_amount,"
    "allocated_points,redeemed_points",
    "returns": "bill_id,bill_number,parent_bill_id,parent_bill_number,bill_amount,event_user.user_id,event_date.date,"
    "line_item_id",
    "points": "allocated_points,deducted_points,awarded_ref_id,event_id,bill_id,bill_number,event_user.user_id,event_date.date,"
    "points_event_type,deduction_type,category,awarded_expiry_date.date",
    "redemptions": "redemption_id,points_redeemed,points_redemption_time,redemption_bill_id,event_user.user_id,source_type",
    "tiers": "id,user_id,slab_name,notes,event_date_time,previous_slab,change_action,change_source,upgrade_event_type",
    "merges": "merge_event_id,user_id,victim_user.user_id,victim_mobile,merge_reason,event_date.date",
    "members": "user_id,loyalty_points,lifetime_points,redeemed_points,expired_points,lifetime_purchased,"
    "joined_date.date,slab_name",
    "profiles": "user_id,first_name,id_mobile,id_email,id_external,id_unique,comm_channel_mobile",
}


def find(header: str | Sequence[str], name: str = "export.zip/part.csv", rules: InsightsRules = NO_RULES) -> str:
    return find_template(header.split(",") if isinstance(header, str) else header, name, rules).template.name


def why_not(header: str, name: str = "export.zip/part.csv", rules: InsightsRules = NO_RULES) -> str:
    with pytest.raises(TemplateUnknown) as told:
        find(header, name, rules)
    return str(told.value)


@pytest.mark.parametrize("template", templates().values(), ids=list(templates()))
def test_what_a_template_names_is_a_column_of_it(template: Template) -> None:
    named = {*template.tells, *(column for group in template.required for column in group)}
    assert named <= set(template.columns)
    assert {column.kind for column in template.columns.values()} <= KINDS
    assert all(column.says for column in template.columns.values())
    assert set(template.over) <= set(templates())


@pytest.mark.parametrize("template", templates().values(), ids=list(templates()))
def test_no_column_has_the_name_of_another_of_its_template(template: Template) -> None:
    # Of a header that two columns have, the one that comes later would never be found by it.
    own = {column.headers[0] for column in template.columns.values()}
    for column in template.columns.values():
        assert not own & set(column.headers[1:]), column.name


def test_every_event_type_that_exports_yield_is_in_the_catalogue() -> None:
    assert all(shipped_catalogue().find(name) for name in event_types())


def test_words_belong_to_columns_and_none_means_two_things() -> None:
    columns = {column for template in templates().values() for column in template.columns}
    assert set(own_words()) <= columns


@pytest.mark.parametrize(("template", "header"), STANDARD.items())
def test_the_standard_columns_alone_tell_the_template(template: str, header: str) -> None:
    matched = find_template(header.split(","), "anything.csv", NO_RULES)
    assert matched.template.name == template
    assert set(matched.columns) == set(header.split(","))


@pytest.mark.parametrize("template", HEADERS)
def test_the_demo_exports_what_is_read(template: str) -> None:
    assert find(HEADERS[template]) == template


@settings(deadline=None, max_examples=examples(100), database=None)
@given(data=st.data(), template=st.sampled_from(sorted(STANDARD)))
def test_order_case_and_what_does_not_count_change_nothing(data: st.DataObject, template: str) -> None:
    header = data.draw(st.permutations(STANDARD[template].split(",")))
    changed = [
        data.draw(st.sampled_from([text, text.upper(), text.title(), text.replace("_", " "), text.replace(".", "_")]))
        for text in header
    ]
    told = find_template(changed, "x.csv", NO_RULES)
    plain = find_template(header, "x.csv", NO_RULES)
    assert told.template is plain.template
    assert [told.columns.get(text) for text in changed] == [plain.columns.get(text) for text in header]


def test_cells_come_under_our_names_without_the_empty_ones() -> None:
    matched = find_template(
        ["Bill ID", "user_id", "bill_amount", "event_date", "item_code", "Shade", "notes"], "x.csv", NO_RULES
    )
    cells = {
        "Bill ID": "7",
        "user_id": "5",
        "bill_amount": "1.5",
        "event_date": "2026-01-31",
        "item_code": "a",
        "Shade": "red",
        "notes": "",
    }
    assert matched.named(cells) == {
        "bill_id": "7", "customer_id": "5", "bill_amount": "1.5", "event_date": "2026-01-31", "item_code": "a", "Shade": "red",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("added", "under", "template"),
    [("parent_bill_number", "transactions", "returns"), ("points_redeemed,redemption_id", "points", "redemptions")],
)
def test_what_tells_a_special_template_counts_beside_all_columns_of_the_usual_one(
    added: str, under: str, template: str
) -> None:
    assert find(f"{STANDARD[under]},{added}") == template


def test_of_two_headers_that_are_alike_the_first_counts() -> None:
    matched = find_template(["Bill ID", *STANDARD["transactions"].split(",")], "x.csv", NO_RULES)
    assert matched.columns["Bill ID"] == "bill_id"
    assert matched.named({"Bill ID": "1", "bill_id": "2"}) == {"bill_id": "1"}


def test_of_two_headers_of_a_column_the_one_that_is_named_first_counts() -> None:
    matched = find_template(["user_id", "customer_id", *STANDARD["points"].split(",")], "x.csv", NO_RULES)
    assert {"customer_id": "customer_id"}.items() <= matched.columns.items()
    assert "user_id" not in matched.columns


def test_renamed_columns_are_found_by_the_rules_and_can_be_left_out() -> None:
    header = "Receipt,Receipt Total,Sold On,line_item_id,user_id,mobile,bill_number"
    assert "Receipt" in why_not(header)
    rules = InsightsRules(
        columns={
            "transactions": {
                "receipt": "bill_id",
                "receipttotal": "bill_amount",
                "soldon": "event_date",
                "mobile": None,
            }
        }
    )
    matched = find_template(header.split(","), "x.csv", rules)
    assert matched.template.name == "transactions"
    assert matched.columns["Receipt"] == "bill_id"
    assert "mobile" not in matched.columns


def test_a_header_that_is_named_like_a_column_of_ours_and_is_not_it_says_nothing() -> None:
    header = ["Receipt", "bill_id", "bill_amount", "event_date", "item_code", "notes", "user_id", "customer_id"]
    rules = InsightsRules(columns={"transactions": {"receipt": "bill_id", "notes": None, "userid": "customer_id"}})
    cells = dict(zip(header, ["7", "8", "1.5", "2026-01-31", "a", "n", "5", "6"], strict=True))
    assert find_template(header, "x.csv", rules).named(cells) == {
        "bill_id": "7", "bill_amount": "1.5", "event_date": "2026-01-31", "item_code": "a", "customer_id": "5",
    }  # fmt: skip


def test_own_fields_come_under_the_name_that_the_rules_give_them() -> None:
    rules = InsightsRules(
        custom_fields={"transactions": ("Wrapped As",)}, extended_fields={"transactions": ("source",)}
    )
    matched = find_template([*STANDARD["transactions"].split(","), "wrapped_as", "Source"], "x.csv", rules)
    assert matched.columns["wrapped_as"] == "Wrapped As"
    assert matched.columns["Source"] == "source"


def test_the_rules_come_first_then_columns_then_the_files_name() -> None:
    header = STANDARD["points"] + ",bill_amount"
    named = InsightsRules(templates={"*odd*": "members"})
    assert find(header, "brand/odd.zip/a.csv", named) == "members"
    assert find(header, "Members_2026.csv") == "points"
    assert find("user_id,first_name", "out/Members/Monthly.zip/a.csv") == "members"
    assert find("user_id,first_name", "Profiles/Members_2026.zip/part.csv") == "members"


def test_a_file_that_lacks_a_column_of_its_template_says_which_line_mends_it() -> None:
    told = why_not("bill_number,Total,event_date,user_id,line_item_id", "Transactions_2026.zip/a.csv")
    assert "lacks bill_id, bill_amount." in told
    assert "bill_number, Total, event_date, user_id, line_item_id" in told
    assert "columns:\n  transactions:\n    <its header>: bill_id" in told
    assert "<its header>: bill_amount" in told


def test_an_unknown_file_names_the_nearest_template() -> None:
    told = why_not("user_id,allocated_points,x", "nightly_dump_7.csv")
    assert "nearest is points" in told
    assert "event_moment or event_date" in told
    told = why_not("user_id,colour", "nightly_dump_7.csv")
    assert 'templates:\n  "*nightly_dump_*": members' in told


def test_a_template_that_is_not_read_is_told_by_its_columns_or_the_files_name() -> None:
    for header, name in (
        ("coupon_code,user_id", "x.csv"),
        ("a,b", "Footfall_2026.zip/a.csv"),
        ("a,user_id", "Messages.csv"),
    ):
        with pytest.raises(TemplateUnread, match="which is not read") as told:
            find(header, name)
        assert "ignore: [" in str(told.value)


def test_a_file_of_a_template_that_is_not_read_is_not_taken_for_bills_by_their_columns() -> None:
    bills = ["user_id", "bill_id", "bill_number", "bill_amount", "event_date", "coupon_code"]
    for name in ("Coupon Redemptions_2026.csv", "Coupons/2026.zip/part.csv"):
        with pytest.raises(TemplateUnread, match="which is not read") as told:
            find_template(bills, name, NO_RULES)
        assert "If it is transactions all the same" in str(told.value)
        cure = InsightsRules(templates={f"*{name}": "transactions"})
        assert find_template(bills, name, cure).template.name == "transactions"
    # A column alone does not make coupons of bills.
    assert find_template(bills, "Transactions_2026.csv", NO_RULES).template.name == "transactions"


@pytest.mark.parametrize(
    "name", ["brand/Footfall_2026.zip/a.csv", "brand/Footfall [all]_2026.csv", "Footfall what?2026.csv"]
)
def test_the_line_that_ignores_a_file_ignores_it(name: str) -> None:
    with pytest.raises(TemplateUnread) as told:
        find("a,b", name)
    glob = str(told.value).split('ignore: ["')[1].split('"]')[0]
    assert InsightsRules(ignore=(glob,)).ignores(name)
    assert not InsightsRules(ignore=(glob,)).ignores("brand/other.csv")


def test_of_several_templates_the_one_that_reads_more_columns_counts_and_a_tie_is_to_be_named() -> None:
    assert find(f"{STANDARD['points']},bill_amount,line_item_id") == "points"
    told = why_not("user_id,event_date,deducted_points,deduction_type,change_action,previous_slab_no")
    assert "several templates: points, tiers" in told
    assert "templates:" in told


def test_a_file_without_a_header_has_none_of_its_row_told() -> None:
    told = why_not("987654,ravi@example.com,2026-01-31,+91999,Ravi")
    assert "no names of columns" in told
    assert "ravi" not in told.lower()
    told = why_not("user_id,a,b,987654321,me@example.com")
    assert "user_id, a, b and 2 more" in told


@settings(deadline=None, max_examples=examples(100), database=None)
@given(header=st.lists(st.text(max_size=12), max_size=8), name=st.text(max_size=20))
def test_any_header_is_of_a_template_or_an_error_with_a_cure(header: list[str], name: str) -> None:
    try:
        words = find(header, name)
    except TemplateUnknown as told:
        words = str(told).partition("rules file:\n")[2]
    assert words


def test_the_page_has_every_template_column_and_word() -> None:
    page = (Path(__file__).parents[3] / "docs" / "history.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for template in templates().values():
        assert all(f"`{column}`" in rows[template.name] for column in template.columns), template.name
    for column, words in own_words().items():
        assert all(f"`{word}`" in rows[column] for word in words.values()), column


def test_the_example_of_the_page_is_a_rules_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "history.md").read_text("utf-8")
    example = page.partition("## The rules file")[2].partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "insights.yaml"
    file.write_text(example, "utf-8")
    rules = InsightsRules.read(file, ZoneInfo("Asia/Kolkata"))
    assert rules.shared_keys == {"pointsIssued"}
    assert rules.columns_of("transactions") == {"receiptno": "bill_number", "amount": None}
