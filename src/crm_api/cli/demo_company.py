"""Contacts, deals and tickets of the demo's company, which rents out and maintains delivery vans."""

import random
from collections.abc import Iterator
from typing import Final

Properties = dict[str, str]
DemoDeal = tuple[Properties, list[Properties]]
"""The properties of a deal and of its tickets, with HubSpot's names."""

# First name, last name, company, phone, currency of the company's deals.
_CONTACTS: Final = (
    ("Ada", "Novak", "brightbake", "+45 33 12 40 22", "EUR"),
    ("José", "García", "mercado-sur", "+34 91 123 45 10", "EUR"),
    ("Mary Ann", "O'Brien", "kilkenny-dairy", "+353 1 555 0142", "EUR"),
    ("Kofi", "Mensah", "harbour-foods", "+44 20 7946 0101", "GBP"),
    ("Noor", "Al-Farsi", "oasis-flowers", "+44 20 7946 0117", "GBP"),
    ("Zoë", "Lindqvist", "nordpost", "+46 8 505 123 45", "EUR"),
    ("Liam", "Walsh", "kilkenny-dairy", "+353 1 555 0143", "EUR"),
    ("Priya", "Raman", "spice-route", "+44 161 496 0220", "GBP"),
    ("Søren", "Dahl", "brightbake", "+45 33 12 40 23", "EUR"),
    ("Mei", "Tanaka", "pacific-parts", "+1 415 555 0132", "USD"),
    ("Tomás", "Silva", "mercado-sur", "+351 21 123 4567", "EUR"),
    ("Inés", "Moreau", "fleurs-du-nord", "+33 1 70 18 45 20", "EUR"),
    ("Grace", "Campbell", "highland-water", "+44 131 496 0303", "GBP"),
    ("Jonas", "Weber", "weber-und-sohn", "+49 30 23125 014", "EUR"),
    ("Amara", "Okonkwo", "harbour-foods", "+44 20 7946 0102", "GBP"),
    ("Lucas", "Martin", "fleurs-du-nord", "+33 1 70 18 45 21", "EUR"),
    ("Elena", "Rossi", "caffe-rossi", "+39 06 9480 1234", "EUR"),
    ("Daniel", "Kim", "pacific-parts", "+1 415 555 0133", "USD"),
    ("Fatima", "Haddad", "cedar-catering", "+1 312 555 0188", "USD"),
    ("Oskar", "Nowak", "nowak-logistyka", "+48 22 307 11 20", "EUR"),
    ("Hannah", "Schmidt", "weber-und-sohn", "+49 30 23125 015", "EUR"),
    ("Ravi", "Patel", "spice-route", "+44 161 496 0221", "GBP"),
    ("Chloe", "Bennett", "lakeside-books", "+1 312 555 0121", "USD"),
    ("Mateo", "Fernández", "mercado-sur", "+34 91 123 45 11", "EUR"),
    ("Ingrid", "Berg", "nordpost", "+46 8 505 123 46", "EUR"),
    ("Samuel", "Adeyemi", "cedar-catering", "+1 312 555 0189", "USD"),
    ("Yuki", "Sato", "pacific-parts", "+1 415 555 0134", "USD"),
    ("Olivia", "Hughes", "highland-water", "+44 131 496 0304", "GBP"),
    ("Marek", "Svoboda", "svoboda-tools", "+420 225 852 110", "EUR"),
    ("Leila", "Karimi", "oasis-flowers", "+44 20 7946 0118", "GBP"),
    ("Peter", "Jansen", "jansen-catering", "+31 20 794 0812", "EUR"),
    ("Sofia", "Papadaki", "aegean-olives", "+30 21 1198 2310", "EUR"),
    ("Arthur", "Clarke", "lakeside-books", "+1 312 555 0122", "USD"),
    ("Nina", "Horvat", "adria-glass", "+385 1 555 0144", "EUR"),
    ("Emil", "Larsen", "brightbake", "+45 33 12 40 24", "EUR"),
    ("Beatriz", "Costa", "aegean-olives", "+351 21 123 4568", "EUR"),
)
# Name, description, price of one unit, highest number of units.
_OFFERS: Final = (
    ("Electric vans", "Long-term rental of electric vans with chargers for the depot.", 18_500, 8),
    ("Maintenance contract", "Inspections, tyres and repairs for the whole fleet, for one year.", 1_450, 12),
    ("Refrigerated vans", "Vans with a cold box for chilled goods, from 2 to 8 degrees.", 24_900, 4),
    ("Telematics", "Trackers with routes, fuel use and reminders of inspections.", 390, 20),
    ("Driver training", "Two days on safe loading and economical driving.", 850, 6),
    ("Cargo bikes", "Bikes for deliveries in the inner city, insurance included.", 3_200, 10),
    ("Replacement vans", "Short-term rental while the customer's own vans are being repaired.", 2_150, 5),
)
_OPEN_STAGES: Final = (
    "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent"
)  # fmt: skip
# Subject, text, category, priority.
_TICKETS: Final = (
    ("Delivery is late", "The vans were due on Monday. When will they arrive?", "GENERAL_INQUIRY", "HIGH"),
    ("Invoice shows the old address", "Please send it again, with our new address.", "BILLING_ISSUE", "LOW"),
    ("Tracker shows no position", "One tracker has been offline since the weekend.", "PRODUCT_ISSUE", "MEDIUM"),
    ("Cold box does not hold its temperature", "It rises to 11 degrees within an hour.", "PRODUCT_ISSUE", "HIGH"),
    ("Please move the inspection", "Any day of the week after is fine.", "GENERAL_INQUIRY", "LOW"),
    ("Charger trips the fuse", "Two vans cannot charge at the same time.", "PRODUCT_ISSUE", "MEDIUM"),
    ("Charged twice in October", "The rental of one van is on two invoices.", "BILLING_ISSUE", "MEDIUM"),
    ("One more driver for the training", "Can a seventh person join, and what does it cost?", "FEATURE_REQUEST", "LOW"),
)  # fmt: skip


def _deal(name: str, stage: str, amount: int, currency: str, closedate: str, description: str) -> Properties:
    return {
        "dealname": name,
        "pipeline": "default",
        "dealstage": stage,
        "amount": str(amount),
        "deal_currency_code": currency,
        "closedate": f"{closedate}T00:00:00.000Z",
        "description": description,
    }


def _ticket(number: int, stage: str) -> Properties:
    subject, text, category, priority = _TICKETS[number]
    return {
        "subject": subject,
        "content": text,
        "hs_pipeline": "0",
        "hs_pipeline_stage": stage,
        "hs_ticket_category": category,
        "hs_ticket_priority": priority,
    }


CUSTOMER_DEALS: Final[list[DemoDeal]] = [
    (
        _deal("Electric vans for the new depot", "contractsent", 74_000, "EUR", "2027-02-26", "Four, with chargers."),
        [_ticket(0, "1"), _ticket(5, "2")],
    ),
    (_deal("Cargo bikes for the old town", "qualifiedtobuy", 9_600, "EUR", "2027-04-15", "Three bikes, on trial."), []),
    (
        _deal("Maintenance contract 2027", "presentationscheduled", 11_600, "EUR", "2027-01-15", "Eight vans."),
        [_ticket(4, "3")],
    ),
    (
        _deal("Refrigerated van for trade fairs", "closedwon", 24_900, "USD", "2026-09-30", "One van, in use."),
        [_ticket(3, "2"), _ticket(6, "4")],
    ),
]  # fmt: skip


def company_records() -> Iterator[tuple[Properties, list[DemoDeal]]]:
    """Yield each contact with its deals, the same in every demo."""
    dice = random.Random(4012)
    for first, last, company, phone, currency in _CONTACTS:
        deals = [_random_deal(dice, currency) for _ in range(dice.choice((0, 1, 1, 2, 2, 3)))]
        stages = {deal["dealstage"] for deal, _ in deals}
        lifecycle = "customer" if "closedwon" in stages else "opportunity" if deals else "lead"
        address = f"{_ascii(first)}.{_ascii(last)}@{company}.example"
        contact = {
            "firstname": first,
            "lastname": last,
            "email": address,
            "phone": phone,
            "lifecyclestage": lifecycle,
        }
        yield contact, deals


def _random_deal(dice: random.Random, currency: str) -> DemoDeal:
    name, description, price, max_units = dice.choice(_OFFERS)
    units = dice.randint(1, max_units)
    is_closed = dice.random() < 0.4
    stage = dice.choice(("closedwon", "closedwon", "closedlost") if is_closed else _OPEN_STAGES)
    day = f"{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
    deal = _deal(
        f"{name} ({units})",
        stage,
        price * units,
        currency,
        f"{2026 if is_closed else 2027}-{day}",
        description,
    )
    numbers = dice.sample(range(len(_TICKETS)), dice.choice((0, 0, 1, 1, 2)))
    return deal, [_ticket(number, str(dice.randint(1, 4))) for number in numbers]


def _ascii(name: str) -> str:
    letters = str.maketrans("éëøíáé", "eeoiae", "' ")
    return name.lower().translate(letters)
