"""Routes for Swagger UI and the OpenAPI document, served from files of this package."""

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from crm_api.dependencies.app_state import SettingsDep
from crm_api.errors import ApiError

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
# Inline scripts, inline styles and other hosts are blocked, so that text in the page cannot run as code.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>crm-api</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="stylesheet" href="docs/assets/docs.css">
<link rel="icon" type="image/png" href="docs/assets/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js" data-openapi="openapi.json" data-remember="{remember}"></script>
</body>
</html>
"""


@router.get("/")
async def read_root(settings: SettingsDep) -> RedirectResponse:
    return RedirectResponse(f"{settings.root_path}/docs")


@router.get("/docs")
async def read_docs(settings: SettingsDep) -> HTMLResponse:
    remember = "true" if settings.environment == "development" else "false"
    return HTMLResponse(
        _PAGE.format(remember=remember), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    )


@router.get("/docs/assets/{name}")
async def read_asset(name: str, request: Request) -> Response:
    media_type = _MEDIA_TYPES.get(name)
    if media_type is None:
        raise ApiError("not_found")
    cached: dict[str, bytes] = request.app.state.docs_assets
    if name not in cached:
        cached[name] = (files("crm_api.swagger_ui") / name).read_bytes()
    return Response(cached[name], media_type=media_type, headers={"Cache-Control": "public, max-age=86400"})


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Response:
    document: bytes = request.app.state.openapi_document()
    return Response(document, media_type="application/json")
