"""The rules file of history: an organisation's columns, file forms, words and watermarks (`INSIGHTS_RULES`).

Belongs here: reading the file and answering by it. Does not belong here: what may stand in it (`rules_reading.py`), the
standard columns (`templates.yaml`), what a watermark does (`watermark.py`).

It is read at the beginning of every run, so a change holds from the next run on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

from capillary_adobe.capillary.insights.form import Form
from capillary_adobe.capillary.insights.model import Context
from capillary_adobe.capillary.insights.rules_reading import DEFAULT, RulesError, Written, read_rules
from capillary_adobe.capillary.insights.templates import event_types
from capillary_adobe.settings import CapillarySettings, load

__all__ = ["Form", "InsightsRules", "RulesError"]


@dataclass(frozen=True)
class InsightsRules(Written):
    """What the rules file says; without a file, nothing."""

    @classmethod
    def read(cls, path: Path | None, zone: ZoneInfo | None = None) -> InsightsRules:
        """The rules of a file; without one, no rules. `zone` is that of bare dates; without it the organisation's.

        Raises:
            RulesError: the file cannot be read, or something in it is wrong; every mistake with its line and cure.
            SettingsError: no zone is given and CAPILLARY_ORG_TIMEZONE is malformed.
        """
        if path is None:
            return cls()
        return cls(**vars(read_rules(path, zone or load(CapillarySettings).zone)))

    def watermark(self, event_name: str) -> int | None:
        """From when on (epoch ms) webhooks tell of an event type; until then exports do.

        None where nothing is set, and for types that are never cut: those with a shared key, and those that no export tells.
        """
        if event_name in self.shared_keys or event_name not in event_types():
            return None
        return self.live_from.get(event_name, self.live_from.get(DEFAULT))

    def ignores(self, file_name: str) -> bool:
        """Whether a file is left alone; `file_name` is its path below the place where exports arrive."""
        return any(_fits(file_name, glob) for glob in self.ignore)

    def template_of(self, file_name: str) -> str | None:
        """The template that the rules give a file; the first glob that fits counts."""
        return next((template for glob, template in self.templates.items() if _fits(file_name, glob)), None)

    def columns_of(self, template: str) -> Mapping[str, str | None]:
        """Our column by header, as in `alike`; None for a header that is left out."""
        return self.columns.get(template, {})

    def own_fields_of(self, template: str) -> tuple[str, ...]:
        """Names of columns that are custom or extended fields."""
        return (*self.custom_fields.get(template, ()), *self.extended_fields.get(template, ()))

    def context(self, org_id: int, zone: ZoneInfo, currency: str | None = None) -> Context:
        """What is the same for every row of an import."""
        return Context(
            org_id=org_id,
            zone=zone,
            currency=currency,
            words=self.words,
            dates=self.form.dates,
            decimal=self.form.decimal,
            custom_fields=self.custom_fields,
            extended_fields=self.extended_fields,
        )


def _fits(file_name: str, glob: str) -> bool:
    # With a slash before it, so that `*/Daily*` finds a file that lies in no folder.
    name, wanted = file_name.casefold(), glob.casefold()
    return fnmatchcase(name, wanted) or fnmatchcase(f"/{name}", wanted)
