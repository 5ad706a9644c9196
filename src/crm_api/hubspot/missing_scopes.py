"""Scopes that HubSpot's token lacks, from the 403 responses of calls."""

import logging

from crm_api.hubspot.errors import HubSpotError, HubSpotScopeError
from crm_api.hubspot.observer import Observer

logger = logging.getLogger(__name__)


class MissingScopes:
    """Scopes that HubSpot has named in a 403, until a call that needed them succeeds."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._operations: dict[str, set[str]] = {}
        """The operations that HubSpot refused, by scope."""

    @property
    def names(self) -> list[str]:
        """Names of the missing scopes in alphabetical order."""
        return sorted(self._operations)

    def observe(self, outcome: object, operation: str) -> None:
        """Update the scopes with the outcome of an attempt: a `HubSpotScopeError`, another error, or the response."""
        if isinstance(outcome, HubSpotScopeError):
            self._add(outcome, operation)
        elif self._operations and not isinstance(outcome, HubSpotError):
            self._remove(operation)

    def _add(self, error: HubSpotScopeError, operation: str) -> None:
        scope = " or ".join(error.required_scopes) or f"the scope of {operation}"
        if scope not in self._operations:
            logger.error("the HubSpot token lacks a scope: scope=%s operation=%s", scope, operation)
            self._observer.scope_missing(scope=scope, is_missing=True)
        self._operations.setdefault(scope, set()).add(operation)

    def _remove(self, operation: str) -> None:
        for scope, operations in list(self._operations.items()):
            if operation in operations:
                del self._operations[scope]
                self._observer.scope_missing(scope=scope, is_missing=False)
