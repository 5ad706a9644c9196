"""Lets `python -m crm_api` be the `crm-api` command."""

from crm_api.cli import main

main()
