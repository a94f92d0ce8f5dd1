"""Schemas of a document as rows of a table, nested ones below what they are in, and as examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "pattern": "matches {}",
    "const": "is {}",
    "enum": "one of {}",
    "format": "{}",
}
_SAMPLES: Mapping[str, Any] = {"object": {}, "boolean": True, "integer": 1, "number": 1.5}


class Field(NamedTuple):
    """A field as a row of a table: `name` with what it is in, such as `items[].sku`."""

    name: str
    kind: str
    needed: bool
    said: str


class Schemas:
    """Reads schemas that refer to those of a document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._known: Mapping[str, Schema] = document["components"]["schemas"]

    def fields(self, schema: Schema, *, without: str = "") -> Iterator[Field]:
        """Give the rows of a schema's fields and of all that is in them; not of the field `without`."""
        above = tuple(filter(None, [self._reference(schema)]))
        return self._fields(self.resolved(schema), "", above, without)

    def example(self, schema: Schema) -> Any:
        """Give what the schema allows, with the examples that it has, and else with a word for each kind."""
        return self._example(schema, ())

    def resolved(self, schema: Schema) -> Schema:
        """Give a schema that refers to no other; what may be null is of the kind `... or null`."""
        if "anyOf" in schema:
            return self._either(schema)
        target = self._known.get(_name_of(schema))
        return schema if target is None else {**target, **{k: v for k, v in schema.items() if k != "$ref"}}

    def _either(self, schema: Schema) -> Schema:
        several = [self.resolved(each) for each in schema["anyOf"]]
        one = next((each for each in several if each.get("type") != "null"), {})
        kinds = list(dict.fromkeys(_kind(each) for each in several))
        return {**one, "type": kinds, **{k: v for k, v in schema.items() if k != "anyOf"}}

    def _fields(self, schema: Schema, inside: str, above: tuple[str, ...], without: str) -> Iterator[Field]:
        needed = schema.get("required", ())
        for name, each in schema.get("properties", {}).items():
            if inside or name != without:
                yield from self._field(f"{inside}{name}", each, name in needed, above)

    def _field(self, name: str, given: Schema, needed: bool, above: tuple[str, ...]) -> Iterator[Field]:
        inner, place, kind = given, name, ""
        while (field := self.resolved(inner)).get("type") == "array":
            inner, place, kind = field.get("items", {}), f"{place}[]", f"{kind}array of "
        said = [*_said(self.resolved(given)), *(_said(field) if inner is not given else ())]
        reference = self._reference(inner)
        if reference in above:
            # What holds itself would have no end.
            said.append("its fields are those above")
        yield Field(name, f"{kind}{_kind(field)}", needed, "; ".join(said))
        if reference not in above:
            yield from self._fields(field, f"{place}.", (*above, *filter(None, [reference])), "")

    def _reference(self, schema: Schema) -> str:
        several = (schema, *schema.get("anyOf", ()))
        return next((str(each["$ref"]) for each in several if "$ref" in each), "")

    def _example(self, schema: Schema, above: tuple[str, ...]) -> Any:
        reference = self._reference(schema)
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        if examples := schema.get("examples") or schema.get("enum"):
            return examples[0]
        kind = _kind(schema).partition(" ")[0]
        if reference and reference in above:
            return None
        above = (*above, *filter(None, [reference]))
        if kind == "array":
            item = self._example(schema.get("items", {}), above)
            return [] if item is None else [item]
        if properties := schema.get("properties"):
            return {name: self._example(each, above) for name, each in properties.items()}
        return _SAMPLES.get(kind, "...")


def as_json(value: Any) -> str:
    """Write an example."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _name_of(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _said(field: Schema) -> Iterator[str]:
    if text := field.get("description"):
        yield text.rstrip(".")
    for limit, words in _LIMITS.items():
        if limit in field:
            yield words.format(_text(field[limit]))
    if "default" in field:
        yield f"{json.dumps(field['default'], ensure_ascii=False)} where it is left out"


def _kind(field: Schema) -> str:
    kind = field.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
