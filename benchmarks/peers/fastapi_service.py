"""Peer (b): FastAPI with HubSpot's own client, which blocks, so routes run in FastAPI's pool of 40 threads."""

from typing import Annotated, Any

from benchmarks.peers.crm import Crm
from benchmarks.peers.users import Users, claims_of
from fastapi import Depends, FastAPI, Header, HTTPException
from jose import JWTError
from pydantic import BaseModel


class Registration(BaseModel):
    """Body of a registration."""

    email: str
    firstname: str
    lastname: str
    phone: str
    password: str


class Login(BaseModel):
    """Body of a login."""

    email: str
    password: str


class DealCreate(BaseModel):
    """Body of a new deal."""

    dealname: str
    dealstage: str


class TicketCreate(BaseModel):
    """Body of a new ticket."""

    subject: str
    description: str
    hs_pipeline_stage: str


def caller(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Return the claims of the caller's token."""
    try:
        return claims_of(authorization)
    except JWTError:
        raise HTTPException(401, "Invalid token") from None


Caller = Annotated[dict[str, Any], Depends(caller)]


def create_app() -> FastAPI:
    """Build the application, for `uvicorn --factory`."""
    app = FastAPI()
    crm, users = Crm(), Users()

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/api/register", status_code=201)
    def register(registration: Registration) -> dict[str, Any]:
        contact = crm.register_contact(registration.model_dump(exclude={"password"}))
        users.add(registration.email, registration.password, contact["id"])
        return {"message": "User registered successfully", "data": {"contact": contact}}

    @app.post("/api/login")
    def log_in(login: Login) -> dict[str, Any]:
        token = users.log_in(login.email, login.password)
        if token is None:
            raise HTTPException(401, "Invalid credentials")
        return {"message": "User authenticated successfully", "data": {"access_token": token}}

    @app.get("/api/me")
    def me(claims: Caller) -> dict[str, Any]:
        return {"message": "Profile retrieved successfully", "data": claims}

    @app.get("/api/new-crm-objects")
    def list_crm_objects(claims: Caller, limit: int | None = None) -> dict[str, Any]:
        if limit is not None:
            contacts = crm.contacts_with_deals_and_tickets(limit)
        else:
            contacts = [crm.contact_with_deals_and_tickets(claims["contact_id"])]
        return {"message": "CRM objects retrieved successfully", "data": {"data": {"contacts": contacts}}}

    @app.post("/api/deals", status_code=201)
    def create_deal(deal: DealCreate, claims: Caller) -> dict[str, Any]:
        created = crm.create_deal(claims["contact_id"], deal.model_dump())
        return {"message": "Deal created successfully", "data": created}

    @app.post("/api/tickets/{deal_id}", status_code=201)
    def create_ticket(deal_id: str, ticket: TicketCreate, claims: Caller) -> dict[str, Any]:
        properties = ticket.model_dump(exclude={"description"}) | {"content": ticket.description}
        created = crm.create_ticket(claims["contact_id"], deal_id, properties)
        return {"message": "Ticket created successfully", "data": created}

    return app
