"""Error parsing: class and fields of each error, and no personal data in its text."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_api.hubspot import errors as e
from crm_api.hubspot.error_parsing import error_from_response, error_from_transport

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PERSONAL = "jane.doe@example.com"
UUID = "3f1b2c4d-0000-4000-8000-000000000001"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "category",
                    "errors",
                    "context",
                    "code",
                    "in",
                    "correlationId",
                    "policyName",
                    "propertyName",
                    "requiredGranularScopes",
                    "subCategory",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


def error_from(
    status: int, body: object = None, *, search: bool = False, headers: dict[str, str] | None = None
) -> e.HubSpotError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = httpx.Response(status, content=content, headers=headers)
    return error_from_response(response, operation="contacts.get", now=NOW, search=search)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (300, e.HubSpotRequestError),
        (302, e.HubSpotRequestError),
        (400, e.HubSpotValidationError),
        (401, e.HubSpotCredentialsError),
        (403, e.HubSpotCredentialsError),
        (404, e.HubSpotNotFoundError),
        (408, e.HubSpotServerError),
        (409, e.HubSpotConflictError),
        (414, e.HubSpotRequestError),
        (415, e.HubSpotRequestError),
        (423, e.HubSpotLockedError),
        (429, e.HubSpotQuotaError),
        (437, e.HubSpotRequestError),
        (477, e.HubSpotUnavailableError),
        (500, e.HubSpotServerError),
        (502, e.HubSpotServerError),
        (503, e.HubSpotServerError),
        (504, e.HubSpotServerError),
        (521, e.HubSpotServerError),
        (524, e.HubSpotServerError),
        (526, e.HubSpotServerError),
    ],
)
@pytest.mark.parametrize("body", [{}, b"", b"<html>Bad gateway</html>", b"\xff\xfe", [], "text", None])
def test_status_determines_the_error_class_if_body_is_unusable(
    status: int, error_class: type[e.HubSpotError], body: object
) -> None:
    error = error_from(status, body)
    assert type(error) is error_class
    assert error.status_code == status


@given(body=JSON, status=st.sampled_from([400, 401, 403, 404, 409, 423, 429, 477, 500]))
def test_parsing_an_error_response_never_raises(body: Any, status: int) -> None:
    error = error_from(status, body)
    assert isinstance(str(error), str)


def test_parsing_a_deeply_nested_error_body_does_not_raise() -> None:
    assert type(error_from(400, b"[" * 100_000)) is e.HubSpotValidationError


@given(st.text(min_size=6, alphabet=st.characters(categories=["L", "N"]), max_size=30))
def test_error_text_contains_no_values_of_the_error_body(secret: str) -> None:
    secret = f"{secret}-ß-{PERSONAL}"
    body = {
        "message": f'Property values were not valid: [{{"message":"{PERSONAL}","error":"{secret}","name":"{secret}"}}]',
        "category": secret,
        "correlationId": secret,
        "errors": [
            {"message": secret, "code": secret, "context": {"propertyName": [secret], "id": [secret]}}
        ],
    }
    for status in (400, 401, 403, 404, 409, 429, 500):
        error = error_from(status, body)
        printed = str(error) + repr(error) + "".join(traceback.format_exception(error))
        assert PERSONAL not in printed
        assert "-ß-" not in printed


def test_error_has_category_correlation_id_and_operation() -> None:
    error = error_from(404, {"category": "OBJECT_NOT_FOUND", "correlationId": UUID, "message": "not found"})
    assert (error.category, error.correlation_id, error.operation) == (
        "OBJECT_NOT_FOUND",
        UUID,
        "contacts.get",
    )
    assert str(error) == f"contacts.get: status 404, OBJECT_NOT_FOUND, correlation {UUID}"


def test_correlation_id_is_read_from_the_header() -> None:
    assert error_from(502, b"<html>", headers={"X-HubSpot-Correlation-Id": UUID}).correlation_id == UUID


@pytest.mark.parametrize(
    ("body", "search", "policy"),
    [
        ({"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}, False, "burst"),
        ({"message": "You have reached your ten_secondly_rolling limit."}, False, "burst"),
        ({"policyName": "DAILY", "message": "You have reached your daily limit."}, False, "daily"),
        ({"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}, True, "search"),
        ({"policyName": "SECONDLY"}, False, "search"),
        ({}, True, "search"),
        ({}, False, "unknown"),
    ],
)
def test_429_error_names_the_exceeded_limit(body: dict[str, str], policy: str, *, search: bool) -> None:
    error = error_from(429, body, search=search, headers={"Retry-After": "0.5"})
    assert isinstance(error, e.HubSpotQuotaError)
    assert (error.policy, error.retry_after) == (policy, 0.5)
    error = error_from(429, body, search=search, headers={"Retry-After": "10000"})
    assert error.retry_after == {"search": 1.0, "daily": 10_000.0}.get(policy, 10.0)


@pytest.mark.parametrize(
    ("message", "existing_id"),
    [
        ("Contact already exists. Existing ID: 37765128953", "37765128953"),
        ("Contact already exists.", None),
        (7, None),
    ],
)
def test_409_error_has_the_id_of_the_existing_record(message: object, existing_id: str | None) -> None:
    error = error_from(409, {"message": message, "category": "CONFLICT"})
    assert isinstance(error, e.HubSpotConflictError)
    assert error.existing_id == existing_id


def test_403_error_has_the_missing_scopes() -> None:
    rows = [{"context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}]
    error = error_from(403, {"category": "MISSING_SCOPES", "errors": rows})
    assert isinstance(error, e.HubSpotScopeError)
    assert error.required_scopes == ["crm.objects.contacts.read"]


def test_field_problems_are_read_from_error_rows() -> None:
    rows = [{"message": f"{PERSONAL}", "code": "INVALID_EMAIL", "context": {"propertyName": ["email"]}}]
    error = error_from(400, {"category": "VALIDATION_ERROR", "errors": rows})
    assert isinstance(error, e.HubSpotValidationError)
    assert error.problems == [
        e.PropertyProblem("email", "INVALID_EMAIL", "is not an e-mail address that HubSpot accepts")
    ]


def test_field_problems_without_rows_are_read_from_message() -> None:
    inner = [{"isValid": False, "message": "no", "error": "INVALID_OPTION", "name": "dealstage"}]
    error = error_from(400, {"message": f"Property values were not valid: {json.dumps(inner)}"})
    assert isinstance(error, e.HubSpotValidationError)
    assert [(problem.property, problem.code) for problem in error.problems] == [
        ("dealstage", "INVALID_OPTION")
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"message": "One or more associations are invalid"},
        {"errors": [{"message": "x", "context": {"INVALID_OBJECT_IDS": ["512"]}}]},
        {"errors": [{"code": "INVALID_OBJECT_IDS"}]},
    ],
)
def test_400_for_an_unknown_association_is_recognised(body: object) -> None:
    error = error_from(400, body)
    assert isinstance(error, e.HubSpotValidationError)
    assert error.names_unknown_association
    assert not error.duplicate_unique_value


@pytest.mark.parametrize(
    "message",
    [
        "Cannot set PropertyValueCoordinates{...}. Value is already used by object id 512",
        "A record with this value already exists",
        "512 already has that value.",
    ],
)
def test_400_for_a_duplicate_unique_value_is_recognised(message: str) -> None:
    error = error_from(400, {"category": "VALIDATION_ERROR", "message": message})
    assert isinstance(error, e.HubSpotValidationError)
    assert error.duplicate_unique_value
    assert not error.names_unknown_association


def duplicate_text(kind: str, name: str, value: str) -> str:
    return (
        f"Cannot set PropertyValueCoordinates{{portalId=1, objectTypeId=ObjectTypeId{{legacyObjectType={kind}}}, "
        f"propertyName={name}, value={value}}} on 552148386511. 552239500007 already has that value."
    )


@pytest.mark.parametrize(
    "value", ["ada@example.com", "x} on 1. 2 already has that value. ", "a, propertyName=phone, value=x"]
)
def test_400_for_duplicate_email_is_a_conflict_with_existing_id(value: str) -> None:
    body = {"category": "VALIDATION_ERROR", "message": duplicate_text("CONTACT", "email", value)}
    for operation in ("contacts.create", "contacts.update"):
        error = error_from_response(httpx.Response(400, json=body), operation=operation, now=NOW)
        assert isinstance(error, e.HubSpotConflictError)
        assert (error.existing_id, error.sent, error.status_code) == ("552239500007", False, 400)


def test_400_for_a_duplicate_unique_value_names_its_property() -> None:
    value = "Cannot set PropertyValueCoordinates{a=b=c=d}, propertyName=email, value=x}"
    body = {"category": "VALIDATION_ERROR", "message": duplicate_text("DEAL", "erp_number", value)}
    error = error_from(400, body)
    assert isinstance(error, e.HubSpotValidationError)
    assert error.duplicate_unique_value
    assert [(problem.property, problem.code) for problem in error.problems] == [
        ("erp_number", "DUPLICATE_VALUE")
    ]


@pytest.mark.parametrize("message", ['Property "x" does not exist', "x was not one of the allowed options"])
def test_400_for_an_invalid_value_is_only_a_validation_error(message: str) -> None:
    error = error_from(400, {"category": "VALIDATION_ERROR", "message": message})
    assert isinstance(error, e.HubSpotValidationError)
    assert not error.duplicate_unique_value
    assert not error.names_unknown_association


@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (httpx.ConnectError, e.HubSpotConnectionError, False),
        (httpx.ConnectTimeout, e.HubSpotTimeoutError, False),
        (httpx.PoolTimeout, e.HubSpotTimeoutError, False),
        (httpx.UnsupportedProtocol, e.HubSpotConnectionError, False),
        (httpx.ReadTimeout, e.HubSpotTimeoutError, True),
        (httpx.WriteTimeout, e.HubSpotTimeoutError, True),
        (httpx.ReadError, e.HubSpotConnectionError, True),
        (httpx.WriteError, e.HubSpotConnectionError, True),
        (httpx.RemoteProtocolError, e.HubSpotConnectionError, True),
        (httpx.LocalProtocolError, e.HubSpotConnectionError, True),
    ],
)
def test_transport_error_sent_is_true_if_bytes_may_have_left(
    failure: type[httpx.TransportError], kind: type[e.HubSpotError], *, sent: bool
) -> None:
    request = httpx.Request("POST", "https://hubspot.example/x")
    error = error_from_transport(
        failure(f"{PERSONAL} Bearer secret", request=request), operation="deals.create"
    )
    assert type(error) is kind
    assert error.sent == sent
    assert PERSONAL not in str(error)
    assert error.__cause__ is None


def test_every_hubspot_error_class_has_default_arguments() -> None:
    def walk(kind: type[e.HubSpotError]) -> None:
        error = kind()
        assert str(error)
        assert repr(error).startswith(kind.__name__)
        for item in kind.__subclasses__():
            walk(item)

    walk(e.HubSpotError)
