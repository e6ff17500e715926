"""What the demo's programs find around them: folders, ports, environment and Dagster's configuration.

Belongs here: choosing and preparing these, and saying which values the user has set. Does not belong here: the programs
(`stack.py`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from dotenv import dotenv_values

import capillary_adobe
from capillary_adobe.demo.broken import ORG_ID
from capillary_adobe.emulators.capillary.organisation import Organisation
from capillary_adobe.emulators.tenant import Tenant
from capillary_adobe.settings import in_files

HOST = "127.0.0.1"
LOCATION = "capillary_adobe"
_OUR_PREFIXES = (
    "ADOBE_",
    "ALERT_",
    "ASSET_",
    "CAPILLARY_",
    "CHECK_",
    "ERASURE_",
    "HISTORY_",
    "IDENTITY_",
    "INSIGHTS_",
    "LAKE_",
    "LANDING_",
    "MAPPING_",
    "PROFILE_",
    "RECEIVE_",
    "REPORT_",
    "RETENTION_",
    "SCHEDULE_",
    "SECRETS_",
    "STATE_",
)
_STORES = ("LANDING_URL", "LAKE_URL", "STATE_URL")
# What keeps made-up events away as soon as it is the user's: a store they would end up in, a Capillary, its exports, an
# address they would be posted to, and whatever says that the user's own events come to the receiver.
_KEEPS_OUT = (
    *_STORES,
    "CAPILLARY_API_URL",
    "CAPILLARY_WEBHOOK_URL",
    "INSIGHTS_URL",
    "RECEIVE_HOST",
    "RECEIVE_SECRET",
    "RECEIVE_PREVIOUS_SECRET",
    "RECEIVE_HMAC_HEADER",
    "RECEIVE_CERTIFICATE_HEADER",
)
_SECRET = "demo-secret-of-the-local-receiver"  # noqa: S105 - opens nothing but the demo's receiver
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_ADDRESSES = ("ADOBE_IMS_URL", "ADOBE_PLATFORM_URL", "ADOBE_INLET_URL")
_CREDENTIAL = ("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET", "ADOBE_ORG_ID")
_CONFIGURATION = ("workspace.yaml", "dagster.yaml")


class DemoError(Exception):
    """The demo cannot start or go on; the text says why and what to do."""


@dataclass(frozen=True)
class Ports:
    """Where the programs listen."""

    ui: int = 3000
    emulator: int = 8788
    code: int = 4266
    capillary: int = 8789
    receiver: int = 8790

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody listens on at the moment."""
        sockets = [socket.create_server((HOST, 0)) for _ in fields(cls)]
        try:
            return cls(*(one.getsockname()[1] for one in sockets))
        finally:
            for one in sockets:
                one.close()


@dataclass(frozen=True)
class Surroundings:
    """Everything the programs have in common. `given` are the user's own settings, which come before the demo's.

    With `past`, exports of the month before the feed lie ready to be imported, where the demo makes events up.
    """

    folder: Path
    """Working folder; `.data` under it holds all that the demo writes."""
    ports: Ports = field(default_factory=Ports)
    given: Mapping[str, str] = field(default_factory=dict)
    past: bool = True

    @property
    def data(self) -> Path:
        """What the demo writes."""
        return self.folder / ".data"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own storage."""
        return self.data / "dagster_home"

    @property
    def logs(self) -> Path:
        """One file a program."""
        return self.data / "logs"

    @property
    def emulator_url(self) -> str:
        """Address of the AEP emulator, and of its page."""
        return f"http://{HOST}:{self.ports.emulator}"

    @property
    def emulates(self) -> bool:
        """Whether AEP is the emulator: not where the user names an address of AEP's, or has a credential for Adobe's own."""
        addresses = [self.given[name] for name in _ADDRESSES if name in self.given]
        if addresses:
            return all(f"{address}/".startswith(f"{self.emulator_url}/") for address in addresses)
        return not all(name in self.given for name in _CREDENTIAL)

    @property
    def kept_out_by(self) -> list[str]:
        """What of the user's keeps made-up events away."""
        aep = [] if self.emulates else ["AEP"]
        return aep + [name for name in _KEEPS_OUT if self._is_yours(name)]

    @property
    def feeds(self) -> bool:
        """Whether events are made up, landed and posted by the local Capillary."""
        return not self.kept_out_by

    @property
    def receives(self) -> bool:
        """Whether the receiver runs: for the local Capillary, or for the user's own with a secret of the user's.

        The demo's own secret is known to everybody, so nothing of the user's is ever behind it.
        """
        return self.feeds or self._is_yours("RECEIVE_SECRET")

    @property
    def capillary_url(self) -> str:
        """Address of the local Capillary."""
        return f"http://{HOST}:{self.ports.capillary}"

    @property
    def receiver_url(self) -> str:
        """Address of the receiver, as programs of this machine reach it."""
        host = self.given.get("RECEIVE_HOST", HOST)
        host = HOST if host in _ANY_ADDRESS else host
        return f"http://[{host}]:{self.ports.receiver}" if ":" in host else f"http://{host}:{self.ports.receiver}"

    @property
    def webhook_url(self) -> str:
        """Where the receiver takes events."""
        return self.receiver_url + self.given.get("RECEIVE_PATH", "/events")

    @property
    def story(self) -> Path:
        """How far the feed has told the stories of today."""
        return self.data / "story.json"

    @property
    def ui_url(self) -> str:
        """Address of the Dagster UI."""
        return f"http://{HOST}:{self.ports.ui}"

    @property
    def workspace(self) -> Path:
        """The workspace file for the chosen code port."""
        return self.data / "workspace.yaml"

    @property
    def exports(self) -> Path:
        """What another terminal needs for the commands to find the demo: `. .data/environment`."""
        return self.data / "environment"

    @property
    def insights(self) -> Path:
        """Where the exports of the past arrive."""
        return self.data / "insights"

    @property
    def insights_rules(self) -> Path:
        """The rules file of these exports."""
        return self.data / "insights.yaml"

    @property
    def landing(self) -> Path:
        """Folder of the landing store."""
        return self.folder / self.settings["LANDING_URL"]

    @property
    def settings(self) -> dict[str, str]:
        """This package's own variables: the user's, and the demo's for the rest."""
        return {
            **(self._of_aep if self.emulates else {}),
            **(self._of_capillary if self.feeds else {}),
            **(self._of_insights if self.feeds and self.past else {}),
            **self._of_this_machine,
            **self.given,
            **({"RECEIVE_PORT": str(self.ports.receiver)} if self.receives else {}),
        }

    @property
    def _of_aep(self) -> dict[str, str]:
        # The credential alone: every object's id comes from the set-up, as in a real sandbox.
        return Tenant.demo().environment(self.emulator_url, empty=True)

    @property
    def _of_capillary(self) -> dict[str, str]:
        return {
            **Organisation.demo().environment(self.capillary_url),
            # What a production cluster may allow; everybody is looked up while one watches.
            "CAPILLARY_LOOKUP_CALLS_PER_MINUTE": "600",
            "CAPILLARY_WEBHOOK_URL": self.webhook_url,
            "RECEIVE_HOST": HOST,
            "RECEIVE_PORT": str(self.ports.receiver),
            "RECEIVE_SECRET": _SECRET,
        }

    @property
    def _of_insights(self) -> dict[str, str]:
        return {
            "INSIGHTS_URL": str(self.insights),
            "INSIGHTS_ORG_ID": str(ORG_ID),
            "INSIGHTS_RULES": str(self.insights_rules),
            "INSIGHTS_WORK_FOLDER": str(self.data / "imports"),
            # Eight small files, one after the other.
            "INSIGHTS_POLL_SECONDS": "10",
        }

    @property
    def _of_this_machine(self) -> dict[str, str]:
        return {
            # Bodies that land aside, and a yesterday that lands late, show at once.
            "LANDING_SWEEP_SECONDS": "5",
            # The emulator decides within a second; AEP takes minutes.
            "ADOBE_VERDICT_SECONDS": "15",
            # Years of empty partitions would look as if nothing worked. Exports reach back a month from the day they were made.
            "HISTORY_START": (datetime.now(UTC).date() - timedelta(days=60 if self.past else 6)).isoformat(),
            "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
            "CAPILLARY_CURRENCY": "INR",
            "LANDING_URL": str(self.data / "landing"),
            "LAKE_URL": str(self.data / "lake"),
            "STATE_URL": f"sqlite:///{self.data / 'state.db'}",
        }

    def _is_yours(self, name: str) -> bool:
        """Whether the user has set it, and not to the demo's own value, as in a terminal that has read `exports`."""
        own = {**self._of_aep, **self._of_capillary, **self._of_insights, **self._of_this_machine}
        return name in self.given and self.given[name] != own.get(name)

    def environment(self) -> dict[str, str]:
        """The whole environment of a program."""
        on_s3 = any(self.settings[name].startswith("s3://") for name in _STORES)
        # A credential for AWS has no business here unless a store is there.
        foreign = _OUR_PREFIXES if on_s3 else (*_OUR_PREFIXES, "AWS_")
        rest = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {
            "DAGSTER_HOME": str(self.dagster_home),
            # Run processes are started by name; without this the name is looked up in PATH.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
        }
        return {**rest, **own, **self.settings}

    def prepare(self) -> None:
        """Make the folders and put Dagster's configuration in place.

        Raises:
            DemoError: the configuration is not there, the folder cannot be written, or it holds what is made up while AEP
                is the user's.
        """
        self._demand_nothing_made_up()
        workspace, instance = (self._configuration(name) for name in _CONFIGURATION)
        try:
            for folder in (self.dagster_home, self.logs, *([self.landing] if self.feeds else [])):
                folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(instance, self.dagster_home / instance.name)
            described = yaml.safe_load(workspace.read_text(encoding="utf-8"))
            described["load_from"][0]["grpc_server"] |= {"host": HOST, "port": self.ports.code}
            self.workspace.write_text(yaml.safe_dump(described), encoding="utf-8")
            self.exports.write_text(self._exported(), encoding="utf-8")
        except OSError as error:
            raise DemoError(
                f"{error.filename} cannot be written ({error.strerror}). Start the demo in a folder of your own that has "
                "free space."
            ) from error

    def demand_free_ports(self) -> None:
        """Find out before anything starts whether every port that is needed can be used.

        Raises:
            DemoError: naming the first one that cannot, and the option that chooses another.
        """
        needed = {"emulator": self.emulates, "capillary": self.feeds, "receiver": self.receives}
        for one in fields(self.ports):
            port = getattr(self.ports, one.name)
            reason = why_unusable(HOST, port) if needed.get(one.name, True) else ""
            if reason:
                raise DemoError(
                    f"Port {port} on {HOST} cannot be used ({reason}). Stop the program that listens there, or choose "
                    f"another port with --{one.name}-port."
                )

    def _demand_nothing_made_up(self) -> None:
        """What a demo has left in `.data` must not go to an AEP of the user's, nor count as delivered there."""
        ours = [name for name in _STORES if not self._is_yours(name)]
        if not self.emulates and ours and (self.data / "emulator").exists():
            raise DemoError(
                f"{self.data} holds what was made up, and what the stand-in for AEP acknowledged. Now AEP is yours: set "
                f"{', '.join(ours)} as well, or move {self.data} away."
            )

    def _exported(self) -> str:
        """The demo's own values as a shell reads them; the user's stay where the user keeps them."""
        own = {name: value for name, value in self.settings.items() if name not in self.given}
        own["DAGSTER_HOME"] = str(self.dagster_home)
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(own.items()))

    def remarks(self) -> list[str]:
        """What of the user's environment takes effect, without any value that could be secret."""
        found = []
        yours = sorted(name for name in self.given if self._is_yours(name))
        if yours:
            found.append(f"From your environment or .env, not from the demo: {', '.join(yours)}.")
        if not self.emulates:
            found.append(
                "AEP is yours: no emulator is started, nothing is set up, and what has landed is delivered to that AEP."
            )
        elif self._is_yours("STATE_URL"):
            found.append(
                "AEP is the stand-in and STATE_URL is yours: what the stand-in acknowledges counts as delivered there, and "
                "is not sent to your AEP later."
            )
        if not self.feeds:
            found.append(f"No events are made up, because these are yours: {', '.join(self.kept_out_by)}.")
        if self.receives and not self.feeds:
            found.append(
                f"The receiver is yours: whatever is posted to {self.webhook_url} with RECEIVE_SECRET lands in LANDING_URL."
            )
        elsewhere = os.environ.get("DAGSTER_HOME")
        if elsewhere and Path(elsewhere) != self.dagster_home:
            found.append(f"DAGSTER_HOME={elsewhere} is left alone; the demo keeps its own in {self.dagster_home}.")
        return found

    def _configuration(self, name: str) -> Path:
        """A file of the repository: in the working folder, the current one or the checkout this package runs from."""
        for folder in (self.folder, Path.cwd(), Path(capillary_adobe.__file__).parents[1]):
            if (folder / name).is_file():
                return folder / name
        raise DemoError(f"{name} is not here. Start the demo in the folder of the checked-out repository.")


def given_settings() -> dict[str, str]:
    """This package's variables as the user has set them: the environment first, then `.env`, then SECRETS_DIR.

    Raises:
        SettingsError: the folder of secrets cannot be read.
    """
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    found = {**in_files(), **file, **os.environ}
    return {name: value for name, value in found.items() if value and name.startswith(_OUR_PREFIXES)}


def why_unusable(host: str, port: int) -> str:
    """Why nothing can listen on a port, in the system's words; empty if something can."""
    # Bound, never listening: whoever waits for the port to answer must not take this for an answer.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            return error.strerror or str(error)
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
    return ""
