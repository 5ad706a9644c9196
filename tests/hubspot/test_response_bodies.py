"""Bodies of responses: what is repaired, and what is refused."""

import logging
from typing import Any

import pytest
from pydantic import ValidationError

from crm_api.hubspot.response_bodies import json_object, read_response
from crm_api.hubspot.wire import CrmRecord


def read_record(members: str) -> CrmRecord:
    return read_response(CrmRecord, f'{{"id": "1", {members}}}'.encode())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (r'"properties": {"a": "x\ud800y"}', {"properties": {"a": "x\N{REPLACEMENT CHARACTER}y"}}),
        (r'"properties": {"\udfff": "x"}', {"properties": {"\N{REPLACEMENT CHARACTER}": "x"}}),
        ('"properties": {"a": ["é"], "b": {"c": 1}}', {"properties": {"a": '["é"]', "b": '{"c": 1}'}}),
        ('"properties": {"a": true, "b": null}', {"properties": {"a": "true", "b": None}}),
        ('"properties": {}, "createdAt": "yesterday"', {"properties": {}, "created_at": None}),
        ('"properties": {}, "updatedAt": {"at": 1}', {"properties": {}, "updated_at": None}),
        ('"properties": {}, "archived": null', {"properties": {}, "archived": False}),
    ],
)
def test_odd_value_of_a_record_is_repaired_and_logged(
    caplog: pytest.LogCaptureFixture, members: str, expected: dict[str, Any]
) -> None:
    with caplog.at_level(logging.WARNING):
        record = read_record(members)
    assert {name: getattr(record, name) for name in expected} == expected
    assert caplog.messages == ["response of HubSpot repaired: model=CrmRecord"]


def test_valid_response_is_not_repaired(caplog: pytest.LogCaptureFixture) -> None:
    record = read_record('"properties": {"a": "1"}, "createdAt": "2026-11-02T10:00:00Z", "archived": true')
    assert (record.properties, record.archived, record.created_at is not None) == ({"a": "1"}, True, True)
    assert caplog.messages == []


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"id": "1"}', b"[" * 100_000])
def test_response_beyond_repair_raises_validation_error(content: bytes) -> None:
    with pytest.raises(ValidationError):
        read_response(CrmRecord, content)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"a": 1}', {"a": 1}), (b"[1]", {}), (b"", {}), (b"<html>", {}), (b"[" * 100_000, {})],
)
def test_json_object_is_empty_without_an_object(body: bytes, expected: dict[str, Any]) -> None:
    assert json_object(body) == expected
