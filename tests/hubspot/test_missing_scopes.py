"""Missing scopes: from the first 403 until each scope is granted."""

from crm_api.hubspot import Observer
from crm_api.hubspot.errors import HubSpotScopeError, HubSpotServerError
from crm_api.hubspot.missing_scopes import MissingScopes


class RecordingObserver(Observer):
    def __init__(self) -> None:
        self.events: list[tuple[str, bool]] = []

    def scope_missing(self, *, scope: str, is_missing: bool) -> None:
        self.events.append((scope, is_missing))


def test_scope_is_missing_until_one_refused_operation_succeeds() -> None:
    observer = RecordingObserver()
    scopes = MissingScopes(observer)
    error = HubSpotScopeError(required_scopes=["tickets", "crm.objects.tickets.write"])
    name = "tickets or crm.objects.tickets.write"
    for operation in ("tickets.create", "tickets.update"):
        scopes.observe(error, operation)
    assert scopes.names == [name]
    scopes.observe("response", "deals.create")
    scopes.observe(HubSpotServerError(), "tickets.update")
    assert scopes.names == [name]
    scopes.observe("response", "tickets.update")
    assert scopes.names == []
    assert observer.events == [(name, True), (name, False)]


def test_scopes_that_hubspot_does_not_name_differ_by_operation() -> None:
    scopes = MissingScopes(Observer())
    for operation in ("tickets.create", "deals.create"):
        scopes.observe(HubSpotScopeError(), operation)
    assert scopes.names == ["the scope of deals.create", "the scope of tickets.create"]
    scopes.observe("response", "deals.create")
    assert scopes.names == ["the scope of tickets.create"]
