"""Quotas: when a call may be sent, within one process and across processes."""
