"""A stateful stand-in for HubSpot's CRM API, served over HTTP: no account, no network."""

from crm_api.hubspot_emulator.app import IMMEDIATE_FAULTS, Exchange, RecordedRequest
from crm_api.hubspot_emulator.emulator import Emulator, create_emulator
from crm_api.hubspot_emulator.faults import Fault, UsedFault
from crm_api.hubspot_emulator.journal import StateFileError, StateFileInUseError
from crm_api.hubspot_emulator.limits import EmulatorLimits
from crm_api.hubspot_emulator.replies import Refusal
from crm_api.hubspot_emulator.store import Record

__all__ = [
    "IMMEDIATE_FAULTS",
    "Emulator",
    "EmulatorLimits",
    "Exchange",
    "Fault",
    "Record",
    "RecordedRequest",
    "Refusal",
    "StateFileError",
    "StateFileInUseError",
    "UsedFault",
    "create_emulator",
]
