"""Whether the HubSpot account has what this service needs: one list of findings, for an operator."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotScopeError
from crm_api.hubspot.names import ObjectType
from crm_api.services.fields import RecordFields
from crm_api.services.properties import check_schema
from crm_api.services.provisioning import REQUEST_ID_PROPERTY

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


async def check_account(hubspot: HubSpotClient, *, api_version: str, fields: RecordFields) -> list[Finding]:
    """Look at everything; what cannot be read is a finding too, and nothing is written."""
    findings = [_check_version(api_version)]
    details, problem = await _ask(hubspot.account.details)
    if details is None:
        return [*findings, Finding("failed", "credentials", problem)]
    findings.append(Finding("ok", "credentials", f"account {details.portal_id}"))
    findings.append(await _check_scopes(hubspot))
    findings += await _check_schema(hubspot, fields)
    for object_type in ("deals", "tickets"):
        findings += await _check_request_id(hubspot, object_type)
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


async def _check_schema(hubspot: HubSpotClient, fields: RecordFields) -> list[Finding]:
    problems, unread = await _ask(lambda: check_schema(hubspot, fields))
    if problems is None:
        return [Finding("warning", "properties", unread)]
    if not problems:
        return [Finding("ok", "properties", "all are there, as they are needed")]
    return [Finding("warning", "properties", problem) for problem in problems]


async def _check_request_id(hubspot: HubSpotClient, object_type: ObjectType) -> list[Finding]:
    known, problem = await _ask(lambda: hubspot.properties.list(object_type))
    subject = f"{object_type} created once"
    if known is None:
        return [Finding("warning", subject, problem)]
    marker = known.get(REQUEST_ID_PROPERTY)
    if marker is not None and marker.has_unique_value:
        return [Finding("ok", subject, f"{REQUEST_ID_PROPERTY} is there")]
    state = "is missing" if marker is None else "has no unique values"
    finding = f"{REQUEST_ID_PROPERTY} {state}: lost answers stay unknown; run crm-api hubspot provision"
    return [Finding("warning", subject, finding)]


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
