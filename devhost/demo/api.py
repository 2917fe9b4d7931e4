"""A caller of the HTTP API, as any client would write one: bearer token, JSON, problem+json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT_S = 130.0  # the API holds `Prefer: wait` for up to 100 s
DETAIL_CHARS_MAX = 300  # of an answer that is not problem+json

Json = dict[str, Any]


class DemoStopped(Exception):
    """The demo cannot go on; the text is for a person."""


class Api:
    """One signed-in person at one API; a context manager, because it keeps connections."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._token: str | None = None
        # A picture's link may lead to the storage account: no cookies, nothing kept between calls.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def sign_in(self, issuer: str, form: Mapping[str, str]) -> None:
        """Finds the token endpoint by discovery and asks it for an access token."""
        document = await self.send("GET", f"{issuer}/.well-known/openid-configuration")
        answer = await self.send("POST", document["token_endpoint"], data=form)
        self._token = str(answer["access_token"])

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        return await self.send("GET", self._base_url + path, params=params)

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Json:
        return await self.send("POST", self._base_url + path, json=body, headers=headers)

    async def put(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Json:
        return await self.send("PUT", self._base_url + path, json=body, headers=headers)

    async def download(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The bytes at a path of the API, or where it points to."""
        return await self._bytes("GET", self._base_url + path, params=params)

    async def upload(self, url: str, content: bytes, content_type: str) -> None:
        """Puts a file at a link that carries its own permission."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": content_type}
        await self._bytes("PUT", url, data=content, headers=headers, signed_in=False)

    async def send(self, method: str, url: str, **arguments: Any) -> Json:
        """One exchange of JSON; raises DemoStopped with the API's code and detail."""
        content = await self._bytes(method, url, **arguments)
        try:
            document = json.loads(content)
        except ValueError:
            raise DemoStopped(f"{method} {url} did not answer with JSON.") from None
        if not isinstance(document, dict):
            raise DemoStopped(f"{method} {url} did not answer with a JSON object.")
        return document

    async def _bytes(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        signed_in: bool = True,
        **arguments: Any,
    ) -> bytes:
        sent = dict(headers or {})
        if self._token and signed_in and url.startswith(self._base_url):
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            async with self._session.request(method, url, headers=sent, **arguments) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    raise DemoStopped(_problem(method, url, answer.status, content))
                return content
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            place = url.partition("?")[0]
            raise DemoStopped(f"{method} {place}: no answer ({type(error).__name__}).") from error


def _problem(method: str, url: str, status: int, content: bytes) -> str:
    """What went wrong in the API's own words; the query is left out, it may be a permission."""
    place = f"{method} {url.partition('?')[0]} answered {status}"
    try:
        problem = json.loads(content)
        lines = [f"{place} {problem['code']}: {problem['detail']}"]
        for fault in problem.get("errors", []):
            lines.append(f"  {fault['field']}: {fault['message']}")
    except (ValueError, KeyError, TypeError):
        return f"{place}: {content[:DETAIL_CHARS_MAX].decode('utf-8', 'replace')}"
    return "\n".join(lines)
