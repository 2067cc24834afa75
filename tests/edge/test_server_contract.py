"""The OpenAPI document matches the responses, to valid requests and to many invalid ones."""

import contextlib
from collections.abc import Iterator

import pytest
import schemathesis
from colour_model import model_bytes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import Running, serving

from seqvision_edge.server.limits import Limits
from seqvision_edge.server.recorder import Recorder
from seqvision_edge.session import Session

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
few = settings(
    max_examples=5,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    recorder = Recorder(tmp_path_factory.mktemp("record") / "takes")
    session = Session(model_bytes(), "cpu")
    with serving(session, limits=Limits(streams=8), recorder=recorder) as running:
        yield running


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_response_matches_the_openapi_document(server: Running, mode: GenerationMode) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    seen = set()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()

        @few
        @given(case=operation.as_strategy(generation_mode=mode))
        def send_query(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=30)

        # A route without parameters has no invalid request.
        with contextlib.suppress(Unsatisfiable):
            send_query()
            seen.add((operation.method.upper(), operation.path))
    assert ("POST", "/v1/predict") in seen
    assert ("POST", "/v1/streams/{id}/frames") in seen
    assert mode is GenerationMode.NEGATIVE or len(seen) == sum(map(len, document["paths"].values()))
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
    assert server.served.service.batcher.reserved == 0
