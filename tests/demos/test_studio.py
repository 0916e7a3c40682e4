"""The studio's page: through its HTTP interface, and in a real browser as a visitor would use it."""

import json
import os
import runpy
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.demos.browser import chromium
from tests.paths import ROOT
from tests.toys import make_pipeline, make_visual, randomise, save_pipeline
from tests.videos import steady_times, write_video
from woosh import audio
from woosh.catalogue import describe_model
from woosh.studio.shelf import Shelf
from woosh.studio.workshop import OPERATIONS, Model, Workshop
from woosh.video import open_video

gradio = pytest.importorskip("gradio", reason="the demo extra is not installed")
from gradio_client import Client, exceptions, handle_file  # noqa: E402 - comes with gradio

from studio_page.handlers import Studio  # noqa: E402 - needs gradio
from studio_page.look import STYLE, theme  # noqa: E402 - needs gradio
from studio_page.tabs import build_page  # noqa: E402 - needs gradio

SCRIPT = ROOT / "demos" / "studio.py"
STATUS = "return document.querySelector('#status textarea').value"
DRAWN = "return Number(document.querySelector('#wave .picture').dataset.seconds) > 0"
# Fields and buttons of the page that a reader of screens could not name.
UNNAMED = """return [...document.querySelectorAll('button, input, textarea, canvas')]
  .filter((item) => item.checkVisibility() && !item.closest('label') && !item.textContent.trim()
    && !item.getAttribute('aria-label') && !item.labels?.length)
  .map((item) => item.outerHTML.slice(0, 200))"""
# Drag over the picture from one share of its width to another.
SELECT = """const picture = document.querySelector('#wave .picture');
const box = picture.getBoundingClientRect();
const at = (name, share) => picture.dispatchEvent(new PointerEvent(name, {pointerId: 1, bubbles: true,
  clientX: box.left + share * box.width, clientY: box.top + 20}));
picture.setPointerCapture = () => {};
at('pointerdown', arguments[0]); at('pointermove', arguments[1]); at('pointerup', arguments[1]);"""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
WORDS: dict[str, Any] = {
    "prompt": "a dog",
    "seconds": 0.5,
    "count": 1,
    "loop": False,
    "negative": "",
    "steps": 2,
    "guidance": 3.0,
    "seed": 5,
}
PICTURES: dict[str, Any] = {
    "prompt": "",
    "count": 1,
    "negative": "",
    "steps": 2,
    "guidance": 3.0,
    "seed": 5,
    "mix": False,
    "gain": 0,
}


def serve(folder: Path, models: Path, flow_map: bool = False) -> Iterator[str]:
    """Serve a toy page on the loopback address and yield its URL."""
    info = describe_model(save_pipeline(models / "toy", flow_map))
    words = Model(make_pipeline(flow_map, max_frames=501).sampler, info)
    seeing = make_pipeline(flow_map, max_frames=100, video_channels=8).sampler
    workshop = Workshop(words, Model(seeing, info), Shelf(folder, 3600))
    page = build_page(Studio(workshop, randomise(make_visual(), 4)))
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        prevent_thread_lock=True,
        quiet=True,
        max_file_size="1mb",
        allowed_paths=[str(folder)],
        css=STYLE,
        theme=theme(),
    )
    yield url
    page.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("studio"), tmp_path_factory.mktemp("models"))


@pytest.fixture
def client(page: str) -> Client:
    """A visitor: takes are of a session, and each test has its own."""
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


def ask(client: Client, **changes: Any) -> tuple[Any, ...]:
    return client.predict(*(WORDS | changes).values(), api_name="/generate")


def dub(client: Client, video: Path | None, **changes: Any) -> tuple[Any, ...]:
    upload = None if video is None else handle_file(str(video))
    return client.predict(upload, *(PICTURES | changes).values(), api_name="/dub")


def listed(answer: tuple[Any, ...]) -> list[str]:
    return [label for label, _ in answer[0]["choices"]]


def fetched(answer: tuple[Any, ...], folder: Path) -> list[Path]:
    """The takes of a visitor, out of the zip that an answer offers."""
    with zipfile.ZipFile(answer[3]["value"]) as archive:
        archive.extractall(folder)
        return [folder / name for name in archive.namelist()]


def record_of_film(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
    return json.loads(tags["comment"])


def test_takes_are_made_listed_and_fetched(client: Client, tmp_path: Path) -> None:
    """Seeds follow each other, files say what they are, and the same seed gives the same sound."""
    first = ask(client)
    answer = ask(client, count=2)
    assert answer[4] == "2 of 2 made."
    assert [label.split(",")[1] for label in listed(answer)] == [" seed 5", " seed 5", " seed 6"]
    assert (first[0]["value"], answer[0]["value"]) == (0, 1)  # the first of the new ones
    paths = fetched(answer, tmp_path)
    assert [path.name for path in paths] == [
        "01-a-dog-5.wav",
        "02-a-dog-5.wav",
        "03-a-dog-6.wav",
    ]
    records = [audio.read_metadata(path) for path in paths]
    assert [record["seed"] for record in records] == [5, 5, 6]
    assert {record["prompt"] for record in records} == {"a dog"}
    sounds = [audio.read_audio(path) for path in paths]
    assert np.array_equal(sounds[0], sounds[1]) and not np.array_equal(sounds[0], sounds[2])


def test_another_visitor_sees_none_of_them(client: Client, page: str) -> None:
    ask(client)
    stranger = Client(page, verbose=False)
    assert len(listed(ask(stranger))) == 1
    with pytest.raises(exceptions.AppError, match="not in the list of choices"):
        stranger.predict(1, api_name="/select")


def test_prompt_and_seed_come_back(client: Client) -> None:
    ask(client, seed=7, prompt=" rain  on tin ")
    prompt, seed, status = client.predict(0, api_name="/recall")
    assert (prompt, seed) == ("rain on tin", 7) and "seed 7" in status


def test_random_seeds_differ(client: Client) -> None:
    for seed in (-1, -1, None):
        answer = ask(client, seed=seed)
    assert len({label.split(",")[1] for label in listed(answer)}) == 3


@pytest.mark.parametrize("operation", ["edit", "vary", "extend", "loop"])
def test_a_take_is_changed(client: Client, tmp_path: Path, operation: str) -> None:
    """Each button gives a new take beside the old one, and its file says what was done."""
    ask(client, seconds=2.0)
    wave = {"from": 0.5, "to": 1.0}
    arguments = [0, wave, "a cat", 1.0, 0.7, 1, 3.0]
    answer = client.predict(*arguments, api_name=f"/{operation}")
    assert len(listed(answer)) == 2 and OPERATIONS[operation] in listed(answer)[1]
    path = fetched(answer, tmp_path)[1]
    record = audio.read_metadata(path)
    heard = "a dog" if operation == "loop" else "a cat"  # of a loop nothing is made anew
    assert (record["prompt"], record["operations"], record["model"]) == (heard, operation, "toy")


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
        ({"count": 50}, "greater than maximum"),
        ({"seed": 2**60}, "greater than maximum"),
    ],
)
def test_wrong_values_are_answered_by_an_error(
    client: Client, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.AppError, match=message):
        ask(client, **changes)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        ({"from": "0; drop", "to": 1}, "number of seconds"),
        ({"from": 9.0, "to": 99.0}, "no region"),
        ({"from": 1.0, "to": 0.5}, "no region"),
        (None, "no part is selected"),
    ],
)
def test_wrong_parts_are_answered_by_an_error(
    client: Client, wave: dict[str, Any] | None, message: str
) -> None:
    """What a browser sends is not trusted."""
    ask(client, seconds=1.0)
    with pytest.raises(exceptions.AppError, match=message):
        client.predict(0, wave, "", 1.0, 0.7, 1, 3.0, api_name="/edit")


def test_a_sound_of_ones_own_is_opened(client: Client, tmp_path: Path) -> None:
    tone = np.sin(np.arange(44_100) / 44_100 * 2 * np.pi * 440)[None].astype(np.float32) / 4
    audio.write_audio(tmp_path / "My tone.flac", tone, 44_100)
    answer = client.predict(handle_file(str(tmp_path / "My tone.flac")), api_name="/bring")
    assert listed(answer) == ["1. my-tone, your sound, 1.00 s"]
    with pytest.raises(exceptions.AppError, match="has no prompt and no seed"):
        client.predict(0, api_name="/recall")
    (tmp_path / "words.wav").write_text("no sound at all")
    with pytest.raises(exceptions.AppError, match="as audio"):
        client.predict(handle_file(str(tmp_path / "words.wav")), api_name="/bring")


def test_work_ends_when_stop_is_pressed(client: Client) -> None:
    """The takes that are done stay, and the next request is not stopped by the old wish."""
    job = client.submit(*(WORDS | {"count": 8, "steps": 100}).values(), api_name="/generate")
    while len(job.outputs()) < 1:
        assert not job.done()
        time.sleep(0.05)
    client.predict(api_name="/stop")
    assert 1 <= len(listed(job.result())) < 8
    assert job.result()[4].startswith("Stopped: ")
    assert ask(client)[4] == "1 of 1 made."


def test_a_taken_port_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two pages on one machine are usual; the second must say what to do in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [str(SCRIPT), "--port", port, "--model", "woosh-tiny-fast"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ending:
            runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ending.value.code == 2
    told = capfd.readouterr().err
    assert told.startswith("studio: error: ") and port in told
    assert len(told.splitlines()) == 1


def test_few_step_models_have_no_negative_prompt(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "shelf").mkdir()
    pages = serve(tmp_path / "shelf", tmp_path, flow_map=True)
    few_step = Client(next(pages), verbose=False)
    assert len(listed(ask(few_step))) == 1
    with pytest.raises(exceptions.AppError, match="take no negative prompt"):
        ask(few_step, negative="music")
    with pytest.raises(exceptions.AppError, match="take no negative prompt"):
        dub(few_step, videos / "silent.mp4", negative="music")
    pages.close()


def test_an_upload_comes_back_with_a_sound(client: Client, videos: Path) -> None:
    answer = dub(client, videos / "silent.mp4", prompt=" a  dog ")
    path = Path(answer[1]["video"] if isinstance(answer[1], dict) else answer[1])
    assert path.suffix == ".mp4"
    assert open_video(path).seconds == pytest.approx(2.0, abs=0.04)
    record = record_of_film(path)
    assert (record["seed"], record["prompt"], record["model"]) == (5, "a dog", "toy")
    assert record["video"] == "silent.mp4"
    answer = dub(client, videos / "web.webm", count=2, seed=8)
    assert [label.split(", ")[1] for label in listed(answer)] == ["seed 5", "seed 8", "seed 9"]
    second = client.predict(2, api_name="/select_video")
    assert (
        record_of_film(Path(second["video"] if isinstance(second, dict) else second))["seed"] == 9
    )


def test_matroska_comes_back_as_what_browsers_play_and_keeps_its_sound(
    client: Client, videos: Path
) -> None:
    answer = dub(client, videos / "tone.mkv", mix=True, gain=-60)
    path = Path(answer[1]["video"] if isinstance(answer[1], dict) else answer[1])
    assert path.suffix == ".mp4"
    planar = av.AudioResampler(format="fltp")
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in planar.resample(frame)]
    sound = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[0]
    assert np.argmax(np.abs(np.fft.rfft(sound))) == pytest.approx(440 * len(sound) / 48_000, abs=2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (None, {}, "choose a video"),
        ("words.mp4", {}, "no video that can be read"),
        ("long.mp4", {}, "takes up to 60 s"),
        ("old.avi", {}, "cannot hold the picture's ffv1"),
        ("silent.mp4", {"mix": True}, "no sound to mix with"),
        ("silent.mp4", {"prompt": "rain " * 500}, "too long"),
        ("silent.mp4", {"steps": 10_000}, "greater than maximum"),
        ("silent.mp4", {"count": 50}, "greater than maximum"),
        ("silent.mp4", {"gain": 99}, "greater than maximum"),
    ],
)
def test_wrong_videos_are_answered_by_an_error(
    client: Client, videos: Path, name: str | None, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.AppError, match=message):
        dub(client, None if name is None else videos / name, **changes)


def test_an_upload_above_the_limit_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large.mp4").write_bytes(bytes(2_000_000))
    with pytest.raises(Exception, match=r"(?i)size|large"):
        dub(client, tmp_path / "large.mp4")


@pytest.mark.slow
def test_a_visitor_makes_hears_and_changes_a_take(page: str, tmp_path: Path) -> None:
    """At a desktop's and a phone's width, in light and dark: every text can be read, the result is in view."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    with chromium(tmp_path / "profile") as browser:

        def find(selector: str) -> Any:
            return browser.find_element(By.CSS_SELECTOR, selector)

        wait = WebDriverWait(browser, 60)
        for width, height, theme in ((1400, 1000, "light"), (390, 844, "dark")):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(f"{page}?__theme={theme}")
            wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "#prompt textarea"))
            find("#prompt textarea").send_keys("a dog barking")
            browser.execute_script("arguments[0].click()", find("#generate"))
            wait.until(lambda b: b.execute_script(STATUS) == "2 of 2 made.")
            wait.until(lambda b: b.execute_script(DRAWN))
            browser.execute_script("document.querySelector('#wave .loop').click()")
            browser.execute_script("document.querySelector('#wave .play').click()")
            time.sleep(1)
            screenshot = Path(os.environ.get("WOOSH_SCREENSHOTS", tmp_path)) / f"{width}.png"
            browser.save_screenshot(str(screenshot))
            top, bottom = browser.execute_script(
                "const box = document.querySelector('#wave').getBoundingClientRect();"
                "return [box.top, window.innerHeight - box.bottom]"
            )
            assert top >= 0 and bottom >= 0  # in view
            for label in browser.find_elements(By.CSS_SELECTOR, "button.label-wrap"):
                browser.execute_script("arguments[0].click()", label)
            time.sleep(1)
            texts, faint = browser.execute_script(CONTRAST)
            assert texts > 30 and faint == []
            unnamed = browser.execute_script(UNNAMED)
            assert unnamed == []
            # A part of the picture is selected with the mouse and replaced.
            browser.execute_script(SELECT, 0.2, 0.4)
            browser.execute_script("arguments[0].click()", find("#edit"))
            wait.until(lambda b: b.execute_script(STATUS) == "1 of 1 made.")
            labels = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#choice label")]
            assert len(labels) == 3 and "part replaced" in labels[2]
            assert screenshot.stat().st_size > 10_000
