"""Swagger UI 5.35 (Apache-2.0, see LICENSE and NOTICE in this folder), served from the package at `/docs`."""
