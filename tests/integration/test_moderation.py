"""Models that Content Safety guards, over HTTP: what passes, what is refused and what it costs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from devhost.simulators.pictures import PictureRequest, render
from devhost.simulators.provenance import manifest, with_credentials
from tests.integration.api import Json, Person, order, prompt
from tests.integration.cloud import Cloud

FLUX, SDXL = "foundry-flux-2-pro", "sdxl-sovereign"


def tagged(tag: str, model: str = FLUX, **fields: Any) -> Json:
    return order(model, prompt=f"{tag} {prompt()}", **fields)


async def billed_usd_micros(cloud: Cloud, generation: Json) -> int:
    """What the providers' invoice says about one generation, found by its prompt."""
    wanted = hashlib.sha256(generation["request"]["prompt"].encode()).hexdigest()
    return sum(
        line["usd_micros"]
        for line in await cloud.invoice_lines()
        if line["prompt_sha256"] == wanted
    )


async def submitted(cloud: Cloud, generation: Json) -> int:
    wanted = hashlib.sha256(generation["request"]["prompt"].encode()).hexdigest()
    return (await cloud.submissions()).get(wanted, 0)


async def test_picture_leaves_custody_as_the_provider_signed_it(ava: Person) -> None:
    body = tagged("[[scenario:content_credentials]]", seed=7)
    (image,) = (await ava.generate(body))["images"]
    content = (await ava.get(f"/images/{image['id']}/content")).content
    made = render(PictureRequest(body["prompt"], 7, 1024, 1024))
    assert content == with_credentials(made)
    assert manifest(made) in content
    thumbnail = (await ava.get(f"/images/{image['id']}/thumbnail")).content
    assert b"jumb" not in thumbnail  # a copy of ours, which vouches for nothing


async def test_picture_tells_where_it_comes_from_and_who_let_it_pass(
    cloud: Cloud, ava: Person
) -> None:
    made = await ava.generate(order(SDXL, count=2, seed=11, negative_prompt="gore, blurry"))
    assert [image["seed"] for image in made["images"]] == [11, 12]
    detail = (await ava.get(f"/images/{made['images'][1]['id']}")).json()
    provenance = detail["provenance"]
    assert (provenance["provider"], provenance["model"]) == ("azure_ml", SDXL)
    assert provenance["model_version"] == "stable-diffusion-xl-base-1.0:1"
    assert provenance["price_version"] == made["quote"]["price_version"]
    assert provenance["request_id"] and provenance["job_id"] is None
    assert provenance["moderation"] == {
        "by": "content_safety",
        "passed": 2,
        "refused": 0,
        "unjudged": 0,
        "categories": [],
    }
    assert detail["same_as"] is None
    assert made["cost"]["usd_micros"] == await billed_usd_micros(cloud, made)


async def test_picture_with_the_same_bytes_names_the_first_of_them(ava: Person) -> None:
    body = order(SDXL, seed=5)
    first, second = [(await ava.generate(body))["images"][0] for _ in range(2)]
    assert first["sha256"] == second["sha256"] and first["id"] != second["id"]
    assert (await ava.get(f"/images/{first['id']}")).json()["same_as"] is None
    assert (await ava.get(f"/images/{second['id']}")).json()["same_as"] == first["id"]


async def test_first_of_the_same_bytes_is_named_only_to_who_may_see_it(
    ava: Person, ben: Person
) -> None:
    body = order(SDXL, seed=6)
    await ava.generate(body)
    own = (await ben.generate(body))["images"][0]
    assert (await ben.get(f"/images/{own['id']}")).json()["same_as"] is None


@pytest.mark.parametrize("model", [FLUX, SDXL])
@pytest.mark.parametrize(
    ("tag", "categories"),
    [
        ("[[safety:violence=6]]", ["violence"]),
        ("[[safety:hate=2]] [[safety:sexual=4]]", ["hate", "sexual"]),
        ("Forbiddenium", ["blocklist:local-terms"]),
    ],
)
async def test_refused_prompt_is_never_sent_and_costs_nothing(
    cloud: Cloud, ava: Person, model: str, tag: str, categories: list[str]
) -> None:
    ended = await ava.generate(tagged(tag, model))
    assert ended["status"] == "refused"
    assert (ended["failure"]["reason"], ended["failure"]["categories"]) == (
        "prompt_refused",
        categories,
    )
    assert ended["cost"]["amount_micros"] == 0
    assert await submitted(cloud, ended) == 0


@pytest.mark.parametrize("model", [FLUX, SDXL])
async def test_refused_picture_is_paid_for_and_kept_nowhere(
    cloud: Cloud, ava: Person, model: str
) -> None:
    ended = await ava.generate(tagged("[[picture:sexual=6]]", model))
    assert (ended["status"], ended["images"]) == ("refused", [])
    assert ended["failure"]["reason"] == "picture_refused"
    assert ended["cost"]["usd_micros"] == await billed_usd_micros(cloud, ended) > 0
    assert await submitted(cloud, ended) == 1
    assert cloud.storage is not None
    for container in ("images", "thumbnails"):
        listed = cloud.storage.get_container_client(container).list_blobs()
        assert not [blob.name async for blob in listed if ended["id"] in blob.name]


async def test_prompt_that_nobody_can_judge_is_never_sent(cloud: Cloud, ava: Person) -> None:
    shown = await ava.submit(tagged("[[safety:throttled]]"))  # come back in a second, it says
    ended = await ava.ended_generation(shown["id"])
    assert (ended["status"], ended["failure"]["reason"]) == ("failed", "prompt_not_judged")
    assert ended["cost"]["amount_micros"] == 0
    assert await submitted(cloud, ended) == 0


async def test_foundry_moderation_of_its_own_is_booked_like_a_picture(
    cloud: Cloud, ava: Person
) -> None:
    ended = await ava.generate(tagged("[[scenario:content_moderated]]"))
    assert (ended["status"], ended["failure"]["code"]) == ("refused", "content_rejected")
    assert ended["cost"]["usd_micros"] == await billed_usd_micros(cloud, ended) == 40_000


async def test_two_pictures_of_a_model_that_makes_one_are_refused(ava: Person) -> None:
    answer = await ava.post("/generations", order(FLUX, count=2))
    assert "/count" in {
        fault["field"] for fault in answer.problem(422, "unsupported_by_model")["errors"]
    }
