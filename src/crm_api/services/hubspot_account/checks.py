"""Checks of the HubSpot account for operators: credentials, scopes, properties, pipelines and limits."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple, TypeVar

from crm_api.hubspot import HubSpotClient
from crm_api.hubspot.errors import (
    HubSpotCertificateError,
    HubSpotCredentialsError,
    HubSpotError,
    HubSpotScopeError,
)
from crm_api.hubspot.names import ObjectType
from crm_api.services.hubspot_account.required_check import check_required
from crm_api.services.hubspot_account.schema_check import check_categories, check_schema
from crm_api.services.hubspot_account.setting_check import check_settings
from crm_api.services.properties.fields import OBJECT_TYPES, REQUEST_ID_PROPERTY, RecordFields
from crm_api.services.properties.pipelines import CustomerStages

T = TypeVar("T")

# HubSpot supports each version for 18 months.
# https://developers.hubspot.com/docs/developer-tooling/platform/versioning
SUPPORTED_MONTHS: Final = 18
ENDS_SOON_MONTHS: Final = 6
# Higher than any HubSpot account's limit: a quota that still has this value was not reported by HubSpot.
UNLIMITED: Final = 100_000_000
# Each set holds alternatives: tickets have an old and a new scope.
REQUIRED_SCOPES: Final = (
    frozenset({"crm.objects.contacts.read"}),
    frozenset({"crm.objects.contacts.write"}),
    frozenset({"crm.objects.deals.read"}),
    frozenset({"crm.objects.deals.write"}),
    frozenset({"crm.objects.tickets.read", "tickets"}),
    frozenset({"crm.objects.tickets.write", "tickets"}),
)
# The schema scopes are for schema checks and provisioning; HubSpot always grants `oauth`.
OPTIONAL_SCOPES: Final = frozenset(
    {"oauth"} | {f"crm.schemas.{name}.{right}" for name in OBJECT_TYPES for right in ("read", "write")}
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    state: Literal["ok", "warning", "failed", "unknown"]
    subject: str
    finding: str


class Limits(NamedTuple):
    """The configured HubSpot limits: calls per 10 s, searches per second, calls per day."""

    burst: int
    search: int
    daily: int


class Unread(NamedTuple):
    """Reason why the HubSpot account of the database is unknown."""

    state: Literal["ok", "warning"]
    reason: str


class Binding(NamedTuple):
    """The HubSpot account that the database is bound to, if it could be read."""

    portal_id: str | None = None
    unread: Unread | None = None


async def check_account(
    hubspot: HubSpotClient,
    *,
    api_version: str,
    fields: RecordFields,
    stages: CustomerStages,
    limits: Limits,
    today: date,
    binding: Binding,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Run all checks without writing anything; a failed read is a finding too.

    `on_step` is called with the name of each step. The client's quota should be `UNLIMITED`, so that it shows what
    HubSpot reports.
    """
    findings = [_check_version(api_version, today)]
    on_step("the account")
    details, problem = await _read(hubspot.account.details)
    if details is None:
        return [*findings, Finding("failed", "credentials", problem)]
    account = f"account {details.portal_id}, time zone {details.zone}"
    findings.append(Finding("ok", "credentials", account))
    findings.append(_check_binding(details.portal_id, binding))
    on_step("scopes")
    findings.append(await _check_scopes(hubspot))
    on_step("properties")
    findings += await _check_schema(hubspot, fields)
    findings += await _check_categories(hubspot, fields)
    findings += await _check_required(hubspot, fields)
    findings += await _check_settings(hubspot, fields, stages)
    for object_type in ("deals", "tickets"):
        findings.append(await _check_request_id(hubspot, object_type))
    on_step("pipelines")
    for piped in ("deals", "tickets"):
        findings.append(await _check_pipelines(hubspot, piped))
    return findings + check_limits(hubspot.sender.quota.snapshot(), limits)


def end_of_support(api_version: str) -> tuple[int, int]:
    """Return the year and month in which support for a dated version ends."""
    year, month = (int(part) for part in api_version.split("-")[:2])
    months = year * 12 + month - 1 + SUPPORTED_MONTHS
    return months // 12, months % 12 + 1


def _check_version(api_version: str, today: date) -> Finding:
    year, month = end_of_support(api_version)
    remaining_months = (year - today.year) * 12 + month - today.month
    if remaining_months <= 0:
        finding = (
            f"{api_version} is unsupported since about {year}-{month:02}: set a newer HUBSPOT_API_VERSION"
        )
        return Finding("failed", "API version", finding)
    supported = f"{api_version}, supported until about {year}-{month:02}"
    if remaining_months <= ENDS_SOON_MONTHS:
        return Finding("warning", "API version", f"{supported}: plan for a newer HUBSPOT_API_VERSION")
    return Finding("ok", "API version", supported)


def _check_binding(portal_id: str, binding: Binding) -> Finding:
    if binding.unread is not None:
        return Finding(binding.unread.state, "database", f"not compared: {binding.unread.reason}")
    if binding.portal_id is None:
        return Finding("ok", "database", "not bound to a HubSpot account yet")
    if binding.portal_id != portal_id:
        finding = (
            f"bound to HubSpot account {binding.portal_id}, not {portal_id}: the service would refuse every request "
            "that needs HubSpot; use the right credentials or database, or run crm-api hubspot move"
        )
        return Finding("failed", "database", finding)
    return Finding("ok", "database", f"bound to HubSpot account {portal_id}")


async def _check_scopes(hubspot: HubSpotClient) -> Finding:
    scopes, problem = await _read(hubspot.account.token_scopes)
    if problem:
        return Finding("warning", "scopes", problem)
    if scopes is None:
        return await _check_reads(hubspot)
    granted = set(scopes)
    missing = [
        " or ".join(sorted(alternatives)) for alternatives in REQUIRED_SCOPES if not alternatives & granted
    ]
    excess = sorted(granted - OPTIONAL_SCOPES - frozenset().union(*REQUIRED_SCOPES))
    problems = []
    if missing:
        problems.append(f"missing: {', '.join(missing)}")
    if excess:
        problems.append(f"not needed: {', '.join(excess)}")
    if not problems:
        return Finding("ok", "scopes", "all required scopes, no others")
    return Finding("failed" if missing else "warning", "scopes", "; ".join(problems))


async def _check_reads(hubspot: HubSpotClient) -> Finding:
    """Read one record of each type, because no dated path returns the scopes of a static token."""
    missing = []
    for object_type in OBJECT_TYPES:
        try:
            await hubspot.objects(object_type).list_page(limit=1)
        except HubSpotScopeError as error:
            missing += error.required_scopes or [f"crm.objects.{object_type}.read"]
        except HubSpotError as error:
            is_refused = isinstance(error, HubSpotCredentialsError)
            return Finding("failed" if is_refused else "warning", "scopes", describe_error(error))
    if missing:
        return Finding("failed", "scopes", f"missing: {', '.join(dict.fromkeys(missing))}")
    finding = (
        "contacts, deals and tickets can be read; not known whether they can be written, because HubSpot does not "
        "report the scopes of this kind of token: compare them in HubSpot's settings"
    )
    return Finding("unknown", "scopes", finding)


def check_limits(snapshot: Mapping[str, float], limits: Limits) -> list[Finding]:
    """Compare the limits that HubSpot reported (`Quota.snapshot`) with the configured ones."""
    search = f"{limits.search} per second as configured; HubSpot does not report the limit"
    remaining = f", {snapshot['daily_remaining']:.0f} remaining today"
    return [
        _check_limit("burst", snapshot["burst_limit"], limits.burst, "per 10 s"),
        _check_limit("daily", snapshot["daily_limit"], limits.daily, "per day", remaining),
        Finding("ok", "search limit", search),
    ]


def _check_limit(name: str, allowed: float, configured: int, unit: str, remaining: str = "") -> Finding:
    subject, setting = f"{name} limit", f"HUBSPOT_{name.upper()}_LIMIT is {configured}"
    if allowed >= UNLIMITED:
        return Finding("ok", subject, f"{configured} {unit} as configured; HubSpot does not report the limit")
    finding = f"{allowed:.0f} {unit}{remaining}"
    if allowed < configured:
        return Finding("warning", subject, f"HubSpot allows {finding}; {setting}: lower it")
    return Finding(
        "ok", subject, f"{finding}; {setting}: it can be raised" if allowed > configured else finding
    )


async def _check_schema(hubspot: HubSpotClient, fields: RecordFields) -> list[Finding]:
    problems, unread = await _read(lambda: check_schema(hubspot, fields))
    if problems is None:
        finding = f"{unread}; requests with properties of HUBSPOT_PROPERTIES are refused"
        return [Finding("failed", "properties", finding)]
    if not problems:
        return [Finding("ok", "properties", "all exist with the expected types")]
    return [Finding("warning", "properties", problem) for problem in problems]


async def _check_categories(hubspot: HubSpotClient, fields: RecordFields) -> list[Finding]:
    subject = "ticket categories"
    problems, unread = await _read(lambda: check_categories(hubspot, fields))
    if problems is None:
        return [Finding("unknown", subject, f"not known: {unread}")]
    if not problems:
        return [Finding("ok", subject, "all exist")]
    return [Finding("failed", subject, problem) for problem in problems]


async def _check_required(hubspot: HubSpotClient, fields: RecordFields) -> list[Finding]:
    subject = "required properties"
    problems, unread = await _read(lambda: check_required(hubspot, fields))
    if problems is None:
        return [Finding("unknown", subject, f"not known: {unread}")]
    if not problems:
        return [Finding("ok", subject, "customers can set every required property")]
    return [Finding(state, subject, problem) for state, problem in problems]


async def _check_settings(
    hubspot: HubSpotClient, fields: RecordFields, stages: CustomerStages
) -> list[Finding]:
    problems, unread = await _read(lambda: check_settings(hubspot, fields, stages))
    if problems is None:
        return [Finding("warning", "settings", unread)]
    if not problems:
        return [Finding("ok", "settings", "agree with the HubSpot account")]
    return [Finding("failed", "settings", problem) for problem in problems]


async def _check_request_id(hubspot: HubSpotClient, object_type: ObjectType) -> Finding:
    subject = f"{object_type} idempotency"
    definitions, problem = await _read(lambda: hubspot.properties.list(object_type))
    if definitions is None:
        return Finding("warning", subject, problem)
    definition = definitions.get(REQUEST_ID_PROPERTY)
    if definition is not None and definition.has_unique_value:
        return Finding("ok", subject, f"{REQUEST_ID_PROPERTY} exists")
    state = "is missing" if definition is None else "has no unique values"
    finding = f"{REQUEST_ID_PROPERTY} {state}: a lost response means an unknown outcome; run crm-api hubspot provision"
    return Finding("failed", subject, finding)


async def _check_pipelines(hubspot: HubSpotClient, object_type: ObjectType) -> Finding:
    subject = f"{object_type} pipelines"
    pipelines, problem = await _read(lambda: hubspot.pipelines.list(object_type, max_age_seconds=0))
    if pipelines is None:
        return Finding("failed", subject, problem)
    if not any(pipeline.stages for pipeline in pipelines):
        return Finding("failed", subject, "no pipeline has stages: no record can be created")
    return Finding("ok", subject, f"{len(pipelines)}, the first is {pipelines[0].id}")


async def _read(read: Callable[[], Awaitable[T]]) -> tuple[T | None, str]:
    """Return the result of a HubSpot call, or None and a description of its error."""
    try:
        return await read(), ""
    except HubSpotError as error:
        return None, describe_error(error)


def describe_error(error: HubSpotError) -> str:
    """Describe the error for an operator."""
    if isinstance(error, HubSpotScopeError):
        return f"a scope is missing: {', '.join(error.required_scopes) or 'HubSpot does not name it'}"
    if isinstance(error, HubSpotCredentialsError):
        return f"HubSpot rejected the credentials ({type(error).__name__})"
    if isinstance(error, HubSpotCertificateError):
        return (
            f"HubSpot's certificate is not trusted ({error.reason}): if a proxy replaces it, set SSL_CERT_FILE to a "
            "file with the proxy's CA certificate and the public ones"
        )
    if error.status_code is not None:
        return f"HubSpot returned {error.status_code} ({type(error).__name__})"
    return f"HubSpot could not be reached ({type(error).__name__})"
