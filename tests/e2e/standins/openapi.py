"""Holds requests and answers against a published OpenAPI 3.0 document, so that a stand-in stays true to it."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

HERE = "urn:published"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


class Description:
    def __init__(self, file: Path):
        self._file = file

    @cached_property
    def _document(self) -> dict:
        return json.loads(self._file.read_text())

    @cached_property
    def _registry(self) -> Registry:
        return Registry().with_resource(HERE, Resource.from_contents(self._document, default_specification=DRAFT4))

    def _found(self, pointer: str) -> tuple[str, dict]:
        """What stands there, references followed."""
        node = self._document
        for part in pointer.strip("/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
            if "$ref" in node:
                pointer = node["$ref"].lstrip("#")
                return self._found(pointer)
        return pointer, node

    def _wrong(self, pointer: str, value: object) -> list[str]:
        validator = OAS30Validator({"$ref": f"{HERE}#{pointer}"}, registry=self._registry)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(value)]

    def request(self, method: str, template: str, body: object) -> list[str]:
        """What is wrong with a request's body."""
        operation = f"/paths/{_escaped(template)}/{method.lower()}"
        _, found = self._found(operation)
        if "requestBody" not in found:
            return [] if body is None else ["no body is described"]
        at, described = self._found(operation + "/requestBody")
        if body is None:
            return ["a body is wanted"] if described.get("required") else []
        return self._wrong(f"{at}/content/{_escaped('application/json')}/schema", body)

    def answer(self, method: str, template: str, status: int, body: object) -> list[str]:
        """What is wrong with an answer."""
        operation = f"/paths/{_escaped(template)}/{method.lower()}"
        _, found = self._found(operation)
        if str(status) not in found["responses"]:
            # 401 for bad credentials comes before every operation; the document says it of few of them.
            return [] if status in (401, 404) else [f"{status} is not described"]
        at, described = self._found(f"{operation}/responses/{status}")
        if "content" not in described:
            return [] if body is None else ["no body is described"]
        return self._wrong(f"{at}/content/{_escaped('application/json')}/schema", body)
