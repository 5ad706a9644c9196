"""Account details and owners."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from hubspot_emulator.state.account import Account
from hubspot_emulator.wire.calls import Call
from hubspot_emulator.wire.replies import Reply, invalid, not_found

_OWNERS = (
    {
        "id": "301",
        "email": "owner@example.com",
        "type": "PERSON",
        "firstName": "Olga",
        "lastName": "Owner",
        "userId": 9_876_543,
        "userIdIncludingInactive": 9_876_543,
        "createdAt": "2019-08-06T02:41:08.377Z",
        "updatedAt": "2019-08-06T02:41:08.377Z",
        "archived": False,
    },
)


def details(account: Account, call: Call) -> Reply:
    # https://developers.hubspot.com/docs/api-reference/account-account-info-v3/details
    local = account.clock().astimezone(ZoneInfo(account.switches.time_zone))
    return Reply(
        200,
        {
            "portalId": account.portal_id,
            "accountType": "DEVELOPER_TEST",
            "timeZone": account.switches.time_zone,
            "companyCurrency": "USD",
            "additionalCurrencies": ["EUR", "GBP"],
            "utcOffset": local.isoformat()[-6:],
            "utcOffsetMilliseconds": (local.utcoffset() or timedelta()) // timedelta(milliseconds=1),
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        },
    )


def owners(account: Account, call: Call) -> Reply:
    # https://developers.hubspot.com/docs/api-reference/crm-owners-v3/guide
    email = call.parameter("email")
    matching = [row for row in _OWNERS if email is None or row["email"] == email.lower()]
    return Reply(200, {"results": [] if call.flag_parameter("archived") else matching})


def owner(account: Account, call: Call) -> Reply:
    name = {"id": "id", "userId": "userId"}.get(id_property := call.parameter("idProperty") or "id")
    if name is None:
        raise invalid(
            f"Invalid value for query parameter idProperty: {id_property}", idProperty=[id_property]
        )
    for row in _OWNERS:
        if str(row[name]) == call.path_parameters["id"]:
            return Reply(200, row)
    raise not_found()
