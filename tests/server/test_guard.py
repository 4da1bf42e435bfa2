"""Who may ask."""

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.server.guard import Guard, host_name, is_loopback
from pipeline.server.running import make_guard


def status(guard: Guard, needs_token: bool = True, **headers: str) -> int | None:
    given = {"host": "127.0.0.1:8000", **headers}
    refusal = guard.refusal(given, needs_token=needs_token)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_pass(host: str) -> None:
    assert status(Guard(), host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example:8000",
        "[::2]",
        "localhost.evil",
        "[::1",
        "[::1]evil.example",
        "localhost:evil.example",
        "localhost:80@evil.example",
        "localhost/evil",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert status(Guard(), host=host) == 403


def test_pages_of_others_are_refused_and_own_ones_pass() -> None:
    assert status(Guard(), origin="http://127.0.0.1:8000") is None
    for origin in ("http://127.0.0.1:8001", "https://evil.example", "null", "file://127.0.0.1:8000", ""):
        assert status(Guard(), origin=origin) == 403
    assert status(Guard(origins=["https://friend.example"]), origin="https://friend.example") is None


def test_the_token() -> None:
    guard = Guard(token="s3cret-ü")
    assert status(guard) == 401
    assert status(guard, needs_token=False) is None
    assert status(guard, authorization="Bearer s3cret-ü") is None
    assert status(guard, authorization="bearer  s3cret-ü ") is None
    for wrong in ("Bearer s3cret", "Basic s3cret-ü", "s3cret-ü", "Bearer ", "Bearer \udcff"):
        assert status(guard, authorization=wrong) == 401


def test_parts_of_hosts() -> None:
    assert (host_name("[::1]:80"), host_name("a.b:80"), host_name("a")) == ("[::1]", "a.b", "a")
    loopback = ("127.0.0.1", "127.8.8.8", "::1", "localhost")
    assert [is_loopback(one) for one in (*loopback, "0.0.0.0", "::", "example.org")] == [True] * 4 + [
        False
    ] * 3


def serving(host: str, **more: object) -> Config:
    return Config.model_validate({"server": {"host": host, **more}})


def test_an_address_for_others_needs_a_token_or_a_word() -> None:
    with pytest.raises(ConfigError, match=r"server\.host: 0\.0\.0\.0 can be reached by others"):
        make_guard(serving("0.0.0.0"), None, is_open=False)
    assert status(make_guard(serving("0.0.0.0"), "t", is_open=False), host="box:1") == 401
    assert status(make_guard(serving("0.0.0.0"), None, is_open=True), host="box:1") is None
    named = make_guard(serving("0.0.0.0", allowed_hosts=["Box"]), None, is_open=True)
    assert (status(named, host="box:1"), status(named, host="evil")) == (None, 403)
    assert status(make_guard(serving("127.0.0.1"), None, is_open=False), host="box") == 403


@pytest.mark.parametrize(("host", "named"), [("127.0.0.2", "127.0.0.2:8000"), ("::1", "[::1]:8000")])
def test_a_server_answers_to_its_own_address(host: str, named: str) -> None:
    assert status(make_guard(serving(host), None, is_open=False), host=named) is None
