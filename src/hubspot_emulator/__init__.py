"""A stateful emulator of HubSpot's CRM API: an ASGI application, its server and its Python interface."""

from hubspot_emulator.app import IMMEDIATE_FAULTS
from hubspot_emulator.emulator import Emulator, create_emulator
from hubspot_emulator.state.journal import StateFileError, StateFileInUseError
from hubspot_emulator.state.limits import EmulatorLimits
from hubspot_emulator.state.request_log import Exchange, RecordedRequest
from hubspot_emulator.state.store import Record
from hubspot_emulator.wire.replies import Refusal

__all__ = [
    "IMMEDIATE_FAULTS",
    "Emulator",
    "EmulatorLimits",
    "Exchange",
    "Record",
    "RecordedRequest",
    "Refusal",
    "StateFileError",
    "StateFileInUseError",
    "create_emulator",
]
