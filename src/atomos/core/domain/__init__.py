"""What a domain is made of: messages, constraints, entities, aggregates, value objects and errors."""

from .constraints import AtLeast, AtMost, Constraint, Example, Length, Pattern, Sensitive, Version
from .errors import AtomosError, Contradiction, DomainError, InvalidMessage, NotFound, Problem, RuleBroken
from .messages import Command, Created, Event, Message, Page, Query
from .model import Aggregate, Entity
from .values import ValueObject

__all__ = [
    "Aggregate",
    "AtLeast",
    "AtMost",
    "AtomosError",
    "Command",
    "Constraint",
    "Contradiction",
    "Created",
    "DomainError",
    "Entity",
    "Event",
    "Example",
    "InvalidMessage",
    "Length",
    "Message",
    "NotFound",
    "Page",
    "Pattern",
    "Problem",
    "Query",
    "RuleBroken",
    "Sensitive",
    "ValueObject",
    "Version",
]
