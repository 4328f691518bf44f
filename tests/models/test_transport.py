"""Where a request may go, and what a host's answers mean."""

import ssl
import time
from datetime import datetime, timedelta, timezone
from email.message import Message
from email.utils import format_datetime
from urllib.error import URLError

import pytest
from hypothesis import given
from hypothesis import strategies as some

from local_server import Served, Status, serving
from neurotransfer.errors import InputError
from neurotransfer.models import transport as module
from neurotransfer.models.transport import Transport, UnansweredError, answer, host_of, is_offline, require_url

ALLOWED = (
    "https://example.org/a",
    "https://example.org:8443/a?b=c",
    "http://127.0.0.1/a",
    "http://localhost:80/a",
    "http://[::1]:5/a",
)
REFUSED = (
    "",
    "weights.h5",
    "//example.org/a",
    "http://example.org/a",
    "http://127.0.0.1.example.org/a",
    "http://localhost@example.org/a",
    "https://me:secret@example.org/a",
    "ftp://example.org/a",
    "file:///etc/passwd",
    "data:text/plain,a",
    "https:///a",
    "https://example.org/a b",
    "https://example.org/a\r\nX: y",
    "https://exämple.org/a",
    "https://example.org:port/a",
    "https://[::1/a",
)


@pytest.mark.parametrize("url", ALLOWED)
def test_https_and_this_machine_are_allowed(url):
    require_url(url)


@pytest.mark.parametrize("url", REFUSED)
def test_all_else_is_refused(url):
    with pytest.raises(InputError, match="allowed: https"):
        require_url(url)


@given(some.text())
def test_any_text_is_allowed_or_refused_with_words(text):
    try:
        require_url(text)
    except InputError:
        return
    assert text.lower().startswith(("https://", "http://"))


def test_the_host_of_a_url_is_named():
    assert [host_of(url) for url in ALLOWED] == ["example.org", "example.org", "127.0.0.1", "localhost", "::1"]


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://example.org/a", "http://example.org/a", "data:,a", "https://me:secret@example.org/a"],
)
def test_a_redirect_to_what_is_not_allowed_is_not_followed(target):
    with serving(files={"/a": Served(b"a", faults=[Status(302, {"Location": target})])}) as host:
        with pytest.raises((InputError, UnansweredError)), answer(f"{host.url}/a", {}, Transport()):
            pass
        assert len(host.requests) == 1


def test_a_redirect_on_this_machine_is_followed():
    with serving(files={"/b": Served(b"found")}) as host:
        host.files["/a"] = Served(b"", faults=[Status(302, {"Location": "/b"})])
        with answer(f"{host.url}/a", {"Accept": "x/y"}, Transport()) as response:
            assert response.read() == b"found"
        assert host.requests[1][1]["Accept"] == "x/y"


def test_redirects_in_a_ring_end():
    with serving(files={"/a": Served(b"")}) as host:
        host.files["/a"].faults = [Status(302, {"Location": "/a"})] * 50
        with pytest.raises(UnansweredError), answer(f"{host.url}/a", {}, Transport()):
            pass
        assert len(host.requests) < 10


def test_another_host_cannot_send_to_this_machine():
    request = module.Request("https://example.org/a")
    with pytest.raises(InputError, match="which is this machine"):
        module._Redirects().redirect_request(request, None, 302, "", Message(), "http://127.0.0.1/a")
    with pytest.raises(InputError, match="allowed: https"):
        module._Redirects().redirect_request(request, None, 302, "", Message(), "http://example.org/a")
    assert module._Redirects().redirect_request(request, None, 302, "", Message(), "https://cdn.example.org/a")


def test_only_the_web_is_opened():
    kinds = {type(handler).__name__ for handler in module._opener("https://example.org").handlers}
    assert not kinds & {"FileHandler", "FTPHandler", "DataHandler", "UnknownHandler"}


def test_a_proxy_is_used_but_not_for_this_machine(monkeypatch):
    with serving(files={"/a": Served(b"a")}) as host:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        with answer(f"{host.url}/a", {}, Transport()) as response:
            assert response.read() == b"a"
        monkeypatch.setenv("https_proxy", host.url)
        with pytest.raises(UnansweredError), answer("https://example.org/a", {}, Transport(timeout_s=2)):
            pass


def headers(**values):
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def later(seconds):
    """A header that names a moment, made when the test runs and not when it is collected."""
    return lambda: headers(
        Retry_After=format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)
    )


def reset(seconds):
    """A limit that ends at a moment, made when the test runs."""
    return lambda: headers(X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(time.time()) + seconds))


@pytest.mark.parametrize(
    ("given_headers", "seconds"),
    [
        (headers(), 0),
        (headers(Retry_After="12"), 12),
        (headers(Retry_After=" 3 "), 3),
        (headers(Retry_After="soon"), 0),
        (headers(Retry_After="-4"), 0),
        (headers(Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"), 0),
        (later(90), 90),
        (reset(60), 60),
        (headers(X_RateLimit_Remaining="0", X_RateLimit_Reset="never"), 0),
        (headers(X_RateLimit_Remaining="5", X_RateLimit_Reset="9999999999"), 0),
        (headers(X_RateLimit_Remaining="0"), 0),
    ],
)
def test_the_wait_that_a_host_asks_for_is_understood(given_headers, seconds):
    given_headers = given_headers() if callable(given_headers) else given_headers
    assert module._asked(given_headers) == pytest.approx(seconds, abs=30 if seconds >= 60 else 0)


@given(some.text(alphabet=some.characters(min_codepoint=32, max_codepoint=126)))
def test_any_wait_is_a_number_of_seconds(text):
    assert module._asked(headers(Retry_After=text)) >= 0


@pytest.mark.parametrize("code", module.PASSING)
def test_what_may_pass_is_told_from_what_does_not(code):
    with serving(files={"/a": Served(b"", faults=[Status(code)])}) as host:
        with pytest.raises(UnansweredError) as error, answer(f"{host.url}/a", {}, Transport()):
            pass
        with pytest.raises(UnansweredError, match="no such file") as final, answer(f"{host.url}/b", {}, Transport()):
            pass
    assert error.value.is_passing
    assert not final.value.is_passing


def test_a_certificate_that_is_not_trusted_is_final():
    reason = ssl.SSLCertVerificationError(1, "certificate verify failed")
    reason.verify_message = "self-signed certificate"
    failure = module._failure(URLError(reason))
    assert "self-signed certificate" in str(failure)
    assert not failure.is_passing


def test_failures_without_words_have_their_name():
    assert str(module._failure(TimeoutError())) == "out of reach (TimeoutError)"


def test_the_environment_decides_whether_the_network_is_used(monkeypatch):
    monkeypatch.delenv("NEUROTRANSFER_OFFLINE", raising=False)
    assert not is_offline()
    assert not is_offline(Transport())
    assert is_offline(Transport(is_offline=True))
    monkeypatch.setenv("NEUROTRANSFER_OFFLINE", "1")
    assert is_offline()
    assert is_offline(Transport())
