"""The OpenAPI document, and what a test looks up in it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from crm_api.main import create_app
from crm_api.openapi.document import build_document
from crm_api.settings import Settings

# For the browser and for the wire; no client reads them to use the contract.
UNDOCUMENTED_HEADERS = {
    "content-length", "content-security-policy", "content-type", "cross-origin-resource-policy",
    "permissions-policy", "pragma", "referrer-policy", "x-content-type-options", "x-frame-options",
}  # fmt: skip


@cache
def openapi_document() -> dict[str, Any]:
    """The document of an application with settings of its own."""
    settings = Settings(_env_file=None, environment="development", hubspot_access_token="none")
    return build_document(create_app(settings))


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Method, path and operation, by operationId."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in openapi_document()["paths"].items()
        for method, operation in item.items()
    }


def documented_responses(operation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The answers of an operation by status, components resolved."""
    components = openapi_document()["components"]["responses"]
    return {
        status: components[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for status, response in operation["responses"].items()
    }


def body_examples(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The example bodies of an operation, by name."""
    content = operation.get("requestBody", {}).get("content", {})
    return {
        name: example["value"] for media in content.values() for name, example in media["examples"].items()
    }


def schema_errors(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Where a value is not what a schema of the document allows."""
    validator = Draft202012Validator({**schema, "components": openapi_document()["components"]})
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(value)]


def assert_documented(name: str, answer: httpx.Response) -> dict[str, Any]:
    """What the document says of this answer, after its status, headers and body were held against it."""
    _, _, operation = operations()[name]
    documented = documented_responses(operation).get(str(answer.status_code))
    assert documented, f"{name}: {answer.status_code} is not documented: {answer.text}"
    sent = {header.lower() for header in answer.headers} - UNDOCUMENTED_HEADERS
    declared = {header.lower() for header in documented["headers"]}
    assert sent <= declared, f"{name}: {sent - declared} not declared with {answer.status_code}"
    headers = openapi_document()["components"]["headers"]
    required = {header.lower() for header in documented["headers"] if headers[header].get("required")}
    assert required <= sent, f"{name}: {required - sent} not sent with {answer.status_code}"
    if "content" not in documented:
        assert answer.content == b"", name
        return documented
    media_type = answer.headers["content-type"].partition(";")[0]
    content: dict[str, Any] = documented["content"][media_type]
    assert not schema_errors(answer.json(), content["schema"]), name
    return content
