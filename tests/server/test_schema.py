"""The server does what its own OpenAPI description says, whatever it is sent."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.server.test_app import serving

# A schema has no words for "the bytes of a photograph": bytes that are none are valid by it, and refused.
UNKNOWABLE = [positive_data_acceptance]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_answers_are_as_described() -> None:
    with serving() as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
        assert {operation.path for operation in operations} == {"/segment", "/healthz", "/readyz", "/metrics"}
        for operation in operations:
            tried = 0

            @settings(max_examples=40, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def as_described(case: Any) -> None:
                nonlocal tried
                tried += 1
                case.call_and_validate(excluded_checks=UNKNOWABLE)

            as_described()
            assert tried
