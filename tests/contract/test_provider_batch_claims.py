"""Claims of provider batches, over the fake container and over the real SDK with an account."""

from dataclasses import replace

from shared.adapters.cosmos_provider_batches import CosmosProviderBatchClaims
from shared.domain.provider_batches import ProviderBatch, claim_event
from tests.builders import CREATED_AT
from tests.contract import ledger_bench
from tests.contract.ledger_bench import Bench

connection, bench = ledger_bench.connection, ledger_bench.bench  # fixtures, found by their names


def made(bench: Bench) -> tuple[CosmosProviderBatchClaims, ProviderBatch]:
    batch_id, _ = bench.batch(1_000)
    claim = ProviderBatch(batch_id, 3, "w-1", (301, 305), CREATED_AT, "file-1")
    return CosmosProviderBatchClaims(bench.connection), claim


async def test_claim_is_given_to_the_first_only(bench: Bench) -> None:
    claims, claim = made(bench)
    assert await claims.find(claim.batch_id, 3) is None
    assert await claims.claim(claim) == claim
    other = replace(claim, holder="w-2", rows=(301,))
    assert await claims.claim(other) == claim
    assert await claims.find(claim.batch_id, 3) == claim
    assert await claims.find(claim.batch_id, 4) is None


async def test_first_word_about_a_claim_stands_with_one_event(bench: Bench) -> None:
    claims, claim = made(bench)
    await claims.claim(claim)
    sent = replace(claim, status="submitted", job_id="batch_1")
    lost = replace(claim, status="lost", reason="never_sent")
    assert await claims.settle(sent, claim_event(sent, CREATED_AT, "c-1")) == sent
    assert await claims.settle(sent, claim_event(sent, CREATED_AT, "c-1")) == sent
    assert await claims.settle(lost, claim_event(lost, CREATED_AT, "c-1")) == sent
    assert await claims.find(claim.batch_id, 3) == sent
    event = await bench.must_read(f"e:{claim.key}:provider_batch.submitted")
    assert event["event"]["details"]["job_id"] == "batch_1"
    assert await bench.read(f"e:{claim.key}:provider_batch.lost") is None
