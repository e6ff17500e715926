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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from dotenv import dotenv_values

import capillary_adobe
from capillary_adobe.emulators.tenant import Tenant

HOST = "127.0.0.1"
LOCATION = "capillary_adobe"
_OUR_PREFIXES = ("ADOBE_", "CAPILLARY_", "CHECK_", "HISTORY_", "LAKE_", "LANDING_", "MAPPING_", "RECEIVE_", "STATE_")
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

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody listens on at the moment."""
        sockets = [socket.create_server((HOST, 0)) for _ in range(3)]
        try:
            ui, emulator, code = (one.getsockname()[1] for one in sockets)
        finally:
            for one in sockets:
                one.close()
        return cls(ui, emulator, code)

    def demand_free(self) -> None:
        """Find out before anything starts whether every port can be used.

        Raises:
            DemoError: naming the first one that cannot, and the option that chooses another.
        """
        for what, port in (("ui", self.ui), ("emulator", self.emulator), ("code", self.code)):
            reason = why_unusable(HOST, port)
            if reason:
                raise DemoError(
                    f"Port {port} on {HOST} cannot be used ({reason}). Stop the program that listens there, or choose "
                    f"another port with --{what}-port."
                )


@dataclass(frozen=True)
class Surroundings:
    """Everything the programs have in common. `given` are the user's own settings, which come before the demo's."""

    folder: Path
    """Working folder; `.data` under it holds all that the demo writes."""
    ports: Ports = field(default_factory=Ports)
    given: Mapping[str, str] = field(default_factory=dict)

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
    def feeds(self) -> bool:
        """Whether made-up events are landed: never where they could reach a landing store or an AEP of the user's."""
        return self.emulates and "LANDING_URL" not in self.given

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
    def landing(self) -> Path:
        """Folder of the landing store."""
        return self.folder / self.settings["LANDING_URL"]

    @property
    def settings(self) -> dict[str, str]:
        """This package's own variables: the user's, and the demo's for the rest."""
        # The credential alone: every object's id comes from the set-up, as in a real sandbox.
        emulated = Tenant.from_environment(self.given).environment(self.emulator_url, empty=True)
        return {
            **(emulated if self.emulates else {}),
            # Yesterday lands behind what the sensor has seen by then; its turn comes with the sweep.
            "LANDING_SWEEP_SECONDS": "15",
            # The emulator decides within a second; AEP takes minutes.
            "ADOBE_VERDICT_SECONDS": "15",
            # Years of empty partitions would look as if nothing worked.
            "HISTORY_START": (datetime.now(UTC).date() - timedelta(days=6)).isoformat(),
            "CAPILLARY_ORG_TIMEZONE": "Asia/Kolkata",
            "CAPILLARY_CURRENCY": "INR",
            "LANDING_URL": str(self.data / "landing"),
            "LAKE_URL": str(self.data / "lake"),
            "STATE_URL": f"sqlite:///{self.data / 'state.db'}",
            **self.given,
        }

    def environment(self) -> dict[str, str]:
        """The whole environment of a program."""
        rest = {name: value for name, value in os.environ.items() if not name.startswith(_OUR_PREFIXES)}
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
            DemoError: the configuration is not there, or the folder cannot be written.
        """
        workspace, instance = (self._configuration(name) for name in _CONFIGURATION)
        try:
            for folder in (self.dagster_home, self.logs, self.landing):
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

    def _exported(self) -> str:
        """The demo's own values as a shell reads them; the user's stay where the user keeps them."""
        own = {name: value for name, value in self.settings.items() if name not in self.given}
        own["DAGSTER_HOME"] = str(self.dagster_home)
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(own.items()))

    def remarks(self) -> list[str]:
        """What of the user's environment takes effect, without any value that could be secret."""
        found = []
        if self.given:
            found.append(f"From your environment or .env, not from the demo: {', '.join(sorted(self.given))}.")
        if not self.emulates:
            found.append(
                "AEP is yours: no emulator is started, nothing is set up, and what has landed is delivered to that AEP."
            )
        if not self.feeds:
            found.append("No made-up events are landed, because LANDING_URL or AEP is yours.")
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
    """This package's variables as the user has set them: the environment first, then `.env`."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    return {name: value for name, value in {**file, **os.environ}.items() if value and name.startswith(_OUR_PREFIXES)}


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
