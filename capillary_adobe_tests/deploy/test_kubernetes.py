"""The manifests and the values for the chart: Kubernetes and Dagster take them, and they fit the programs that they start."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext
from pydantic import SecretStr

from capillary_adobe.defs.build import JOB, build_defs
from capillary_adobe.settings import ReceiverSettings, every_class, variable
from capillary_adobe_tests.deploy import chart
from capillary_adobe_tests.deploy.cluster import cluster
from capillary_adobe_tests.docs.pages import ROOT, page

FOLDER = ROOT / "deploy" / "kubernetes"
VALUES = chart.values(FOLDER / "values.yaml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PODS = chart.pods(VALUES)
Json = dict[str, Any]


def documents(name: str) -> list[Json]:
    return list(yaml.safe_load_all((FOLDER / name).read_text("utf-8")))


MANIFESTS = [one for name in ("receiver.yaml", "settings.yaml", "network.yaml") for one in documents(name)]
RECEIVER = {one["kind"]: one for one in documents("receiver.yaml")}
POD: Json = RECEIVER["Deployment"]["spec"]["template"]["spec"]
CONTAINERS: dict[str, Json] = {one["name"]: one for one in POD["containers"]}


def named(one: Json) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("one", [*MANIFESTS, *PODS.values()], ids=[*map(named, MANIFESTS), *PODS])
def test_kubernetes_takes_it(one: Json, version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


def test_the_chart_knows_every_name() -> None:
    assert chart.unknown_names(VALUES) == []
    assert chart.unknown_names({"dagsterDaemon": {"runMonitoring": {"maxRuntimeSeconds": 1}}}) == [
        "dagsterDaemon.runMonitoring.maxRuntimeSeconds"
    ]


def test_what_the_chart_would_write_a_second_time_is_off() -> None:
    daemon = VALUES["dagsterDaemon"]
    assert not any(daemon[part]["enabled"] for part in ("runCoordinator", "runMonitoring", "runRetries"))
    assert not any(daemon[part]["useThreads"] for part in ("sensors", "schedules"))
    assert not VALUES["retention"]["enabled"]
    assert {"run_monitoring", "run_retries", "sensors", "retention"} <= set(VALUES["additionalInstanceConfig"])


def test_the_chart_is_that_of_the_pinned_dagster() -> None:
    [pinned] = [one.partition("==")[2] for one in PROJECT["dependencies"] if one.startswith("dagster==")]
    told = re.findall(r"--version (\S+)", page("deploying.md") + (FOLDER / "values.yaml").read_text())
    assert set(told) == {pinned}


def images() -> list[str]:
    ours = [VALUES["dagsterWebserver"]["image"], VALUES["dagsterDaemon"]["image"]]
    others = [VALUES["busybox"]["image"], VALUES["postgresql"]["image"]]
    of_code = [one["image"] for one in VALUES["dagster-user-deployments"]["deployments"]]
    return [*map(chart.image, [*ours, *others, *of_code]), *(one["image"] for one in CONTAINERS.values())]


def test_every_image_has_a_tag_that_stays_and_ours_is_this_version() -> None:
    tags = dict(image.rsplit(":", 1) for image in images())
    assert all(re.match(r"\d+\.\d+", tag) for tag in tags.values()), tags
    assert tags["registry.example.com/capillary-adobe"] == PROJECT["version"]


@pytest.mark.parametrize("what", [*PODS, *CONTAINERS])
def test_nothing_is_root_and_everything_is_bounded(what: str) -> None:
    pod = PODS[what]["spec"] if what in PODS else POD
    container = CONTAINERS[what] if what in CONTAINERS else pod["containers"][0]
    user = (container["securityContext"] | pod["securityContext"] | container["securityContext"])["runAsUser"]
    assert user > 0
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert set(container["resources"]["limits"]) == {"memory"}


def test_the_user_and_folder_are_those_of_the_image() -> None:
    text = (ROOT / "deploy" / "container" / "Containerfile").read_text()
    [user] = re.findall(r"^USER (\d+):", text, re.MULTILINE)
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in PODS.values()} == {int(user)}
    assert CONTAINERS["receiver"]["securityContext"]["runAsUser"] == int(user)
    assert f"DAGSTER_HOME={VALUES['global']['dagsterHome']} " in text
    assert "kubernetes" in re.findall(r"'\.\[(.*)\]'", text)[0].split(",")


def test_the_location_is_the_one_of_the_workspace() -> None:
    [location] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    [told] = chart.workspace_of(VALUES)
    [code_server] = VALUES["dagster-user-deployments"]["deployments"]
    assert told == {**location["grpc_server"], "host": code_server["name"]}
    assert code_server["port"] == told["port"]
    assert code_server["codeServerArgs"] == [
        "-m",
        "capillary_adobe.definitions",
        "--location-name",
        told["location_name"],
    ]


def default(field: str) -> float:
    return float(ReceiverSettings.model_fields[field].default)


def pause(container: str) -> float:
    sleep, seconds = CONTAINERS[container]["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    return float(seconds)


def test_a_pod_that_goes_lands_what_it_took() -> None:
    needed = pause("receiver") + default("stop_seconds") + default("commit_seconds")
    assert POD["terminationGracePeriodSeconds"] > needed
    # nginx takes nothing new before the receiver does, which goes on for what nginx has passed on.
    assert 0 < pause("nginx") < pause("receiver")


def test_one_receiver_is_always_there() -> None:
    deployment, budget = RECEIVER["Deployment"]["spec"], RECEIVER["PodDisruptionBudget"]["spec"]
    assert 0 < budget["minAvailable"] < deployment["replicas"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = deployment["template"]["metadata"]["labels"]
    for kind, selector in {
        "Service": RECEIVER["Service"]["spec"]["selector"],
        "Deployment": deployment["selector"]["matchLabels"],
        "PodDisruptionBudget": budget["selector"]["matchLabels"],
        "NetworkPolicy": RECEIVER["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    }.items():
        assert selector.items() <= labels.items(), kind


def test_a_store_that_fails_makes_the_receiver_unready_and_never_restarts_it() -> None:
    receiver = CONTAINERS["receiver"]
    assert receiver["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {receiver[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/healthz"}
    assert receiver["ports"] == [{"name": "http", "containerPort": int(default("port"))}]
    assert receiver["command"] == ["capillary-adobe", "receive"]


def test_nginx_finds_what_its_configuration_names() -> None:
    configuration = (ROOT / "deploy" / "nginx" / "receiver.conf").read_text()
    mounts = {one["name"]: one["mountPath"] for one in CONTAINERS["nginx"]["volumeMounts"]}
    volumes = {one["name"]: one for one in POD["volumes"]}
    keys = re.findall(r"^ +ssl_certificate(?:_key)? (\S+);", configuration, re.MULTILINE)
    assert {f"{mounts['tls']}/{one['path']}" for one in volumes["tls"]["secret"]["items"]} == set(keys)
    assert f"server 127.0.0.1:{int(default('port'))};" in configuration
    assert "listen 443 ssl;" in configuration
    assert CONTAINERS["nginx"]["ports"] == [{"name": "https", "containerPort": 443}]


def test_the_doors_that_are_open_are_those_that_are_meant() -> None:
    rules = {one["metadata"]["name"]: one["spec"]["ingress"] for one in MANIFESTS if one["kind"] == "NetworkPolicy"}
    open_to_all = {
        port["port"] for ingress in rules.values() for rule in ingress if "from" not in rule for port in rule["ports"]
    }
    assert open_to_all == {443}
    [to_the_ui] = rules["capillary-adobe-dagster-ui"]
    assert [one["port"] for one in to_the_ui["ports"]] == [VALUES["dagsterWebserver"]["service"]["port"]]
    assert VALUES["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    [code_server] = VALUES["dagster-user-deployments"]["deployments"]
    [to_the_code_server] = rules["capillary-adobe-code-server"]
    assert [one["port"] for one in to_the_code_server["ports"]] == [code_server["port"]]
    closed = {one["metadata"]["name"]: one["spec"]["podSelector"] for one in documents("network.yaml")}
    assert closed["capillary-adobe-code-server"]["matchLabels"] == {"deployment": code_server["name"]}
    assert [one["kind"] for one in MANIFESTS if one["kind"] == "Ingress"] == []


def test_the_settings_are_variables_and_none_is_a_secret() -> None:
    fields = {variable(one, name): field for one in every_class() for name, field in one.model_fields.items()}
    [settings] = documents("settings.yaml")
    assert set(settings["data"]) - set(fields) == set()
    secret = {name for name, field in fields.items() if SecretStr.__name__ in str(field.annotation)}
    assert "ADOBE_CLIENT_SECRET" in secret
    assert (set(settings["data"]) & secret, "STATE_URL" in settings["data"]) == (set(), False)


def test_the_output_of_runs_is_kept_where_webservers_need_no_right() -> None:
    [settings] = documents("settings.yaml")
    output = VALUES["computeLogManager"]["config"]["s3ComputeLogManager"]
    assert (output["region"], output["showUrlOnly"]) == (settings["data"]["AWS_REGION"], True)


def test_the_secrets_reach_the_code_server_and_the_page_tells_how_they_are_made() -> None:
    [code_server] = VALUES["dagster-user-deployments"]["deployments"]
    assert not any("envSecrets" in VALUES[part] for part in ("dagsterWebserver", "dagsterDaemon"))
    used = {
        *(one["name"] for one in code_server["envSecrets"]),
        *(one["secretRef"]["name"] for one in CONTAINERS["receiver"]["envFrom"]),
        VALUES["global"]["postgresqlSecretName"],
        *(one["secret"]["secretName"] for one in POD["volumes"] if "secret" in one),
        *(one["configMap"]["name"] for one in POD["volumes"] if "configMap" in one),
    }
    made = re.findall(r"kubectl -n capillary create (?:secret \w+|configmap) (\S+)", page("deploying.md"))
    assert set(made) == used
    settings = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "ConfigMap"}
    assert {one["name"] for one in code_server["envConfigMaps"]} == settings


def test_the_run_launcher_makes_a_job_that_kubernetes_takes(tmp_path: Path) -> None:
    instance_config = chart.instance_of(FOLDER / "values.yaml")
    image = chart.image(VALUES["dagsterWebserver"]["image"])
    # With a database that a test has, and a cluster that is not one.
    kept = {name: value for name, value in instance_config.items() if "storage" not in name}
    with cluster() as api:
        kept["run_launcher"]["config"] |= {
            "load_incluster_config": False,
            "kubeconfig_file": str(api.client_file(tmp_path)),
        }
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(kept))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            pointer = ModuleCodePointer("capillary_adobe.definitions", "defs", None)
            origin = ReconstructableRepository(pointer, container_image=image).get_reconstructable_job(JOB)
            run = instance.create_run_for_job(
                build_defs().resolve_job_def(JOB), job_code_origin=origin.get_python_origin()
            )
            instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    [job] = api.jobs
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert job["metadata"]["namespace"] == chart.NAMESPACE
    assert job["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert container["image"] == image
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert (container["resources"]["limits"], pod["securityContext"]["runAsNonRoot"]) == ({"memory": "3Gi"}, True)
    given = instance_config["run_monitoring"]["cancel_timeout_seconds"]
    assert pod["terminationGracePeriodSeconds"] > given
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert secrets["DAGSTER_PG_PASSWORD"]["name"] == VALUES["global"]["postgresqlSecretName"]
