"""A browser as far as cookies and redirects go: it keeps what it is told and sends it back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.integration.api import Answer, Json

SESSION = "__Host-eig_session"
DEVICE = "__Host-eig_device"
SIGN_IN = "__Host-eig_sign_in"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass
class Browser:
    """One browser on one device, at one origin."""

    session: aiohttp.ClientSession
    api_url: str
    agent: str = AGENT
    cookies: dict[str, str] = field(default_factory=dict)
    csrf_token: str | None = None
    set_cookies: list[str] = field(default_factory=list)  # as they were sent, attributes and all

    @property
    def origin(self) -> str:
        parts = urlsplit(self.api_url)
        return f"{parts.scheme}://{parts.netloc}"

    async def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> Answer:
        """What a script of our own page would send; `headers` replaces single ones."""
        sent = {"User-Agent": self.agent, "Sec-Fetch-Site": "same-origin"}
        if method != "GET":
            sent |= {"Origin": self.origin, "X-CSRF-Token": self.csrf_token or ""}
        sent |= dict(headers or {})
        sent = {name: value for name, value in sent.items() if value}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        async with self.session.request(
            method, self.api_url + path, headers=sent, allow_redirects=False, **arguments
        ) as response:
            self._keep(response.headers.getall("Set-Cookie", []))
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **arguments: Any) -> Answer:
        return await self.send("GET", path, **arguments)

    async def sign_in(self, username: str, query: str = "") -> Answer:
        """To the issuer, pick a person, and back; the answer of the callback."""
        begun = await self.get(f"/auth/login{query}", headers={"Sec-Fetch-Site": "none"})
        assert begun.status == 302, begun.content
        return await self.get(await self.picked(begun.headers["Location"], username))

    async def picked(self, location: str, username: str) -> str:
        """Pick a person on the issuer's page; where that sends the browser, from the API on."""
        async with self.session.get(location) as page:
            text = await page.text()
        form = {
            unescape(name): unescape(value)
            for name, value in re.findall(r'name="(\w+)" value="([^"]*)">', text)
            if name != "username"
        }
        url = location.partition("?")[0]
        async with self.session.post(
            url, data={**form, "username": username}, allow_redirects=False
        ) as answer:
            assert answer.status == 302, await answer.text()
            return answer.headers["Location"].removeprefix(self.api_url)

    async def signed_in(self, username: str, query: str = "") -> Json:
        """Sign in; the session as a page sees it."""
        answer = await self.sign_in(username, query)
        assert answer.status == 200, answer.content
        return await self.look()

    async def look(self) -> Json:
        view = (await self.get("/auth/session")).json()
        self.csrf_token = view["csrf_token"]
        return view

    def copied(self, *names: str, **changes: Any) -> Browser:
        """Another browser with copies of some cookies, as a thief has it."""
        kept = {name: self.cookies[name] for name in names}
        return Browser(
            self.session, self.api_url, cookies=kept, csrf_token=self.csrf_token, **changes
        )

    def _keep(self, headers: list[str]) -> None:
        self.set_cookies += headers
        for header in headers:
            for name, morsel in SimpleCookie(header).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
