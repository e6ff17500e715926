"""A tenant's mapping folder: what it adds, overrides and takes away, and what is told where it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from capillary_adobe.capillary.catalogue import shipped_catalogue
from capillary_adobe.xdm.language.mapping_files import fingerprint, load_mapping, read_folder, shipped, with_tenant
from capillary_adobe.xdm.language.rule_model import Leaf, MappingError, Problem, Variant
from capillary_adobe.xdm.language.rule_walk import sites, written
from capillary_adobe.xdm.language.rules import load_rules
from capillary_adobe_tests.examples import examples
from capillary_adobe_tests.xdm.language.brand import OWN, RULES


def leaves(variant: Variant) -> dict[str, Leaf]:
    return {written(site.target): site.leaf for site in sites(variant) if site.leaf is not None}


def told(**files: str) -> str:
    with pytest.raises(MappingError) as error:
        with_tenant({f"{name}.yaml": text for name, text in files.items()})
    return str(error.value)


def addition(fields: str, event: str = "pointsIssued") -> tuple[Variant, ...]:
    return with_tenant({"own.yaml": f"{event}:\n  fields:\n    {fields}\n"}).rules[event]


SHIPPED = leaves(load_rules()["pointsIssued"][0])


def test_without_a_folder_the_shipped_mapping_applies() -> None:
    mapping = load_mapping(None)
    assert mapping is shipped()
    assert (mapping.touched, mapping.declared, mapping.files) == (frozenset(), {}, {})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    mapping = with_tenant({"own.yaml": text, "shared.yaml": text, "events.yaml": text})
    assert mapping.rules == load_rules()
    assert mapping.touched == frozenset()
    assert mapping.catalogue.names() == shipped_catalogue().names()


def test_an_entry_without_event_type_adds_to_the_shipped_one() -> None:
    [variant] = addition("_tenant.brand.shoeSize: {from: 'customFields[key=shoe_size].value', as: integer}")
    added = leaves(variant)
    assert str(added.pop("_tenant.brand.shoeSize").place) == "own.yaml:3:5"
    assert added == SHIPPED
    assert variant.event_type == "loyalty.pointsIssued"


def test_an_addition_reaches_every_variant() -> None:
    for variant, before in zip(
        addition("_tenant.brand.a: {value: 1}", "transactionAdded"), load_rules()["transactionAdded"], strict=True
    ):
        assert leaves(variant).keys() - leaves(before).keys() == {"_tenant.brand.a"}
        assert (variant.when, variant.timestamp) == (before.when, before.timestamp)


def test_a_rule_takes_the_place_of_the_shipped_one_for_its_path() -> None:
    [variant] = addition("_tenant.capillary.points.total: {from: regularPointsIssued, as: number, unit: points}")
    changed = leaves(variant)
    assert changed.keys() == SHIPPED.keys()
    assert [name for name in changed if changed[name] != SHIPPED[name]] == ["_tenant.capillary.points.total"]


def test_a_rule_takes_the_place_of_all_that_the_shipped_one_writes_below() -> None:
    [variant] = addition("_tenant.capillary.points.promised: {value: 1}")
    assert leaves(variant)["_tenant.capillary.points.promised"].constant == 1
    [variant] = addition("loyalty.pointsGained: [{fields: {value: {value: 1}}}]")
    assert [name for name in leaves(variant) if name.startswith("loyalty.")] == ["loyalty.pointsGained[].value"]


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("_tenant.capillary.points.total", {"_tenant.capillary.points.total"}),
        ("_tenant.capillary.store.name", {"_tenant.capillary.store.name"}),
        ("_tenant.capillary.store", {f"_tenant.capillary.store.{name}" for name in ("code", "name", "externalId")}),
        ("loyalty", {name for name in SHIPPED if name.startswith("loyalty.")}),
    ],
)
def test_omit_takes_rules_away(path: str, gone: set[str]) -> None:
    [variant] = addition(f"{path}: {{omit: true}}")
    assert SHIPPED.keys() - leaves(variant).keys() == gone
    assert leaves(variant).keys() <= SHIPPED.keys()


def test_what_is_omitted_can_be_written_anew() -> None:
    [variant] = addition("loyalty: {omit: true}\n    loyalty.pointsGained: [{fields: {value: {value: 1}}}]")
    assert [name for name in leaves(variant) if name.startswith("loyalty.")] == ["loyalty.pointsGained[].value"]


def test_omit_reaches_the_variants_that_write_the_path() -> None:
    first, second = addition("commerce.purchases: {omit: true}", "transactionAdded")
    assert "commerce.purchases.value" not in leaves(second)
    assert first == load_rules()["transactionAdded"][0]


def test_an_addition_uses_blocks_and_sets_the_timestamp() -> None:
    files = {
        "shared.yaml": "colours:\n  _tenant.brand.colour: {from: '@till_code'}\n",
        "own.yaml": "pointsIssued: {use: [colours, transaction], timestamp: [a.b]}",
    }
    [variant] = with_tenant(files).rules["pointsIssued"]
    assert {"_tenant.brand.colour", "_tenant.capillary.transaction.id"} <= leaves(variant).keys()
    assert [path.text for path in variant.timestamp] == ["a.b"]


def test_an_entry_with_an_event_type_takes_the_place_of_the_shipped_one() -> None:
    [variant] = with_tenant({"own.yaml": "transactionAdded: {event_type: x.y, use: [entity]}"}).rules[
        "transactionAdded"
    ]
    assert variant.event_type == "x.y"
    assert leaves(variant).keys() == {"_tenant.capillary.entity.type", "_tenant.capillary.entity.id"}


def test_a_shared_block_reaches_every_event_that_uses_it() -> None:
    mapping = with_tenant({"shared.yaml": "custom_fields:\n  _tenant.capillary.customFields: {omit: true}\n"})
    using = {"customerAdded", "customerUpdated", "promotionEarned", "transactionAdded", "transactionUpdated"}
    assert mapping.touched == using
    assert not any("customFields" in name for event in using for one in mapping.rules[event] for name in leaves(one))


def test_only_what_differs_from_the_shipped_rules_is_touched() -> None:
    same = (
        "pointsExpired:\n  fields: {_tenant.capillary.points.total: {from: pointsExpired, as: number, unit: points}}\n"
    )
    assert with_tenant({"own.yaml": same}).touched == frozenset()
    described = same.replace("unit: points", "unit: points, description: What has lapsed")
    assert with_tenant({"own.yaml": described}).touched == frozenset()
    assert with_tenant({"own.yaml": same.replace("as: number", "as: integer")}).touched == {"pointsExpired"}


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            "pointsisued: {event_type: a}",
            "own.yaml:1:1: pointsisued is no event type of the catalogue. Did you mean pointsI",
        ),
        (
            "pointsissued: {fields: {}}",
            "own.yaml:1:1: pointsissued is no event type of the catalogue. Did you mean points",
        ),
        (
            "zebra: {event_type: a}",
            "own.yaml:1:1: zebra is no event type of the catalogue. Declare an event type of your own",
        ),
        (
            "rewardIssued: {fields: {}}",
            "own.yaml:1:1: rewardIssued needs an event_type, such as loyalty.rewardIssued: there",
        ),
        (
            "pointsIssued: {when: a, fields: {}}",
            "own.yaml:1:16: pointsIssued has `when` and no event_type. With an event_ty",
        ),
        (
            "pointsIssued: {fields: {}, identities: all}",
            "own.yaml:1:28: pointsIssued has `identities` and no event_type.",
        ),
        (
            "pointsIssued: {field: {}}",
            "own.yaml:1:16: pointsIssued: unknown option field. Did you mean fields? Known: field",
        ),
        ("pointsIssued: {}", "own.yaml:1:15: pointsIssued needs an event_type"),
        (
            "pointsIssued: {use: [places]}",
            "own.yaml:1:22: pointsIssued uses places, which shared.yaml does not have. Did y",
        ),
        (
            "pointsIssued: {fields: {_tenant.capillary.point: {omit: true}}}",
            "own.yaml:1:25: pointsIssued: _tenant.capillary.point is not written by the shipped mapping; nothing to omit.",
        ),
        (
            "pointsIssued: {fields: {loyalty.pointsGained.value: {value: 1}}}",
            "own.yaml:1:25: pointsIssued: loyalty.pointsGained is written by another rule (shipped/points.yaml:",
        ),
    ],
)
def test_what_an_entry_cannot_mean_is_told(own: str, words: str) -> None:
    assert told(own=own).startswith(words)


def test_a_conflict_with_a_shipped_rule_tells_how_to_take_that_away() -> None:
    words = told(own="pointsIssued: {fields: {loyalty.pointsGained.value: {value: 1}}}")
    assert words.endswith("Take the lower one away with `loyalty.pointsGained: {omit: true}`.")


def test_a_conflict_with_a_block_of_the_entry_itself_is_not_to_be_omitted() -> None:
    words = told(own="pointsIssued: {event_type: a, use: [envelope], fields: {_tenant.capillary.orgId: {value: 1}}}")
    assert words.endswith("Two rules must not write one path.")


def test_problems_of_all_files_are_told_at_once() -> None:
    words = told(events="a: {b: 5}", own="pointsIssued: 5", shared="place: 5").splitlines()
    assert [line.partition(":")[0] for line in words] == ["events.yaml", "own.yaml", "shared.yaml"]


# The folder.


def test_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("\ufeff" + RULES, "utf-8")
    (tmp_path / "events.yaml").write_text(OWN, "utf-8")
    (tmp_path / "README.md").write_text("Not a rule.", "utf-8")
    (tmp_path / "drafts").mkdir()
    assert read_folder(tmp_path) == {"events.yaml": OWN, "own.yaml": RULES}
    assert load_mapping(str(tmp_path)).touched == {"walletToppedUp"}


def refused(folder: Path) -> str:
    with pytest.raises(MappingError) as error:
        load_mapping(str(folder))
    return str(error.value)


def test_a_folder_that_cannot_be_used_is_told_with_the_cure(tmp_path: Path) -> None:
    assert refused(tmp_path / "no") == (
        f"The mapping folder {tmp_path / 'no'} does not exist. Set MAPPING_PATH to a folder with YAML files."
    )
    assert refused(tmp_path).startswith(f"The mapping folder {tmp_path} holds no file *.yaml.")
    file = tmp_path / "own.yml"
    file.write_text(RULES)
    assert refused(file).startswith(f"The mapping folder {file} is a file.")
    assert refused(tmp_path) == f"{file} ends in .yml. Rename it to own.yaml."
    file = file.rename(tmp_path / "own.YAML")
    assert refused(tmp_path) == f"{file} ends in .YAML. Rename it to own.yaml."
    file = file.rename(tmp_path / "own.yaml")
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nowhere.yaml")
    assert refused(tmp_path).startswith(f"{tmp_path / 'lost.yaml'} is no file, or a link that leads nowhere.")
    (tmp_path / "lost.yaml").unlink()
    file.write_bytes(b"a: \xff")
    assert refused(tmp_path) == f"{file} is not UTF-8 (byte 3). Save it as UTF-8."


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_must_not_be_read_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        assert "cannot be read (Permission denied)" in refused(tmp_path)
    finally:
        tmp_path.chmod(0o700)


# Fingerprints.


def test_a_fingerprint_is_of_the_rule_and_not_of_its_words() -> None:
    def of(text: str) -> str:
        return fingerprint(with_tenant({"own.yaml": text}).rules["pointsExpired"])

    one = of("pointsExpired: {event_type: a, fields: {x: {value: 1}, y: {from: b}}}")
    assert len(one) == 16
    assert one == of("# a comment\npointsExpired:\n- event_type: a\n  fields:\n    y: {from: [b]}\n    x: {value: 1}\n")
    assert one == of("pointsExpired: {event_type: a, fields: {x: {value: 1, description: One}, y: {from: b}}}")
    others = ("value: '1'", "value: 1.0", "value: true", "value: 1, unit: points", "value: 1, when: b")
    marks = {of(f"pointsExpired: {{event_type: a, fields: {{x: {{{rule}}}, y: {{from: b}}}}}}") for rule in others}
    assert len({one, *marks}) == 6


# Laws.

NAMES = st.sampled_from(["alpha", "beta", "gamma"])
LEAVES = st.sampled_from(
    ["{value: 1}", "{from: a}", "{from: [a, b], as: id, when: c}", "{from: a, as: number, unit: money}"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda steps: ".".join(["_tenant", "own", *steps]))
FIELDS = st.dictionaries(PATHS, LEAVES, max_size=4).filter(
    lambda fields: not any(a != b and b.startswith(f"{a}.") for a in fields for b in fields)
)


def problems(files: dict[str, str]) -> tuple[Problem, ...]:
    """What an error tells of; nothing where the files are rules."""
    try:
        with_tenant(files)
    except MappingError as error:
        return error.problems or (Problem(None, "an error without a problem"),)
    return ()


def entry(fields: dict[str, str]) -> dict[str, str]:
    lines = "".join(f"    {path}: {rule}\n" for path, rule in fields.items())
    return {"own.yaml": f"pointsIssued:\n  fields:\n{lines}" if fields else ""}


@settings(max_examples=examples(25), deadline=None)
@given(FIELDS)
def test_an_addition_adds_exactly_its_fields_and_touches_exactly_its_event(fields: dict[str, str]) -> None:
    mapping = with_tenant(entry(fields))
    added = leaves(mapping.rules["pointsIssued"][0])
    assert added == {**SHIPPED, **{path: added[path] for path in fields}}
    assert mapping.touched == ({"pointsIssued"} if fields else frozenset())
    for event, variants in load_rules().items():
        assert event in mapping.touched or mapping.rules[event] == variants


@settings(max_examples=examples(25), deadline=None)
@given(st.sampled_from(sorted(name for name in SHIPPED if "[]" not in name)), LEAVES)
def test_an_override_changes_one_path_and_its_omission_leaves_the_others(path: str, rule: str) -> None:
    changed = leaves(with_tenant(entry({path: rule})).rules["pointsIssued"][0])
    less = leaves(with_tenant(entry({path: "{omit: true}"})).rules["pointsIssued"][0])
    assert changed.keys() == SHIPPED.keys()
    assert {name: leaf for name, leaf in changed.items() if name != path} == less
    assert less == {name: leaf for name, leaf in SHIPPED.items() if name != path}


@settings(max_examples=examples(80), deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-9, 9)
        | st.sampled_from(["a", "a.b", "", "x > 0", "@org_id", "points", "[", "é"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "pointsIssued",
                        "fields",
                        "from",
                        "as",
                        "when",
                        "use",
                        "each",
                        "value",
                        "omit",
                        "event_type",
                        "a.b",
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_in_a_file_it_is_rules_or_an_error_with_a_place(content: object) -> None:
    text = yaml.safe_dump(content, allow_unicode=True)
    for name in ("own.yaml", "shared.yaml", "events.yaml"):
        assert all(problem.place is not None for problem in problems({name: text}))


@settings(max_examples=examples(80), deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_whatever_a_text_is_an_error_of_it_has_a_place(text: str) -> None:
    assert all(problem.place is not None for problem in problems({"own.yaml": text}))
