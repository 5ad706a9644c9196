"""Whether the HubSpot account has what this service needs: one list of findings, for an operator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotScopeError
from crm_api.hubspot.names import ObjectType
from crm_api.services.provisioning import REQUEST_ID_PROPERTY
from crm_api.services.records import CONTACT_PROPERTIES, DEAL_PROPERTIES, TICKET_PROPERTIES

Answer = TypeVar("Answer")

# A version is supported until the month 18 months after its own.
# https://developers.hubspot.com/docs/developer-tooling/platform/versioning
SUPPORTED_MONTHS: Final = 18
# Alternatives stand beside each other: tickets have an old scope and a new one.
NEEDED_SCOPES: Final = (
    frozenset({"crm.objects.contacts.read"}),
    frozenset({"crm.objects.contacts.write"}),
    frozenset({"crm.objects.deals.read"}),
    frozenset({"crm.objects.deals.write"}),
    frozenset({"crm.objects.tickets.read", "tickets"}),
    frozenset({"crm.objects.tickets.write", "tickets"}),
)
# Reading the schema and provisioning need these; `oauth` comes by itself.
WELCOME_SCOPES: Final = frozenset(
    {"oauth"}
    | {
        f"crm.schemas.{name}.{right}"
        for name in ("contacts", "deals", "tickets")
        for right in ("read", "write")
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: Literal["ok", "warning", "failed"]
    subject: str
    finding: str


async def check_account(
    hubspot: HubSpotClient, *, api_version: str, categories: Mapping[str, str]
) -> list[Finding]:
    """Look at everything; what cannot be read is a finding too, and nothing is written."""
    findings = [_check_version(api_version)]
    details, problem = await _ask(hubspot.account.details)
    if details is None:
        return [*findings, Finding("failed", "credentials", problem)]
    findings.append(Finding("ok", "credentials", f"account {details.portal_id}"))
    findings.append(await _check_scopes(hubspot))
    needed: Mapping[ObjectType, tuple[str, ...]] = {
        "contacts": CONTACT_PROPERTIES,
        "deals": DEAL_PROPERTIES,
        "tickets": TICKET_PROPERTIES,
    }
    for object_type, names in needed.items():
        findings += await _check_properties(hubspot, object_type, names, categories)
    for piped in ("deals", "tickets"):
        findings.append(await _check_pipelines(hubspot, piped))
    limits = hubspot.quota.snapshot()
    daily = f"{limits.get('daily_remaining', 0):.0f} of {limits.get('daily_limit', 0):.0f} left today"
    findings.append(Finding("ok", "limits", f"{limits.get('burst_limit', 0):.0f} per 10 s; {daily}"))
    return findings


def end_of_support(api_version: str) -> tuple[int, int]:
    """The year and month in which a dated version leaves support."""
    year, month = (int(part) for part in api_version.split("-")[:2])
    months = year * 12 + month - 1 + SUPPORTED_MONTHS
    return months // 12, months % 12 + 1


def _check_version(api_version: str) -> Finding:
    year, month = end_of_support(api_version)
    return Finding("ok", "API version", f"{api_version}, supported until about {year}-{month:02}")


async def _check_scopes(hubspot: HubSpotClient) -> Finding:
    scopes, problem = await _ask(hubspot.account.token_scopes)
    if scopes is None:
        return Finding("warning", "scopes", problem or "cannot be read with these credentials")
    held = set(scopes)
    missing = [" or ".join(sorted(each)) for each in NEEDED_SCOPES if not each & held]
    if missing:
        return Finding("failed", "scopes", f"missing: {', '.join(missing)}")
    excess = held - WELCOME_SCOPES - frozenset().union(*NEEDED_SCOPES)
    if excess:
        return Finding("warning", "scopes", f"more than needed: {', '.join(sorted(excess))}")
    return Finding("ok", "scopes", "what is needed, and no more")


async def _check_properties(
    hubspot: HubSpotClient, object_type: ObjectType, names: tuple[str, ...], categories: Mapping[str, str]
) -> list[Finding]:
    subject = f"{object_type} properties"
    known, problem = await _ask(lambda: hubspot.properties.list(object_type, max_age_seconds=0))
    if known is None:
        return [Finding("warning", subject, problem)]
    missing = [name for name in names if name not in known]
    findings = [
        Finding("failed", subject, f"missing: {', '.join(missing)}")
        if missing
        else Finding("ok", subject, f"all {len(names)} are there")
    ]
    if object_type == "contacts":
        return findings
    marker = known.get(REQUEST_ID_PROPERTY)
    if marker is None or not marker.has_unique_value:
        state = "is missing" if marker is None else "has no unique values"
        finding = f"{REQUEST_ID_PROPERTY} {state}: lost answers stay unknown; run crm-api hubspot provision"
        findings.append(Finding("warning", subject, finding))
    if object_type == "tickets" and "hs_ticket_category" in known:
        options = {option.value for option in known["hs_ticket_category"].options}
        absent = [value for value in categories.values() if value not in options]
        if absent:
            finding = f"categories missing: {', '.join(absent)}; run crm-api hubspot provision"
            findings.append(Finding("warning", subject, finding))
    return findings


async def _check_pipelines(hubspot: HubSpotClient, object_type: ObjectType) -> Finding:
    subject = f"{object_type} pipelines"
    known, problem = await _ask(lambda: hubspot.pipelines.list(object_type, max_age_seconds=0))
    if known is None:
        return Finding("failed", subject, problem)
    if not known or not any(pipeline.stages for pipeline in known):
        return Finding("failed", subject, "none with stages: nothing can be created")
    return Finding("ok", subject, f"{len(known)}, the first is {known[0].id}")


async def _ask(question: Callable[[], Awaitable[Answer]]) -> tuple[Answer | None, str]:
    """The answer, or in words why there is none."""
    try:
        return await question(), ""
    except HubSpotScopeError as error:
        return None, f"a scope is missing: {', '.join(error.required_scopes) or 'HubSpot does not say which'}"
    except HubSpotCredentialsError as error:
        return None, f"HubSpot refuses the credentials ({type(error).__name__})"
    except HubSpotError as error:
        return None, f"HubSpot could not be asked ({type(error).__name__}, status {error.status_code})"


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """The findings for a program."""
    return [{"state": each.state, "subject": each.subject, "finding": each.finding} for each in findings]
