"""Validates real replies against Docker's definition of the Engine API (swagger 2): types, enums, formats, required and
unknown keys. The definition is not part of this project: it is read where the checkout's neighbour `shared` has it."""
import datetime
import pathlib
import re

DEFINITION = pathlib.Path(__file__).resolve().parents[3] / "shared/reference/engine-api.yaml"
DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
TYPES = {"string": str, "boolean": bool, "array": list, "object": dict}


class Schema:
    def __init__(self, document):
        self.document = document

    def responses(self, method, path):
        return self.document["paths"][path][method.lower()]["responses"]

    def reply_schema(self, method, path, status):
        return self.responses(method, path)[status].get("schema")

    def definition(self, name):
        return {"$ref": f"#/definitions/{name}"}

    def resolve(self, schema):
        while "$ref" in schema:
            target = self.document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            # Keys beside $ref (x-nullable) hold for this use only.
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def properties(self, schema):
        """(properties, required, whether the object is open), those of all parts of an allOf together."""
        schema = self.resolve(schema)
        properties, required = dict(schema.get("properties", {})), set(schema.get("required", []))
        is_open = bool(schema.get("additionalProperties")) or not properties
        for part in schema.get("allOf", []):
            more, needed, _ = self.properties(part)
            properties.update(more)
            required |= needed
            is_open = False
        return properties, required, is_open

    def check(self, value, schema, *, nullable=(), extra=(), complete=(), absent=()):
        """The list of mismatches. By path, "*" standing for list items and map keys: `nullable` may be null though the
        definition does not say so, `extra` keys are known though undefined; objects in `complete` have every
        defined key but those in `absent`."""
        found = []
        allowed = {"nullable": set(nullable), "extra": set(extra), "complete": set(complete), "absent": set(absent)}
        self._check(value, schema, "", found, allowed)
        return found

    def _check(self, value, schema, path, found, allowed):
        schema = self.resolve(schema)
        if value is None:
            may = schema.get("x-nullable") or schema.get("nullable") or path in allowed["nullable"]
            if not may and not (schema.get("x-omitempty") is False and schema.get("type") == "array"):
                found.append(f"{path or '.'}: null")
            return
        if "allOf" in schema and self.resolve(schema["allOf"][0]).get("type") not in (None, "object"):
            return self._check(value, schema["allOf"][0], path, found, allowed)
        kind = schema.get("type") or ("object" if "properties" in schema or "allOf" in schema else None)
        if kind in ("integer", "number"):
            number = isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
            if not number:
                found.append(f"{path}: {value!r} is no {kind}")
                return
        elif kind in TYPES and not isinstance(value, TYPES[kind]):
            found.append(f"{path or '.'}: {value!r} is no {kind}")
            return
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{path}: {value!r} is none of {schema['enum']}")
        if kind == "string":
            self._check_format(value, schema, path, found)
        elif kind == "array":
            for item in value:
                self._check(item, schema.get("items", {}), path + ".*", found, allowed)
        elif kind == "object":
            self._check_object(value, schema, path, found, allowed)

    @staticmethod
    def _check_format(value, schema, path, found):
        wants_date = schema.get("format") in ("dateTime", "date-time")
        if wants_date and not DATE.match(value):
            found.append(f"{path}: {value!r} is no RFC 3339 date")
        elif wants_date:
            datetime.datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{path}: {value!r} does not match {schema['pattern']}")

    def _check_object(self, value, schema, path, found, allowed):
        properties, required, is_open = self.properties(schema)
        for key in required - value.keys():
            found.append(f"{path}.{key}: required and absent")
        if path in allowed["complete"]:
            for key in properties.keys() - value.keys() - required:
                if f"{path}.{key}" not in allowed["absent"]:
                    found.append(f"{path}.{key}: absent")
        rest = schema.get("additionalProperties")
        for key, item in value.items():
            if key in properties:
                self._check(item, properties[key], f"{path}.{key}", found, allowed)
            elif isinstance(rest, dict):
                self._check(item, rest, path + ".*", found, allowed)
            elif not is_open and f"{path}.{key}" not in allowed["extra"]:
                found.append(f"{path}.{key}: not in the definition")
