"""Each shipped dagster.yaml: Dagster takes it, and it differs from the one beside the sources in what is meant to differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from capillary_adobe_tests.deploy.chart import instance_of
from capillary_adobe_tests.docs.pages import ROOT, page, plain, rows, section
from capillary_adobe_tests.services import postgres_database

ONE_MACHINE = ROOT / "deploy" / "one-machine" / "dagster.yaml"
Config = dict[str, Any]


def configuration(path: Path) -> Config:
    return yaml.safe_load(path.read_text("utf-8"))


def leaves(config: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its place; lists are values."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield from leaves(value, f"{place}.{key}" if place else key)
    else:
        yield place, config


def differing(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    left, right = dict(leaves(one)), dict(leaves(other))
    places = {place for place in left.keys() | right.keys() if left.get(place) != right.get(place)}
    return {place: (left.get(place), right.get(place)) for place in places}


VARIANTS = {
    "one machine": configuration(ONE_MACHINE),
    "Kubernetes": instance_of(ROOT / "deploy" / "kubernetes" / "values.yaml"),
}
# What the chart writes in any case, or in place of what Dagster does by itself.
BY_PLACE = {
    "one machine": ("storage.",),
    "Kubernetes": (
        "run_storage.",
        "event_log_storage.",
        "schedule_storage.",
        "run_launcher.",
        "compute_logs.",
        "scheduler.",
    ),
}
ROOT_CONFIG = configuration(ROOT / "dagster.yaml")
each_variant = pytest.mark.parametrize("name", VARIANTS)


@each_variant
def test_it_differs_only_where_the_page_says_so(name: str) -> None:
    told = {
        place.split(",")[0].strip("` "): value.partition(":")[0]
        for place, *values in rows(section(page("deploying.md"), "## The `dagster.yaml` of each"))
        for value in [dict(zip(VARIANTS, values, strict=True))[name]]
        if place.startswith("`") and value
    }
    found = differing(ROOT_CONFIG, VARIANTS[name])
    other = {place: pair for place, pair in found.items() if not place.startswith(BY_PLACE[name])}

    assert {place.rpartition(".")[2]: str(pair[1]) for place, pair in other.items()} == told


@each_variant
def test_the_page_tells_the_value_that_all_others_have(name: str) -> None:
    for place, *_ in rows(section(page("deploying.md"), "## The `dagster.yaml` of each")):
        if place.startswith("`"):
            key, usual = (plain(part) for part in place.split(","))
            assert [str(value) for where, value in leaves(ROOT_CONFIG) if where.rpartition(".")[2] == key] == [
                usual.strip()
            ]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.URL]:
    """An empty database, named in the environment as the configurations want it."""
    with postgres_database() as address:
        url = sa.make_url(address)
        for part, value in {
            "HOST": url.host,
            "PORT": url.port or 5432,
            "USERNAME": url.username,
            "PASSWORD": url.password or "",
            "DB": url.database,
        }.items():
            monkeypatch.setenv(f"DAGSTER_PG_{part}", str(value))
        yield url


def at(config: Config, url: sa.URL) -> Config:
    """The configuration with the addresses that the chart writes as text led to the database."""
    text = yaml.safe_dump(config)
    for place, value in {"postgresql.example.com": url.host, "username: dagster": f"username: {url.username}"}.items():
        text = text.replace(place, str(value))
    found = yaml.safe_load(text)
    for name in ("run_storage", "event_log_storage", "schedule_storage"):
        if name in found:
            found[name]["config"]["postgres_db"] |= {"db_name": url.database, "port": url.port or 5432, "params": {}}
    return found


@each_variant
def test_dagster_works_with_it_on_postgresql(name: str, database: sa.URL, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(at(VARIANTS[name], database)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("exports", ["a"])
        assert instance.get_dynamic_partitions("exports") == ["a"]
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        assert instance.run_monitoring_max_runtime_seconds == 14400
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.global_op_concurrency_default_limit == 3
        assert not instance.telemetry_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == dict(leaves(VARIANTS[name]))["concurrency.runs.max_concurrent_runs"]
        # In a pool that nobody has set a limit for, as every pool is at first; a step begins like this.
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default("adobe_inlet")
        taken = [pools.claim_concurrency_slot("adobe_inlet", f"run {one}", "step").is_claimed for one in range(4)]
    assert taken == [True, True, True, False]
    with sa.create_engine(database.set(drivername="postgresql+psycopg2")).connect() as connection:
        assert {"runs", "event_logs", "job_ticks"} <= set(sa.inspect(connection).get_table_names())


@each_variant
def test_no_password_stands_in_it(name: str) -> None:
    passwords = [value for place, value in leaves(VARIANTS[name]) if "password" in place.rpartition(".")[0]]
    assert passwords
    assert all(str(value).startswith("DAGSTER_PG_") for value in passwords)
