"""Tests whose subject is a change that others make in HubSpot and that a customer sees at once without the read cache.

With the read cache on (`TEST_READ_CACHE_SECONDS`), a customer sees such a change when the cached response is no longer
fresh. These tests then run with responses that are stale at the next read; all other tests pass with fresh ones.
"""

import os
from typing import Final

READ_CACHE_SECONDS: Final = float(os.environ.get("TEST_READ_CACHE_SECONDS", "0"))
STALE_AT_ONCE_SECONDS: Final = 1e-9

FOREIGN_CHANGE_TESTS: Final = frozenset(
    {
        "tests/routers/test_deals_by_id.py::TestIfMatch::test_change_of_property_not_returned_allows_update",
        (
            "tests/routers/test_overview.py::TestListCrmObjects"
            "::test_deal_merged_while_overview_is_read_is_incomplete"
        ),
        "tests/security/test_access.py::test_customer_gets_404_for_deal_moved_to_other_contact",
        "tests/security/test_random_accounts.py::test_lists_return_exactly_the_callers_visible_records",
        (
            "tests/services/test_contact_link_random.py"
            "::test_customers_list_exactly_own_deals_after_random_changes"
        ),
    }
)


def read_cache_seconds(node_id: str) -> float:
    """Return the setting READ_CACHE_SECONDS for this test."""
    is_foreign = node_id.partition("[")[0] in FOREIGN_CHANGE_TESTS
    return min(READ_CACHE_SECONDS, STALE_AT_ONCE_SECONDS) if is_foreign else READ_CACHE_SECONDS
