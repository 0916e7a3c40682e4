"""The page that dubs: through its HTTP interface, and in a real browser with a real upload."""

import json
import os
import runpy
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.demos.browser import chromium
from tests.paths import ROOT
from tests.toys import make_pipeline, make_visual, randomise
from tests.videos import steady_times, write_video
from woosh.video import open_video

gradio = pytest.importorskip("gradio", reason="the demo extra is not installed")
from gradio_client import Client, exceptions, handle_file  # noqa: E402 - comes with gradio

SCRIPT = ROOT / "demos" / "video_to_audio.py"
REQUEST: dict[str, Any] = {
    "prompt": "",
    "negative": "",
    "steps": 2,
    "guidance": 3.0,
    "seed": 5,
    "takes": 1,
    "mix": False,
    "gain": 0,
}


def serve(flow_map: bool) -> Iterator[str]:
    """Serve a toy page on the loopback address and yield its URL."""
    build_demo = runpy.run_path(str(SCRIPT))["build_demo"]
    sampler = make_pipeline(flow_map, max_frames=100, video_channels=8).sampler
    demo = build_demo(sampler, randomise(make_visual(), 4), "toy")
    _, url, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, max_file_size="1mb"
    )
    yield url
    demo.close()


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    yield from serve(flow_map=False)


@pytest.fixture(scope="module")
def client(page: str) -> Client:
    return Client(page, verbose=False)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures, silent, with a tone, and of codecs that browsers play or do not."""
    folder = tmp_path_factory.mktemp("videos")
    times = steady_times(Fraction(25), 2.0)
    tone = np.sin(np.arange(96_000) / 48_000 * 2 * np.pi * 440)[None].astype(np.float32) / 4
    write_video(folder / "silent.mp4", times)
    write_video(folder / "tone.mkv", times, sound=tone)
    write_video(folder / "web.webm", times, codec="libvpx")
    write_video(folder / "old.avi", times, codec="ffv1")
    write_video(folder / "long.mp4", [Fraction(second) for second in range(70)])
    (folder / "words.mp4").write_text("no video at all")
    return folder


def ask(client: Client, video: Path | None, **changes: Any) -> tuple[Any, ...]:
    upload = None if video is None else handle_file(str(video))
    return client.predict(upload, *(REQUEST | changes).values(), api_name="/dub")


def made(answer: tuple[Any, ...]) -> list[Path]:
    """The visible videos of an answer, whose first element is the seeds."""
    values = [place["value"] if isinstance(place, dict) else place for place in answer[1:]]
    return [Path(value) for value in values if value]


def record_of(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
    return json.loads(tags["comment"])


def test_an_upload_comes_back_with_a_sound(client: Client, videos: Path) -> None:
    answer = ask(client, videos / "silent.mp4", prompt=" a  dog ")
    (path,) = made(answer)
    assert answer[0] == "5"
    assert path.suffix == ".mp4"
    assert open_video(path).seconds == pytest.approx(2.0, abs=0.04)
    record = record_of(path)
    assert (record["seed"], record["prompt"], record["model"]) == (5, "a dog", "toy")
    assert record["video"] == "silent.mp4"


def test_takes_have_seeds_of_their_own(client: Client, videos: Path) -> None:
    answer = ask(client, videos / "web.webm", takes=2, seed=-1)
    paths = made(answer)
    assert [path.suffix for path in paths] == [".webm", ".webm"]
    seeds = [record_of(path)["seed"] for path in paths]
    assert answer[0] == f"{seeds[0]}, {seeds[0] + 1}" and seeds[1] == seeds[0] + 1


def test_matroska_comes_back_as_what_browsers_play_and_keeps_its_sound(
    client: Client, videos: Path
) -> None:
    (path,) = made(ask(client, videos / "tone.mkv", mix=True, gain=-60))
    assert path.suffix == ".mp4"
    planar = av.AudioResampler(format="fltp")
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in planar.resample(frame)]
    sound = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[0]
    assert np.argmax(np.abs(np.fft.rfft(sound))) == pytest.approx(440 * len(sound) / 48_000, abs=2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (None, {}, "Choose a video"),
        ("words.mp4", {}, "no video that can be read"),
        ("long.mp4", {}, "takes up to 60 s"),
        ("old.avi", {}, "cannot hold the picture's ffv1"),
        ("silent.mp4", {"mix": True}, "no sound to mix with"),
        ("silent.mp4", {"prompt": "rain " * 500}, "shorter prompt|too long|at most"),
        ("silent.mp4", {"steps": 10_000}, "greater than maximum"),
        ("silent.mp4", {"takes": 50}, "greater than maximum"),
        ("silent.mp4", {"seed": 2**60}, "greater than maximum"),
        ("silent.mp4", {"gain": 99}, "greater than maximum"),
    ],
)
def test_wrong_values_are_answered_by_an_error(
    client: Client, videos: Path, name: str | None, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.AppError, match=message):
        ask(client, None if name is None else videos / name, **changes)


def test_an_upload_above_the_limit_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large.mp4").write_bytes(bytes(2_000_000))
    with pytest.raises(Exception, match=r"(?i)size|large"):
        ask(client, tmp_path / "large.mp4")


def test_few_step_models_have_no_negative_prompt(videos: Path) -> None:
    pages = serve(flow_map=True)
    few_step = Client(next(pages), verbose=False)
    assert made(ask(few_step, videos / "silent.mp4"))
    with pytest.raises(exceptions.AppError, match="take no negative prompt"):
        ask(few_step, videos / "silent.mp4", negative="music")
    pages.close()


@pytest.mark.slow
def test_a_visitor_uploads_a_clip_and_plays_it_with_its_sound(
    page: str, videos: Path, tmp_path: Path
) -> None:
    with chromium(tmp_path / "profile") as browser:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.wait import WebDriverWait

        browser.get(page)
        wait = WebDriverWait(browser, 60)
        # Chromium of Debian plays H.264, but a free codec is sure to be there.
        upload = wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#video input[type=file]"))
        upload[0].send_keys(str(videos / "web.webm"))
        wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#video video"))
        browser.find_element(By.CSS_SELECTOR, "#prompt textarea").send_keys("a dog barking")
        browser.find_element(By.ID, "dub").click()
        player = wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#take-0 video"))[0]
        address = player.get_attribute("src")
        browser.execute_script("arguments[0].muted = true; arguments[0].play()", player)
        wait.until(lambda b: b.execute_script("return arguments[0].currentTime > 0.5", player))
        decoded = browser.execute_script("return arguments[0].webkitAudioDecodedByteCount", player)
        seeds = browser.find_element(By.CSS_SELECTOR, "#seeds textarea, #seeds input")
        shown_seed = int(seeds.get_attribute("value"))
        screenshot = Path(os.environ.get("WOOSH_SCREENSHOT", tmp_path / "page.png"))
        browser.save_screenshot(str(screenshot))
    assert decoded > 0
    assert address is not None and address.startswith("http://127.0.0.1")
    with urllib.request.urlopen(address) as response:
        (tmp_path / "heard.webm").write_bytes(response.read())
    record = record_of(tmp_path / "heard.webm")
    assert record["seed"] == shown_seed
    assert record["prompt"] == "a dog barking"
    assert screenshot.stat().st_size > 10_000
