"""The boot check: every mistake in the wiring that can be found before the first request, in one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import broker_checks, entry_checks, flow_checks, handler_checks, table_checks
from .diagnostics import Finding
from .injection import Offers
from .routes import JoinedRoutes
from .wiring import Found, Wiring, wiring_of

CHECKS: tuple[Callable[[Wiring], Found], ...] = (
    # What the tables say.
    table_checks.right_kinds,
    table_checks.nothing_twice,
    table_checks.wire_names_differ,
    table_checks.recipients_differ,
    table_checks.ordering_keys_exist,
    table_checks.policies_can_be_kept,
    table_checks.explanations_explain,
    entry_checks.schedules_tick,
    entry_checks.schedules_emit,
    entry_checks.upcasters_lead_to_today,
    broker_checks.topics_can_be_named,
    broker_checks.subscriptions_bring_events,
    broker_checks.subscribed_events_change_nothing_themselves,
    # What each function asks for and returns.
    handler_checks.signatures_can_be_filled,
    handler_checks.answers_agree,
    handler_checks.listeners_say_what_they_return,
    handler_checks.triggers_get_the_event_alone,
    handler_checks.parameters_are_offered,
    # How one thing leads to another.
    flow_checks.one_handler_each,
    flow_checks.somebody_hears,
    flow_checks.triggers_can_be_made,
    flow_checks.answers_are_given,
    flow_checks.projections_run,
    flow_checks.circles_are_explained,
)
"""Every check; each yields a finding for each mistake, and none for a mistake that another one reports."""


def check(routes: JoinedRoutes, offers: Mapping[str, Offers]) -> list[Finding]:
    """Find every mistake; an empty list means that the flow is whole."""
    wiring = wiring_of(routes, offers)
    return list(dict.fromkeys(finding for each in CHECKS for finding in each(wiring)))
