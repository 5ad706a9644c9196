"""Settings of metrics, traces and logs."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class ObservabilitySettings(BaseModel):
    """Settings of metrics, traces and logs."""

    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port that serves the Prometheus metrics of all workers; no metrics by default."""
    metrics_host: str = "127.0.0.1"
    """Address that serves the metrics."""
    metrics_folder: str | None = None
    """Folder in which each start creates a folder for its metric files, 3 MiB for each worker; by default the system's
    folder of temporary files."""
    otel_exporter_otlp_endpoint: Annotated[str | None, Field(repr=False)] = None
    """OpenTelemetry collector for traces (OTLP over HTTP), such as `http://collector:4318`; no traces by default.
    Needs `crm-api[otel]`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum level of the lines that are logged."""
    log_format: Literal["json", "text"] | None = None
    """Format of log lines. By default `json` in production and `text` in development."""
