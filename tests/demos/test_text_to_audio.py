"""The page: through its HTTP interface, and in a real browser as a visitor would use it."""

import os
import runpy
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.demos.browser import chromium
from tests.paths import ROOT
from tests.toys import make_pipeline
from woosh import audio

gradio = pytest.importorskip("gradio", reason="the demo extra is not installed")
from gradio_client import Client, exceptions  # noqa: E402 - comes with gradio

SCRIPT = ROOT / "demos" / "text_to_audio.py"
REQUEST: dict[str, Any] = {
    "prompt": "a dog",
    "negative": "",
    "seconds": 0.5,
    "steps": 2,
    "guidance": 3.0,
    "seed": 5,
    "variations": 1,
}


def serve(flow_map: bool, max_frames: int) -> Iterator[str]:
    """Serve a toy page on the loopback address and yield its URL."""
    build_demo = runpy.run_path(str(SCRIPT))["build_demo"]
    demo = build_demo(make_pipeline(flow_map, max_frames).sampler, "toy")
    _, url, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url
    demo.close()


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    yield from serve(flow_map=False, max_frames=501)


@pytest.fixture(scope="module")
def client(page: str) -> Client:
    return Client(page, verbose=False)


def ask(client: Client, **changes: Any) -> tuple[Any, ...]:
    return client.predict(*(REQUEST | changes).values(), api_name="/generate")


def sounds(answer: tuple[Any, ...]) -> list[str]:
    """Paths of the visible sounds in an answer, whose first element is the seeds."""
    values = [place["value"] if isinstance(place, dict) else place for place in answer[1::2]]
    return [value for value in values if value]


def test_seed_is_used_shown_and_stored(client: Client) -> None:
    answer = ask(client)
    (path,) = sounds(answer)
    assert answer[0] == "5"
    assert audio.read_metadata(path)["seed"] == 5
    assert audio.read_metadata(path)["prompt"] == "a dog"
    assert audio.read_audio(path).shape == (1, 24_000)
    (again,) = sounds(ask(client))
    assert np.array_equal(audio.read_audio(path), audio.read_audio(again))


def test_variations_have_seeds_of_their_own_and_random_ones_differ(client: Client) -> None:
    answer = ask(client, variations=3)
    assert answer[0] == "5, 6, 7"
    assert [audio.read_metadata(path)["seed"] for path in sounds(answer)] == [5, 6, 7]
    seeds = {ask(client, seed=seed)[0] for seed in (-1, -1, None)}
    assert len(seeds) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "  "}, "say what to hear"),
        ({"prompt": "rain " * 100}, "500 characters are too long: up to 400"),
        ({"negative": "x" * 401}, "401 characters are too long"),
        ({"seconds": 61}, "greater than maximum"),
        ({"seconds": -1}, "less than minimum"),
        ({"steps": 10_000}, "greater than maximum"),
        ({"guidance": 99}, "greater than maximum"),
        ({"variations": 50}, "greater than maximum"),
        ({"seed": 2**60}, "greater than maximum"),
    ],
)
def test_wrong_values_are_answered_by_an_error(
    client: Client, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.AppError, match=message):
        ask(client, **changes)


def test_a_taken_port_is_one_line() -> None:
    """Two pages on one machine are usual; the second must say what to do in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--port", port, "--model", "woosh-tiny-fast"],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("text_to_audio: error: ") and port in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_few_step_models_have_no_negative_prompt() -> None:
    pages = serve(flow_map=True, max_frames=501)
    few_step = Client(next(pages), verbose=False)
    assert audio.read_audio(sounds(ask(few_step))[0]).shape == (1, 24_000)
    with pytest.raises(exceptions.AppError, match="take no negative prompt"):
        ask(few_step, negative="music")
    pages.close()


def test_picture_shows_wave_and_spectrum() -> None:
    picture = runpy.run_path(str(SCRIPT))["picture"]
    moments = np.arange(24_000) / 48_000
    tone = np.sin(2 * np.pi * 12_000 * moments)[None].astype(np.float32)
    image, silent = picture(tone, 48_000), picture(0 * tone, 48_000)
    assert image.shape == silent.shape
    assert image.shape[2] == 3
    assert image.dtype == np.uint8
    assert (image != silent).mean() > 0.05


@pytest.mark.slow
def test_a_visitor_types_a_prompt_and_hears_the_file(page: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.wait import WebDriverWait

        browser.get(page)
        wait = WebDriverWait(browser, 60)
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#prompt textarea"))
        browser.find_element(By.CSS_SELECTOR, "#prompt textarea").send_keys("a dog barking")
        seconds = browser.find_element(By.CSS_SELECTOR, "#seconds input[type=number]")
        browser.execute_script("arguments[0].value = ''", seconds)
        seconds.send_keys("0.5\t")
        browser.find_element(By.ID, "generate").click()
        link = wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#sound-0 a[download]"))[0]
        address = link.get_attribute("href")
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#picture-0 img"))
        seeds = browser.find_element(By.CSS_SELECTOR, "#seeds textarea, #seeds input")
        shown_seed = int(seeds.get_attribute("value"))
        screenshot = Path(os.environ.get("WOOSH_SCREENSHOT", tmp_path / "page.png"))
        browser.save_screenshot(str(screenshot))
    assert address is not None
    assert address.startswith("http://127.0.0.1")
    with urllib.request.urlopen(address) as response:
        (tmp_path / "heard.wav").write_bytes(response.read())
    heard = audio.read_audio(tmp_path / "heard.wav")
    assert heard.shape == (1, 24_000)
    assert np.abs(heard).max() > 0
    assert audio.read_metadata(tmp_path / "heard.wav")["seed"] == shown_seed
    assert audio.read_metadata(tmp_path / "heard.wav")["prompt"] == "a dog barking"
    assert screenshot.stat().st_size > 10_000
