"""The reference service's order lines as somebody would write them by hand: Flask, SQLAlchemy, marshmallow.

It has Atomos' tables, mapping and model, and carries out the same statements for them. `without_log` writes
no log; `with_log` writes the three rows of it that Atomos writes, in the same transaction.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from flask import Flask, Response, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, create_engine, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, sessionmaker
from uuid_utils import uuid7

import atomos.allocation.adapters.storage  # noqa: F401 - maps the model
from atomos.allocation.adapters.views import ALLOCATIONS
from atomos.allocation.domain.model import OrderLine, Product

MESSAGES = Table(
    "atomos_message",
    MetaData(),
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("kind", Text),
    Column("name", Text),
    Column("version", Integer),
    Column("payload", JSONB),
    Column("fingerprint", Text),
    Column("answer", JSONB),
    Column("ordering_key", Text),
    Column("correlation_id", Uuid(as_uuid=False)),
    Column("causation_id", Uuid(as_uuid=False)),
    Column("principal", Text),
    Column("traceparent", Text),
    Column("deliveries", Integer),
    Column("recorded_at", DateTime(timezone=True)),
)

Log = Callable[[Session, dict[str, Any], dict[str, Any]], None]
"""Writes what happened, from what was asked and what was answered."""


class LineSchema(Schema):
    order_id = fields.String(required=True, validate=validate.Length(1, 100))
    sku = fields.String(required=True, validate=validate.Length(1, 100))
    quantity = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))


class AllocationSchema(Schema):
    order_id = fields.String()
    sku = fields.String()
    quantity = fields.Integer()
    batch = fields.String(allow_none=True)


LINE, ALLOCATION = LineSchema(), AllocationSchema()


def without_log() -> Flask:
    """The application that writes no log."""
    return application(lambda session, line, answer: None)


def with_log() -> Flask:
    """The application that writes the log by hand."""
    return application(write_log)


def application(log: Log) -> Flask:
    """Make the application, with an engine like Atomos'."""
    url = os.environ["ATOMOS_DATABASE__URL"].replace("postgresql://", "postgresql+psycopg://")
    sessions = sessionmaker(create_engine(url, pool_size=5, pool_use_lifo=True), expire_on_commit=False)
    app = Flask("by hand")

    @app.post("/allocation/orders/<order_id>/lines")
    def receive_line(order_id: str) -> Response | tuple[Response, int]:
        try:
            line = LINE.load({**request.get_json(), "order_id": order_id})
        except ValidationError as error:
            return jsonify(error.messages), 422
        with sessions.begin() as session:
            product = session.get(Product, line["sku"], with_for_update=True)
            if product is None:
                return jsonify(error="unknown SKU"), 404
            batch, is_new = product.allocate(OrderLine(**line))
            answer = {**line, "batch": batch.reference if batch else None}
            if is_new:
                product.version += 1
                session.execute(insert(ALLOCATIONS), answer)
            log(session, line, answer)
        return jsonify(ALLOCATION.dump(answer)), 201 if is_new else 200

    @app.get("/health/ready")
    def ready() -> Response:
        return jsonify(status="ok")

    return app


def write_log(session: Session, line: dict[str, Any], answer: dict[str, Any]) -> None:
    """Write the event that was heard, the command, and the event that was recorded, in one statement."""
    heard, obeyed, recorded = (str(uuid7()) for _ in range(3))
    told = {"created": True, "value": answer}
    rows = [
        row(heard, "event", "allocation.order-line-received", line, told, None, heard, None),
        row(obeyed, "command", "allocation.allocate", line, told, None, heard, heard),
        row(recorded, "event", "allocation.allocated", answer, None, answer["sku"], heard, obeyed),
    ]
    session.execute(insert(MESSAGES), rows)


def row(
    id_: str,
    kind: str,
    name: str,
    payload: dict[str, Any],
    answer: dict[str, Any] | None,
    key: str | None,
    correlation: str,
    causation: str | None,
) -> dict[str, Any]:
    """Make one row of the log."""
    text = f"{name} 1 {json.dumps(payload)}"
    return {
        "id": id_,
        "kind": kind,
        "name": name,
        "version": 1,
        "payload": payload,
        "fingerprint": blake2b(text.encode(), digest_size=16).hexdigest(),
        "answer": answer,
        "ordering_key": key,
        "correlation_id": correlation,
        "causation_id": causation,
        "principal": "anonymous",
        "traceparent": None,
        "deliveries": 0,
        "recorded_at": datetime.now(UTC),
    }
