"""The connection itself: it is entered before it is used, and says so when it cannot be."""

import pytest
from azure.cosmos import PartitionKey

from devhost.cosmos.auth import EMULATOR_KEY
from devhost.ports import free_ports
from shared.adapters.cosmos import (
    CosmosAccount,
    CosmosConnection,
    commit,
    create_once,
    read_or_none,
)
from shared.domain.ledger import Create, Delete, Patch
from shared.errors import InvariantBroken, Unavailable
from tests.contract.cosmos_account import open_account


async def test_reads_carry_the_session_token_of_our_own_writes() -> None:
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        container = await connection.container("ledger")
        await container.create_item({"id": "session", "pk": "p"})
        sent: list[str | None] = []
        await container.read_item(
            "session",
            "p",
            raw_response_hook=lambda answer: sent.append(
                answer.http_request.headers.get("x-ms-session-token")
            ),
        )
        await container.delete_item("session", "p")
        await connection.aclose()
    assert len(sent) == 1 and sent[0]


async def test_account_that_does_not_answer_is_unavailable() -> None:
    endpoint = f"http://127.0.0.1:{free_ports().cosmos}"
    connection = CosmosConnection(CosmosAccount(endpoint, "eig", EMULATOR_KEY))
    with pytest.raises(Unavailable):
        await connection.container("ledger")
    await connection.aclose()


@pytest.mark.parametrize(
    "item_id",
    ["x/", "/x", "//x", "a/b", "x\\", "x?", "x#", "x ", "x\x00", "x\n", "", ".", "..", "x" * 1_024],
)
async def test_id_that_the_store_cannot_hold_is_nobodys(item_id: str) -> None:
    """The SDK drops slashes at the ends of an address: `x/` must not be the document `x`."""
    async with open_account() as account:
        database = await account.client.create_database_if_not_exists("eig")
        await database.create_container_if_not_exists("ledger", PartitionKey("/pk"))
        connection = CosmosConnection(CosmosAccount(account.endpoint, "eig", account.key))
        container = await connection.container("ledger")
        standing = {"id": "x", "pk": "p", "type": "note", "kept": True}
        await create_once(container, standing)
        assert await read_or_none(container, item_id, "p") is None
        changed = ({"op": "set", "path": "/kept", "value": False},)
        for operation in (
            Create({**standing, "id": item_id}),
            Patch(item_id, changed),
            Delete(item_id),
        ):
            with pytest.raises(InvariantBroken):
                await commit(container, "p", [operation])
        with pytest.raises(InvariantBroken):
            await create_once(container, {**standing, "id": item_id})
        found = await read_or_none(container, "x", "p")
        await connection.aclose()
    assert found is not None and found["kept"] is True
