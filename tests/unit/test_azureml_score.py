"""The scoring script with a pipeline that draws flat pictures: its contract, and the app's side."""

import base64
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from devhost.simulators import azure_ml as simulator
from devhost.simulators.scenarios import ScenarioError
from shared.adapters.providers.azure_ml import request_body
from shared.domain.models import MODELS
from shared.domain.price_catalogues import PriceCatalogues
from tests import builders
from tests.contract.image_orders import order

SCRIPT = Path(__file__).resolve().parents[2] / "azureml" / "score.py"
MODEL = MODELS["sdxl-sovereign"]


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("azureml_score", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = _loaded()


class Ticking:
    """A clock that goes on by a step each time it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def flat(request: Any, check: Callable[[], None]) -> list[Any]:
    for _ in range(3):
        check()
    size = (request.width, request.height)
    return [Image.new("RGB", size, (n, n, n)) for n in range(request.count)]


def scorer(draw: Any = flat, step_s: float = 0.25) -> Any:
    return script.Scorer(draw, "sdxl:1", Ticking(step_s))


def body(**changes: Any) -> str:
    wanted = order("sdxl-sovereign", seed=7, negative_prompt="blurry", count=2)
    document = request_body(wanted)
    return json.dumps({k: v for k, v in {**document, **changes}.items() if v is not None})


def test_score_draws_what_the_app_asks_for() -> None:
    status, answer = scorer().score(body())
    assert status == 200
    assert answer["model_version"] == "sdxl:1"
    assert answer["seconds"] == "1.250"
    assert [image["seed"] for image in answer["images"]] == [7, 8]
    picture = Image.open(io.BytesIO(base64.b64decode(answer["images"][0]["b64_json"])))
    assert (picture.format, picture.size) == ("PNG", (1024, 1024))


@pytest.mark.parametrize("size", MODEL.sizes)
@pytest.mark.parametrize("output_format", MODEL.output_formats)
def test_score_takes_every_size_and_format_on_offer(size: str, output_format: str) -> None:
    wanted = order(
        "sdxl-sovereign", provider_size=size, output_format=output_format, count=MODEL.count_max
    )
    assert wanted.provider_model == script.MODEL
    status, answer = scorer().score(json.dumps(request_body(wanted)))
    assert status == 200, answer
    for image in answer["images"]:
        picture = Image.open(io.BytesIO(base64.b64decode(image["b64_json"])))
        assert picture.size == tuple(map(int, size.split("x")))
        assert picture.format == output_format.upper()


def test_score_takes_the_limits_on_offer() -> None:
    catalogues: PriceCatalogues = builders.catalogues()
    seconds_max = max(
        row.seconds_max or 0
        for version in catalogues.prices
        for row in version.rows
        if row.model == MODEL.model
    )
    assert 0 < seconds_max <= script.RUN_SECONDS_MAX
    assert MODEL.count_max <= script.COUNT_MAX
    assert MODEL.prompt_chars_max <= script.PROMPT_CHARS_MAX


def test_score_without_a_seed_chooses_one_and_says_which() -> None:
    status, answer = scorer().score(body(seed=None, count=1))
    assert status == 200
    assert 0 <= answer["images"][0]["seed"] <= script.SEED_MAX


def test_score_ends_a_run_whose_time_is_used_up() -> None:
    status, answer = scorer(step_s=3.0).score(body(seconds_max=5))
    assert (status, answer["error"]["code"]) == (504, "run_too_long")
    assert answer["seconds"] == "5"


def test_score_never_measures_more_than_was_agreed() -> None:
    def slow(request: Any, check: Callable[[], None]) -> list[Any]:
        clock.step_s = 60.0  # the last step takes longer than all that is left
        raise RuntimeError

    clock = Ticking(0.1)
    status, answer = script.Scorer(slow, "sdxl:1", clock).score(body(seconds_max=5))
    assert (status, answer["seconds"]) == (500, "5.000")


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (script.OutOfMemory(), 507, "out_of_memory"),
        (RuntimeError("secret"), 500, "run_failed"),
    ],
)
def test_score_says_what_went_wrong_and_how_long_it_took(
    raised: Exception, status: int, code: str
) -> None:
    def failing(request: Any, check: Callable[[], None]) -> list[Any]:
        raise raised

    answered, answer = scorer(failing).score(body())
    assert (answered, answer["error"]["code"], answer["seconds"]) == (status, code, "0.250")
    assert "secret" not in json.dumps(answer)


NOT_IN_THE_CONTRACT: list[dict[str, Any]] = [
    {"model": "other"},
    {"prompt": ""},
    {"prompt": "a" * 4_001},
    {"negative_prompt": 3},
    {"width": 1000},
    {"width": 1536, "height": 1536},
    {"width": 1e999},
    {"count": 3},
    {"count": True},
    {"seed": -1},
    {"seed": 2**32},
    {"output_format": "webp"},
    {"seconds_max": 0},
    {"seconds_max": 1_000},
    {"steps": 500},
    {"prompt": None},
]


@pytest.mark.parametrize("changes", NOT_IN_THE_CONTRACT)
def test_score_refuses_what_is_not_in_the_contract(changes: dict[str, Any]) -> None:
    status, answer = scorer().score(body(**changes))
    assert (status, answer["error"]["code"], answer["seconds"]) == (400, "invalid_request", "0")


@pytest.mark.parametrize("raw", ["", "[1]", "nonsense", "[" * 100_000])
def test_score_refuses_what_is_no_object(raw: str) -> None:
    assert scorer().score(raw)[0] == 400


@pytest.mark.parametrize("changes", [{}, {"seed": 2**32 - 1}, {"width": 768}, *NOT_IN_THE_CONTRACT])
def test_score_and_its_simulator_take_the_same_requests(changes: dict[str, Any]) -> None:
    status, _ = scorer().score(body(**changes))
    try:
        simulator._wanted(json.loads(body(**changes)))
    except ScenarioError:
        assert status == 400
    else:
        assert status == 200


def test_score_and_its_simulator_answer_failures_with_the_same_status() -> None:
    assert simulator.STATUS_OF == script.STATUS_OF


def test_model_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.safetensors").write_bytes(b"")
    script.require_safetensors(tmp_path)
    (tmp_path / "unet" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"pytorch_model\.bin"):
        script.require_safetensors(tmp_path)


def test_model_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no safetensors"):
        script.require_safetensors(tmp_path)


def library(monkeypatch: pytest.MonkeyPatch, name: str, **parts: Any) -> logging.Logger:
    """A stand-in for a Hugging Face library: its logger has a level and a stream of its own."""
    own = logging.getLogger(name)
    monkeypatch.setattr(own, "level", logging.WARNING)
    monkeypatch.setattr(own, "propagate", False)
    speaking = SimpleNamespace(set_verbosity_error=lambda: own.setLevel(logging.ERROR))
    monkeypatch.setitem(sys.modules, name, as_module(name, **parts))
    monkeypatch.setitem(sys.modules, f"{name}.utils", as_module(f"{name}.utils", logging=speaking))
    return own


def as_module(name: str, **parts: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(parts)
    return module


class TalkativePipeline:
    """Warns of what it cuts off, as the pinned diffusers does, and while it loads."""

    @classmethod
    def from_pretrained(cls, model_dir: Path, **options: Any) -> "TalkativePipeline":
        for name in ("diffusers.pipelines", "transformers.tokenization"):
            logging.getLogger(name).warning("loading %s", model_dir)
        return cls()

    def to(self, device: str) -> "TalkativePipeline":
        return self

    def set_progress_bar_config(self, *, disable: bool) -> None:
        assert disable

    def __call__(self, *, prompt: str, **options: Any) -> Any:
        for name in ("diffusers.pipelines", "transformers.tokenization"):
            logging.getLogger(name).warning("was truncated: %s", prompt[-20:])
        size = (options["width"], options["height"])
        return SimpleNamespace(images=[Image.new("RGB", size)] * options["num_images_per_prompt"])


class NoGenerator:
    def __init__(self, device: str) -> None: ...

    def manual_seed(self, seed: int) -> int:
        return seed


def test_libraries_write_nothing_of_a_prompt_that_they_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    cuda = SimpleNamespace(OutOfMemoryError=MemoryError)
    torch = as_module("torch", float16=None, Generator=NoGenerator, cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    for own in (
        library(monkeypatch, "diffusers", StableDiffusionXLPipeline=TalkativePipeline),
        library(monkeypatch, "transformers"),
    ):
        monkeypatch.setattr(own, "handlers", [logging.StreamHandler(log)])
    (tmp_path / "model.safetensors").write_bytes(b"")
    status, _ = scorer(script.load(tmp_path)).score(body(prompt="a red barn, " * 90 + "Mrs Smith"))
    assert (status, log.getvalue()) == (200, "")


def test_log_names_what_failed_and_where_but_repeats_no_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(request: Any, check: Callable[[], None]) -> list[Any]:
        raise ValueError(request.prompt)

    assert scorer(failing).score(body(prompt="Mrs Smith"))[0] == 500
    assert "ValueError" in caplog.text and "test_azureml_score.py" in caplog.text
    assert "Smith" not in caplog.text
