"""Ticket categories: the API's words for some options of the HubSpot account; other options keep HubSpot's name."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Final

# Every HubSpot account has the first three options by default; `crm-api hubspot provision` adds the other two.
# https://developers.hubspot.com/docs/api-reference/crm-tickets-v3/guide
TICKET_CATEGORIES: Final[Mapping[str, str]] = {
    "general_inquiry": "GENERAL_INQUIRY",
    "technical_issue": "PRODUCT_ISSUE",
    "billing": "BILLING_ISSUE",
    "service_request": "SERVICE_REQUEST",
    "meeting": "MEETING",
}


def words_from_wire(value: str | None, words: Mapping[str, str]) -> str | None:
    """Return a value, one option or several joined by `;`, with the API's word for each option that has one."""
    names = {option: word for word, option in words.items()}
    return None if value is None else ";".join(names.get(option, option) for option in value.split(";"))


def words_to_wire(value: str, words: Mapping[str, str], options: Collection[str]) -> str:
    """Return a value with each of the API's words replaced by its HubSpot option. Other options are unchanged.

    A word stays unchanged if the HubSpot account lacks its option but has an option with the same name as the word.
    """

    def to_option(name: str) -> str:
        option = words.get(name, name)
        return name if name in options and option not in options else option

    return ";".join(map(to_option, value.split(";"))) if words else value


def missing_categories(words: Mapping[str, str], options: Collection[str]) -> dict[str, str]:
    """Return the words, with their options, for which `words_to_wire` finds no option in the HubSpot account."""
    return {word: name for word, name in words.items() if name not in options and word not in options}


def duplicate_words(words: Mapping[str, str]) -> list[str]:
    """Return a line for each pair of words that a record would store as the same value."""
    return [
        f"HUBSPOT_TICKET_CATEGORIES: {one} ({words[one]}) and {other} ({words[other]}) have the same value"
        for one, other in combinations(words, 2)
        if words[one] in (other, words[other]) or words[other] == one
    ]


def hidden_options(words: Mapping[str, str], options: Collection[str]) -> list[str]:
    """Return the words that have the same name as another option, so that callers cannot write that option."""
    return [word for word, option in words.items() if word != option and {word, option} <= set(options)]
