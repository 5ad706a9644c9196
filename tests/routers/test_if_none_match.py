"""If-None-Match on reads of one record."""

import pytest
from tests.support.builders import ticket_body
from tests.support.callers import Caller, assert_problem
from tests.support.records import create_deal_as, create_ticket_as

from crm_api.settings import Settings


async def test_unchanged_representation_returns_304(customer: Caller) -> None:
    deal = await create_deal_as(customer)
    ticket = await create_ticket_as(customer, deal)
    for path in (f"/api/deals/{deal}", f"/api/tickets/{ticket}", f"/api/contacts/{customer.contact_id}"):
        etag = (await customer.get(path)).headers["etag"]
        for sent in (etag, f"W/{etag}", f'"0", {etag[:-1]}-gzip"', "*"):
            response = await customer.get(path, headers={"If-None-Match": sent})
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers.get_list("etag") == [etag]
            assert "content-type" not in response.headers
        for other in (f"{etag[:-2]}g", "no-quotes", '"'):
            assert (await customer.get(path, headers={"If-None-Match": other})).status_code == 200
        too_long = await customer.get(path, headers={"If-None-Match": "0" * 1001})
        assert_problem(too_long, 400, "validation_error", fields=["If-None-Match"])


async def test_changed_record_or_child_returns_the_body(customer: Caller) -> None:
    deal = await create_deal_as(customer)
    paths = (f"/api/deals/{deal}", f"/api/contacts/{customer.contact_id}")
    before = [(await customer.get(path)).headers["etag"] for path in paths]
    await customer.post(f"/api/tickets/{deal}", ticket_body())
    for path, etag in zip(paths, before, strict=True):
        response = await customer.get(path, headers={"If-None-Match": etag})
        assert response.status_code == 200
        # The record itself has not changed, so If-Match still accepts the ETag.
        assert (await customer.patch(path, {}, headers={"If-Match": etag})).status_code == 200
    etag = (await customer.get(paths[0])).headers["etag"]
    updated = await customer.patch(paths[0], {"dealname": "Other"}, headers={"If-Match": etag})
    assert updated.status_code == 200
    for stale in (etag, updated.headers["etag"]):
        assert (await customer.get(paths[0], headers={"If-None-Match": stale})).status_code == 200
    assert_problem(await customer.patch(paths[0], {}, headers={"If-Match": etag}), 412, "precondition_failed")


async def test_missing_record_returns_404_whatever_the_etag(customer: Caller) -> None:
    response = await customer.get("/api/deals/999", headers={"If-None-Match": "*"})
    assert_problem(response, 404, "not_found")


class TestWithReadCache:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"read_cache_seconds": 10.0, "read_cache_stale_seconds": 300.0})

    async def test_304_from_cached_data_states_its_age(self, customer: Caller) -> None:
        path = f"/api/deals/{await create_deal_as(customer)}"
        etag = (await customer.get(path)).headers["etag"]
        response = await customer.get(path, headers={"If-None-Match": etag})
        assert (response.status_code, response.headers["cache-control"]) == (304, "private")
        assert int(response.headers["age"]) >= 0
        await customer.patch(path, {"dealname": "Other"})
        assert (await customer.get(path, headers={"If-None-Match": etag})).status_code == 200
