"""The OpenAPI document is true: answers to what it allows, and to much that it does not."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from colour_model import model_bytes
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import Running, serving

from seqvision_edge.serve.limits import Limits
from seqvision_edge.session import Session

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(Session(model_bytes(), "cpu"), limits=Limits(streams=8)) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Running) -> schemathesis.BaseSchema:
    with server.client() as client:
        return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case, server: Running) -> None:
    if case.path.endswith("/events"):
        # A stream that does not exist: one that does would never end.
        case.path_parameters = dict.fromkeys(case.path_parameters, "none")
    case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=30)


def test_the_server_is_well_afterwards(server: Running) -> None:
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert server.served.service.batcher.reserved == 0
    assert httpx
    assert threading
