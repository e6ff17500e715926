"""What Dagster's Helm chart makes of our values, as far as they decide something.

Belongs here: the names that the chart has for what we set, and the dagster.yaml, the workspace and the pods that come of it.
The chart cannot be had where tests run, so this says in Python what its templates do with these values. Does not belong here:
any expectation, and what the chart does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Values = dict[str, Any]

NAMESPACE = "capillary"
RELEASE = "dagster"
# As the chart's schema names them; behind a star stands what Kubernetes, Dagster or a variable of ours names.
_IMAGE = ("image.repository", "image.tag", "image.pullPolicy")
_POD = (*_IMAGE, "podSecurityContext.*", "securityContext.*", "resources.*")
NAMES = {
    "": (
        "global.dagsterHome",
        "global.postgresqlSecretName",
        "generatePostgresqlPasswordSecret",
        "rabbitmq.enabled",
        "redis.enabled",
        "telemetry.enabled",
        "retention.enabled",
        "additionalInstanceConfig.*",
        *(f"busybox.{name}" for name in _IMAGE),
    ),
    "postgresql.": (
        "enabled",
        "postgresqlHost",
        "postgresqlUsername",
        "postgresqlDatabase",
        "postgresqlScheme",
        "postgresqlParams.*",
        "service.port",
        *_IMAGE,
    ),
    "dagsterWebserver.": (
        "replicaCount",
        "enableReadOnly",
        "service.type",
        "service.port",
        "workspace.enabled",
        "workspace.servers.host",
        "workspace.servers.port",
        "workspace.servers.name",
        "readinessProbe.*",
        *_POD,
    ),
    "dagster-user-deployments.": (
        "enabled",
        "enableSubchart",
        *(
            f"deployments.{name}"
            for name in (
                "name",
                "port",
                "codeServerArgs",
                "includeConfigInLaunchedRuns.enabled",
                "envConfigMaps.name",
                "envSecrets.name",
                "livenessProbe.*",
                "startupProbe.*",
                *_POD,
            )
        ),
    ),
    "dagsterDaemon.": (
        "enabled",
        "runCoordinator.enabled",
        "runMonitoring.enabled",
        "runRetries.enabled",
        "sensors.useThreads",
        "schedules.useThreads",
        *_POD,
    ),
    "computeLogManager.": (
        "type",
        *(f"config.s3ComputeLogManager.{name}" for name in ("bucket", "prefix", "region", "showUrlOnly")),
    ),
    "runLauncher.": (
        "type",
        *(
            f"config.k8sRunLauncher.{name}"
            for name in (
                "imagePullPolicy",
                "resources.*",
                "runK8sConfig.podSpecConfig.*",
                "runK8sConfig.containerConfig.*",
                "runK8sConfig.jobSpecConfig.*",
            )
        ),
    ),
}


def values(path: Path) -> Values:
    return yaml.safe_load(path.read_text("utf-8"))


def unknown_names(given: Values) -> list[str]:
    """Names in the values that the chart has not; it would take most of them, and do nothing."""
    known = {prefix + name for prefix, names in NAMES.items() for name in names}
    stars = tuple(name.removesuffix("*") for name in known if name.endswith(".*"))
    return [place for place in _places(given) if place not in known and not place.startswith(stars)]


def _places(config: Any, place: str = "") -> Iterator[str]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield from _places(value, f"{place}.{key}" if place else str(key))
    elif isinstance(config, list) and config and isinstance(config[0], dict):
        for one in config:
            yield from _places(one, place)
    else:
        yield place


def image(given: Values) -> str:
    return f"{given['repository']}:{given['tag']}"


def instance_of(path: Path) -> Values:
    """The dagster.yaml that the chart puts into every pod."""
    given = values(path)
    database = given["postgresql"]
    storage = {
        "postgres_db": {
            "username": database["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": database["postgresqlHost"],
            "db_name": database["postgresqlDatabase"],
            "port": database["service"]["port"],
            "params": database["postgresqlParams"],
            "scheme": database["postgresqlScheme"],
        }
    }
    logs = given["computeLogManager"]
    output = dict(logs["config"]["s3ComputeLogManager"])
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        "schedule_storage": _storage("schedule_storage", "PostgresScheduleStorage", storage),
        "run_storage": _storage("run_storage", "PostgresRunStorage", storage),
        "event_log_storage": _storage("event_log", "PostgresEventLogStorage", storage),
        "run_launcher": {"module": "dagster_k8s", "class": given["runLauncher"]["type"], "config": launcher_of(given)},
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": logs["type"],
            "config": {"show_url_only": output.pop("showUrlOnly"), **output},
        },
        "telemetry": given["telemetry"],
        **given["additionalInstanceConfig"],
    }


def _storage(module: str, name: str, config: Values) -> Values:
    return {"module": f"dagster_postgres.{module}", "class": name, "config": config}


def launcher_of(given: Values) -> Values:
    """The configuration of the run launcher."""
    told = given["runLauncher"]["config"]["k8sRunLauncher"]
    in_pod = told["runK8sConfig"]
    return {
        "load_incluster_config": True,
        "job_namespace": NAMESPACE,
        "image_pull_policy": told["imagePullPolicy"],
        "service_account_name": RELEASE,
        "dagster_home": given["global"]["dagsterHome"],
        "instance_config_map": f"{RELEASE}-instance",
        "postgres_password_secret": given["global"]["postgresqlSecretName"],
        "resources": told["resources"],
        "run_k8s_config": {
            "pod_spec_config": in_pod["podSpecConfig"],
            "container_config": in_pod["containerConfig"],
            "job_spec_config": in_pod["jobSpecConfig"],
        },
    }


def workspace_of(given: Values) -> list[Values]:
    """The code locations that webserver and daemon look for."""
    return [
        {"host": one["host"], "port": one["port"], "location_name": one["name"]}
        for one in given["dagsterWebserver"]["workspace"]["servers"]
    ]


def pods(given: Values) -> dict[str, Values]:
    """The pods of the chart that run for ever, by what they are."""
    webserver, daemon = given["dagsterWebserver"], given["dagsterDaemon"]
    [code_server] = given["dagster-user-deployments"]["deployments"]
    return {
        "webserver": _pod(webserver, readinessProbe=webserver["readinessProbe"]),
        "daemon": _pod(daemon),
        "code server": _pod(
            code_server,
            args=["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(code_server["port"])]  # noqa: S104
            + code_server["codeServerArgs"],
            envFrom=[
                *({"configMapRef": one} for one in code_server["envConfigMaps"]),
                *({"secretRef": one} for one in code_server["envSecrets"]),
            ],
            livenessProbe=_health(code_server, "livenessProbe"),
            startupProbe=_health(code_server, "startupProbe"),
        ),
    }


def _health(code_server: Values, probe: str) -> Values:
    command = ["dagster", "api", "grpc-health-check", "-p", str(code_server["port"])]
    told = {name: value for name, value in code_server[probe].items() if name != "enabled"}
    return {"exec": {"command": command}, **told}


def _pod(given: Values, **container: Any) -> Values:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": RELEASE},
        "spec": {
            "securityContext": given["podSecurityContext"],
            "containers": [
                {
                    "name": RELEASE,
                    "image": image(given["image"]),
                    "imagePullPolicy": given["image"]["pullPolicy"],
                    "securityContext": given["securityContext"],
                    "resources": given["resources"],
                    **container,
                }
            ],
        },
    }
