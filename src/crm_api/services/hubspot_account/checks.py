"""Whether the HubSpot account has what this service needs: one list of findings, for an operator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, NamedTuple, TypeVar

from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import HubSpotCredentialsError, HubSpotError, HubSpotScopeError
from crm_api.hubspot.names import ObjectType
from crm_api.services.hubspot_account.schema_check import check_schema
from crm_api.services.properties.fields import OBJECT_TYPES, REQUEST_ID_PROPERTY, RecordFields

ResponseModel = TypeVar("ResponseModel")

# A version is supported until the month 18 months after its own.
# https://developers.hubspot.com/docs/developer-tooling/platform/versioning
SUPPORTED_MONTHS: Final = 18
ENDS_SOON_MONTHS: Final = 6
# More than any account allows: a limit that still stands there, HubSpot has not stated.
UNLIMITED: Final = 100_000_000
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


class Limits(NamedTuple):
    """What the settings say that the account allows."""

    burst: int
    search: int
    daily: int


async def check_account(
    hubspot: HubSpotClient,
    *,
    api_version: str,
    fields: RecordFields,
    limits: Limits,
    today: date,
    asking: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Look at everything; what cannot be read is a finding too, and nothing is written.

    `asking` is told what is asked for next. The client's quota is to be wider than any account's: what HubSpot states
    is then seen as it is.
    """
    findings = [_check_version(api_version, today)]
    asking("the account")
    details, problem = await _ask(hubspot.account.details)
    if details is None:
        return [*findings, Finding("failed", "credentials", problem)]
    findings.append(Finding("ok", "credentials", f"account {details.portal_id}"))
    asking("scopes")
    findings.append(await _check_scopes(hubspot))
    asking("properties")
    findings += await _check_schema(hubspot, fields)
    for object_type in ("deals", "tickets"):
        findings += await _check_request_id(hubspot, object_type)
    asking("pipelines")
    for piped in ("deals", "tickets"):
        findings.append(await _check_pipelines(hubspot, piped))
    return findings + check_limits(hubspot.quota.snapshot(), limits)


def end_of_support(api_version: str) -> tuple[int, int]:
    """The year and month in which a dated version leaves support."""
    year, month = (int(part) for part in api_version.split("-")[:2])
    months = year * 12 + month - 1 + SUPPORTED_MONTHS
    return months // 12, months % 12 + 1


def _check_version(api_version: str, today: date) -> Finding:
    year, month = end_of_support(api_version)
    left = (year - today.year) * 12 + month - today.month
    if left <= 0:
        finding = f"{api_version} left support in about {year}-{month:02}: set a newer HUBSPOT_API_VERSION"
        return Finding("failed", "API version", finding)
    supported = f"{api_version}, supported until about {year}-{month:02}"
    if left <= ENDS_SOON_MONTHS:
        return Finding("warning", "API version", f"{supported}: plan for a newer HUBSPOT_API_VERSION")
    return Finding("ok", "API version", supported)


async def _check_scopes(hubspot: HubSpotClient) -> Finding:
    scopes, problem = await _ask(hubspot.account.token_scopes)
    if problem:
        return Finding("warning", "scopes", problem)
    if scopes is None:
        return await _check_reading(hubspot)
    held = set(scopes)
    missing = [" or ".join(sorted(each)) for each in NEEDED_SCOPES if not each & held]
    excess = sorted(held - WELCOME_SCOPES - frozenset().union(*NEEDED_SCOPES))
    describe_error = [f"missing: {', '.join(missing)}"] * bool(missing)
    describe_error += [f"more than needed: {', '.join(excess)}"] * bool(excess)
    if not describe_error:
        return Finding("ok", "scopes", "what is needed, and no more")
    return Finding("failed" if missing else "warning", "scopes", "; ".join(describe_error))


async def _check_reading(hubspot: HubSpotClient) -> Finding:
    """A static token's scopes can be read on no dated path: what it may read is seen by reading."""
    missing = []
    for object_type in OBJECT_TYPES:
        try:
            await hubspot.objects(object_type).list_page(limit=1)
        except HubSpotScopeError as error:
            missing += error.required_scopes or [f"crm.objects.{object_type}.read"]
        except HubSpotError as error:
            return Finding("warning", "scopes", describe_error(error))
    if missing:
        return Finding("failed", "scopes", f"missing: {', '.join(dict.fromkeys(missing))}")
    finding = (
        "contacts, deals and tickets can be read; what else a static token may do, HubSpot's settings show"
    )
    return Finding("ok", "scopes", finding)


def check_limits(found: Mapping[str, float], limits: Limits) -> list[Finding]:
    """What HubSpot has stated (`Quota.snapshot`) beside what is set."""
    stated = {"burst": (found["burst_limit"], limits.burst, "per 10 s")}
    stated["daily"] = (found["daily_limit"], limits.daily, "a day")
    findings = []
    for budget, (allowed, configured, unit) in stated.items():
        name, subject = f"HUBSPOT_{budget.upper()}_LIMIT", f"{budget} limit"
        left = f", {found['daily_remaining']:.0f} left today" if budget == "daily" else ""
        if allowed >= UNLIMITED:
            findings.append(Finding("ok", subject, f"{configured} {unit} as set; HubSpot does not say"))
        elif allowed < configured:
            finding = f"HubSpot allows {allowed:.0f} {unit}{left}, {name} says {configured}: lower it"
            findings.append(Finding("warning", subject, finding))
        else:
            more = f"; {name} says {configured}: it may be raised" if allowed > configured else ""
            findings.append(Finding("ok", subject, f"{allowed:.0f} {unit}{left}{more}"))
    search = f"{limits.search} per second as set; HubSpot does not say"
    return [*findings, Finding("ok", "search limit", search)]


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


async def _ask(question: Callable[[], Awaitable[ResponseModel]]) -> tuple[ResponseModel | None, str]:
    """The answer, or in words why there is none."""
    try:
        return await question(), ""
    except HubSpotError as error:
        return None, describe_error(error)


def describe_error(error: HubSpotError) -> str:
    """What went wrong, for an operator."""
    if isinstance(error, HubSpotScopeError):
        return f"a scope is missing: {', '.join(error.required_scopes) or 'HubSpot does not say which'}"
    if isinstance(error, HubSpotCredentialsError):
        return f"HubSpot refuses the credentials ({type(error).__name__})"
    if error.status_code is not None:
        return f"HubSpot answered {error.status_code} ({type(error).__name__})"
    return f"HubSpot could not be reached ({type(error).__name__})"


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """The findings for a program."""
    return [{"state": each.state, "subject": each.subject, "finding": each.finding} for each in findings]
