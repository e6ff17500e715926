"""How a command ends when something is wrong.

Belongs here: which errors are told in their own words, and what is told of all others. Does not belong here: the words.
"""

from __future__ import annotations

from typing import Any

import click


def _told_plainly() -> tuple[type[Exception], ...]:
    """Errors whose text is for the operator."""
    from capillary_adobe.adobe import DeliveryError
    from capillary_adobe.alerting.channels import AlertError
    from capillary_adobe.capillary.api.client import CapillaryApiError
    from capillary_adobe.delivery_switch import DeliveryPaused
    from capillary_adobe.demo.surroundings import DemoError
    from capillary_adobe.erasure_orders import ErasureError
    from capillary_adobe.history_importing import TOLD_PLAINLY as OF_HISTORY
    from capillary_adobe.lake import LakeError
    from capillary_adobe.landing import LandingError
    from capillary_adobe.landing.receiver.failure import ReceiverError
    from capillary_adobe.reconciling import ReconcileError
    from capillary_adobe.settings import SettingsError
    from capillary_adobe.state import StateError
    from capillary_adobe.xdm.language.rule_model import MappingError

    return (
        SettingsError,
        AlertError,
        LakeError,
        StateError,
        LandingError,
        MappingError,
        DeliveryError,
        DeliveryPaused,
        DemoError,
        ReceiverError,
        CapillaryApiError,
        ReconcileError,
        ErasureError,
        *OF_HISTORY,
    )


class Plainly(click.Group):
    """A group whose commands end with a sentence and exit code 1, whatever went wrong, and never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            # click has its own way with each of them.
            raise
        # The classes are looked up when something was raised: their modules take a second to import.
        except _told_plainly() as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            # A folder of somebody else's, a disk that is full. Errors of requests are of this class, too, without a file.
            if error.filename is None or error.strerror is None:
                raise _unforeseen(error) from error
            raise click.ClickException(f"{error.filename}: {error.strerror}.") from error
        except Exception as error:
            raise _unforeseen(error) from error


def _unforeseen(error: Exception) -> click.ClickException:
    """Its own words may hold an address with its password, or what an event holds."""
    from capillary_adobe.defs.failures import unexpected

    return click.ClickException(unexpected(error))
