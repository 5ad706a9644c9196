"""Routes for health probes."""

from fastapi import APIRouter, Request, Response

from crm_api.dependencies.app_state import SessionFactoryDep
from crm_api.schemas.health import Health, Readiness
from crm_api.services import health

router = APIRouter(tags=["Operations"])


@router.get("/healthz")
async def get_health() -> Health:
    """Check liveness. Returns 200 while the process responds."""
    return Health()


@router.get(
    "/readyz", responses={503: {"model": Readiness, "description": "Do not send requests to this process."}}
)
async def get_readiness(
    request: Request, response: Response, session_factory: SessionFactoryDep
) -> Readiness:
    """Check readiness.

    Lists each dependency with its state. The database and Redis are checked now; HubSpot's state comes from
    earlier calls.
    """
    readiness = await health.readiness(
        session_factory,
        request.app.state.hubspot,
        draining=request.app.state.draining,
        refused=request.app.state.account_binding.mismatch,
        ping_redis=request.app.state.ping_redis,
    )
    if readiness.status == "unavailable":
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return readiness
