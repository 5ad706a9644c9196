"""Peer (a): Flask on gunicorn's threads, with HubSpot's own client."""

from typing import Any

from benchmarks.peers.crm import Crm
from benchmarks.peers.users import Users, claims_of
from flask import Flask, Response, jsonify, request
from jose import JWTError

CONTACT_FIELDS = ("email", "firstname", "lastname", "phone")


def create_app() -> Flask:
    """Build the application, for `gunicorn 'benchmarks.peers.flask_service:create_app()'`."""
    app = Flask(__name__)
    crm, users = Crm(), Users()

    def caller() -> dict[str, Any]:
        return claims_of(request.headers.get("Authorization", ""))

    @app.errorhandler(JWTError)
    def reject_token(_error: JWTError) -> tuple[Response, int]:
        return jsonify(error="Invalid token"), 401

    @app.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok")

    @app.post("/api/register")
    def register() -> tuple[Response, int]:
        body = request.get_json()
        contact = crm.register_contact({name: body[name] for name in CONTACT_FIELDS})
        users.add(body["email"], body["password"], contact["id"])
        return jsonify(message="User registered successfully", data={"contact": contact}), 201

    @app.post("/api/login")
    def log_in() -> tuple[Response, int]:
        body = request.get_json()
        token = users.log_in(body["email"], body["password"])
        if token is None:
            return jsonify(error="Invalid credentials"), 401
        return jsonify(message="User authenticated successfully", data={"access_token": token}), 200

    @app.get("/api/me")
    def me() -> Response:
        return jsonify(message="Profile retrieved successfully", data=caller())

    @app.get("/api/new-crm-objects")
    def list_crm_objects() -> Response:
        claims = caller()
        if "limit" in request.args:
            contacts = crm.contacts_with_deals_and_tickets(int(request.args["limit"]))
        else:
            contacts = [crm.contact_with_deals_and_tickets(claims["contact_id"])]
        return jsonify(message="CRM objects retrieved successfully", data={"data": {"contacts": contacts}})

    @app.post("/api/deals")
    def create_deal() -> tuple[Response, int]:
        deal = crm.create_deal(caller()["contact_id"], request.get_json())
        return jsonify(message="Deal created successfully", data=deal), 201

    @app.post("/api/tickets/<deal_id>")
    def create_ticket(deal_id: str) -> tuple[Response, int]:
        body = request.get_json()
        body["content"] = body.pop("description")
        ticket = crm.create_ticket(caller()["contact_id"], deal_id, body)
        return jsonify(message="Ticket created successfully", data=ticket), 201

    return app
