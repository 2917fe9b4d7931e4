"""Cookies on their way in and out."""

import azure.functions as func
import pytest

from functions.http_auth import (
    COOKIES_CHARS_MAX,
    DEVICE_COOKIE,
    SESSION_COOKIE,
    Identity,
    browser_of,
    cookies_of,
    device_cookie,
    no_cookie,
    put_cookies,
    session_cookie,
)


def request(**headers: str) -> func.HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest("GET", "http://127.0.0.1/api/v1/models", headers=named, body=b"")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{SESSION_COOKIE}=a; {DEVICE_COOKIE}=b", {SESSION_COOKIE: "a", DEVICE_COOKIE: "b"}),
        (f"theme=dark;{SESSION_COOKIE}=a=b", {SESSION_COOKIE: "a=b"}),
        (f"eig_session=x; __Secure-eig_session=y; {SESSION_COOKIE}=a", {SESSION_COOKIE: "a"}),
        (f"{SESSION_COOKIE}=a; {SESSION_COOKIE}=b", {}),  # whose is it?
        (f"{SESSION_COOKIE.lower().upper()}=a", {}),
        (f"{SESSION_COOKIE}=" + "a" * COOKIES_CHARS_MAX, {}),
        ("", {}),
        (";;=;", {}),
    ],
)
def test_cookies_are_ours_and_there_once(header: str, found: dict[str, str]) -> None:
    assert cookies_of(request(Cookie=header)) == found


@pytest.mark.parametrize(
    ("headers", "prefix"),
    [
        ({"X_Forwarded_For": "10.1.2.3, 203.0.113.9:4711"}, "203.0.113.0/24"),
        ({"X_Forwarded_For": "10.1.2.3", "X_Azure_ClientIP": "203.0.113.9"}, "203.0.113.0/24"),
        ({}, ""),
    ],
)
def test_address_is_the_one_that_our_own_front_end_saw(
    headers: dict[str, str], prefix: str
) -> None:
    assert browser_of(request(**headers), {}).device.address_prefix == prefix


def test_new_secret_goes_out_unless_the_answer_ends_the_session() -> None:
    identity = Identity(cookies=[session_cookie("new")])
    for said, expected in (
        ([], [session_cookie("new")]),
        ([device_cookie("d")], [device_cookie("d"), session_cookie("new")]),
        ([no_cookie(SESSION_COOKIE)], [no_cookie(SESSION_COOKIE)]),
    ):
        response = func.HttpResponse()
        for cookie in said:
            response.headers.add("Set-Cookie", cookie)
        put_cookies(response, identity)
        assert response.headers.get_all("Set-Cookie") == expected
