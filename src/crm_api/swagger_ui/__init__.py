"""Swagger UI 5.35.0 (Apache-2.0, see LICENSE and NOTICE beside this file), served by us and by nobody else."""
