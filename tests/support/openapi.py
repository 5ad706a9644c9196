"""Look-ups in the OpenAPI document, and validation of responses against it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from crm_api.main import create_app
from crm_api.openapi.document import build_document
from crm_api.settings import Settings

# Headers for browsers and for HTTP itself; no client needs them to use the contract.
UNDOCUMENTED_HEADERS = {
    "content-length", "content-security-policy", "content-type", "cross-origin-resource-policy",
    "permissions-policy", "pragma", "referrer-policy", "x-content-type-options", "x-frame-options",
}  # fmt: skip


@cache
def openapi_document() -> dict[str, Any]:
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")
    return build_document(create_app(settings))


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return method, path and operation by operation ID."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in openapi_document()["paths"].items()
        for method, operation in item.items()
    }


def documented_responses(operation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the responses of an operation by status, with references resolved."""
    components = openapi_document()["components"]["responses"]
    return {
        status: components[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def body_examples(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example request bodies of an operation by name."""
    content = operation.get("requestBody", {}).get("content", {})
    return {
        name: example["value"] for media in content.values() for name, example in media["examples"].items()
    }


def schema_errors(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return the violations of a schema of the document."""
    validator = Draft202012Validator({**schema, "components": openapi_document()["components"]})
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(value)]


def assert_documented(name: str, response: httpx.Response) -> dict[str, Any]:
    """Assert that status, headers and body are as documented; return the documented content."""
    _, _, operation = operations()[name]
    documented = documented_responses(operation).get(str(response.status_code))
    assert documented, f"{name}: {response.status_code} is not documented: {response.text}"
    sent = {header.lower() for header in response.headers} - UNDOCUMENTED_HEADERS
    declared = {header.lower() for header in documented["headers"]}
    assert sent <= declared, f"{name}: {sent - declared} not declared with {response.status_code}"
    headers = openapi_document()["components"]["headers"]
    required = {header.lower() for header in documented["headers"] if headers[header].get("required")}
    assert required <= sent, f"{name}: {required - sent} not sent with {response.status_code}"
    if "content" not in documented:
        assert response.content == b"", name
        return documented
    media_type = response.headers["content-type"].partition(";")[0]
    content: dict[str, Any] = documented["content"][media_type]
    assert not schema_errors(response.json(), content["schema"]), name
    return content
