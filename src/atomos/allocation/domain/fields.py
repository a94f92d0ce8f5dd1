"""The fields that messages and models share, each with its constraint, said once."""

from typing import Annotated

from atomos.core.domain import AtLeast, AtMost, Example, Length, Pattern

Sku = Annotated[str, Length(1, 100), Example("CHAIR")]
"""A stock-keeping unit: what a product is ordered by."""

Reference = Annotated[str, Length(1, 100), Example("batch-1")]
"""What a batch of stock is known by, across all products."""

OrderId = Annotated[str, Length(1, 100), Example("order-1")]
"""What an order is known by."""

NewOrderId = Annotated[
    str,
    Length(1, 100),
    Pattern(r"(?!\.\.?$)[^/]+", "must have no slash, and not be one dot or two: it is a part of a URL"),
    Example("order-1"),
]
"""What an order may be called from now on. Messages that are stored may have called it otherwise."""

Quantity = Annotated[int, AtLeast(1), AtMost(2_147_483_647), Example(10)]
"""Pieces: at least one, and no more than a column of 32 bits holds."""
