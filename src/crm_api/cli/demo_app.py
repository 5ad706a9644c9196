"""The demo's application: the service and, at /portal/, the example portal."""

from importlib.resources import files

from fastapi import APIRouter, FastAPI
from starlette.responses import RedirectResponse, Response

from crm_api.cli.serve import create_worker as create_service
from crm_api.errors import ApiError

# The policy of /docs: scripts and styles only from files of this origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "portal.css": "text/css; charset=utf-8",
    "portal.js": "text/javascript; charset=utf-8",
}
# The links in mails lead to these pages; the portal shows the view that the address names.
_MAIL_PAGES = ("forgot-password", "register", "reset-password", "verify-email")

router = APIRouter(prefix="/portal", include_in_schema=False)


@router.get("")
async def redirect_to_portal() -> RedirectResponse:
    # Relative, so that the address is right behind a proxy with a path prefix.
    return RedirectResponse("portal/")


@router.get("/")
async def read_index() -> Response:
    return await read_file("index.html")


@router.get("/{name}")
async def read_file(name: str) -> Response:
    if name in _MAIL_PAGES:
        name = "index.html"
    media_type = _MEDIA_TYPES.get(name)
    if media_type is None:
        raise ApiError("not_found")
    # The files are read for each request, so that a rebuilt portal needs no restart.
    content = (files("crm_api.cli.portal") / name).read_bytes()
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
    return Response(content, media_type=media_type, headers=headers)


def create_worker() -> FastAPI:
    """Create the application of the demo's process."""
    app = create_service()
    app.include_router(router)
    return app
