"""The records of the demo's company."""

from collections import Counter

from crm_api.cli.demo_company import CUSTOMER_DEALS, company_records
from crm_api.cli.demo_records import CUSTOMER_EMAIL, STAFF_EMAIL


def test_company_records_are_the_same_each_time() -> None:
    assert list(company_records()) == list(company_records())


def test_company_has_contacts_deals_and_tickets_of_all_kinds() -> None:
    contacts = [contact for contact, _ in company_records()]
    assert len(contacts) >= 30
    emails = [contact["email"] for contact in contacts]
    assert len({*emails, CUSTOMER_EMAIL, STAFF_EMAIL}) == len(emails) + 2
    assert all(email.isascii() and " " not in email for email in emails)
    deals = [deal for _, deals in company_records() for deal in deals] + CUSTOMER_DEALS
    assert {deal["deal_currency_code"] for deal, _ in deals} == {"EUR", "GBP", "USD"}
    assert len(Counter(deal["dealstage"] for deal, _ in deals)) == 7
    tickets = [ticket for _, tickets in deals for ticket in tickets]
    assert {ticket["hs_pipeline_stage"] for ticket in tickets} == {"1", "2", "3", "4"}
    assert all(ticket["subject"] and ticket["content"] for ticket in tickets)
