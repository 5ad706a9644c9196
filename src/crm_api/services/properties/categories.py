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
    """Return a value with HubSpot's option for each word, and everything else unchanged.

    If the HubSpot account lacks the option of a word and has an option with the word's own name, the word means that
    option.
    """

    def to_option(name: str) -> str:
        option = words.get(name, name)
        return name if name in options and option not in options else option

    return ";".join(map(to_option, value.split(";"))) if words else value


def missing_categories(words: Mapping[str, str], options: Collection[str]) -> dict[str, str]:
    """Return the words that have an option neither of their HubSpot name nor of their own name."""
    return {word: name for word, name in words.items() if name not in options and word not in options}


def duplicate_words(words: Mapping[str, str]) -> list[str]:
    """Return a line for each two words of which a record could not show which one was written."""
    return [
        f"HUBSPOT_TICKET_CATEGORIES: {one} ({words[one]}) and {other} ({words[other]}) read as one value"
        for one, other in combinations(words, 2)
        if words[one] in (other, words[other]) or words[other] == one
    ]


def hidden_options(words: Mapping[str, str], options: Collection[str]) -> list[str]:
    """Return the words that are also names of other options, so that those options cannot be written."""
    return [word for word, option in words.items() if word != option and {word, option} <= set(options)]
