"""The page and the picture of the report.

Belongs here: rendering, with everything escaped; which charts there are. Does not belong here: any figure or judgement.

The picture is SVG, which a browser draws from a data address as it does PNG: no library of its own, sharp at any size.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from capillary_adobe.backfill_progress import expected_end, moment
from capillary_adobe.reporting.answers import answers
from capillary_adobe.reporting.charts import HEIGHT, NARROW, WIDTH, Chart, seconds, side_by_side, stacked
from capillary_adobe.reporting.figures import ERRORS, DeliveryReport
from capillary_adobe.state import Outcome

_STAGES: Final = {
    "raw": "a line, before it became an event",
    "xdm": "an entity, before it was sent",
    "profile": "a profile, before it was sent",
    "aep": "refused by AEP",
}
_COLOURS: Final[Mapping[str, Sequence[str]]] = {
    "volume": ("#3f8efc", "#d29922", "#8b949e", "#a371f7", "#f0883e"),
    "latency": ("#56b6c2", "#3f8efc", "#8250df"),
    "errors": ("#f85149", "#d29922", "#8250df", "#8b949e", "#f0883e"),
}
_PICTURE_HEAD: Final = 26
_ALERTS_SHOWN: Final = 10


def page(report: DeliveryReport) -> str:
    """The report as a page of HTML that needs nothing beside itself."""
    remarks = (
        "",
        "",
        "Calls that failed, by UTC day, also those that went well when they were repeated; validation: records.",
    )
    return (
        _templates()
        .get_template("page.html")
        .render(
            report=report,
            answers=answers(report),
            charts=[(*chart, remark) for chart, remark in zip(_charts(report, NARROW), remarks, strict=True)],
            made=moment(report.made_ms),
            moment=moment,
            expected_end=expected_end,
            in_seconds=seconds,
            alerts=report.alerts[:_ALERTS_SHOWN],
            stages=_STAGES,
            colours=_style(),
        )
    )


def picture(report: DeliveryReport) -> str:
    """The charts as an SVG document, legible on light and dark."""
    charts = _charts(report, WIDTH)
    template = _templates().get_template("picture.svg.html")
    height = len(charts) * (HEIGHT + _PICTURE_HEAD)
    return template.render(charts=charts, width=WIDTH, height=height, head=_PICTURE_HEAD, colours=_style())


def picture_address(report: DeliveryReport) -> str:
    """The picture as a data address, for an image in Markdown or HTML."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture(report).encode()).decode()}"


def _charts(report: DeliveryReport, width: int) -> list[tuple[Chart, str]]:
    """Each chart with the name of its palette; all but the first are of this width."""
    days = [one.day for one in report.days]
    accounts = [one.account for one in report.days]
    volume = {
        "accepted": [one.delivery[Outcome.ACCEPTED] for one in accounts],
        "duplicates": [one.duplicates for one in accounts],
        "ignored": [sum(one.ignored.values()) for one in accounts],
        "open": [one.open for one in report.days],
        "quarantined": [one.quarantined for one in report.days],
    }
    latency = {name: [one.latency_seconds.get(name) or 0.0 for one in accounts] for name in ("p50", "p95", "p99")}
    errors = {name: [one.errors[name] for one in report.days] for name in ERRORS}
    return [
        (stacked("Landed, by outcome", days, volume), "volume"),
        (side_by_side("From landing to AEP, seconds", days, latency, width), "latency"),
        (stacked("Errors by class", days, errors, width), "errors"),
    ]


def _style() -> str:
    """Colours that stand out on light and dark alike."""
    return "".join(
        f".{palette} .s{number}{{fill:{colour};background:{colour}}}"
        for palette, colours in _COLOURS.items()
        for number, colour in enumerate(colours)
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("capillary_adobe.reporting", package_path="."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
