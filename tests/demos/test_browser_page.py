"""The page that generates in the browser: its noise, its tokens and its sounds are those of the library."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.demos.browser import chromium
from tests.official import assert_parity
from tests.paths import ROOT
from woosh import cli
from woosh.catalogue import find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.text_encoder import tokenize

PAGE = ROOT / "demos" / "browser"
PROMPT, SECONDS, SEED = "A Dog_barking, twice!  ", 0.5, 7
MAKE = """
const [prompt, seconds, seed, done] = arguments;
(async () => {
  const { Woosh } = await import("./woosh.js");
  const woosh = await Woosh.load(new URL("model/", location.href));
  const { audio, latents } = await woosh.generate(prompt, { seconds, seed });
  return { ids: woosh.tokens(prompt).ids, audio: [...audio], latents: [...latents], times: woosh.times };
})().then(done, (error) => done({ error: String(error) }));
"""


def test_packages_of_the_page_are_pinned() -> None:
    """Two builds hold the same files: every version is exact, and the lock has them all."""
    text = (PAGE / "package.json").read_text(encoding="utf-8")
    lock = (PAGE / "package-lock.json").read_text(encoding="utf-8")
    versions = dict(re.findall(r'"([@\w/-]+)": "(\d+\.\d+\.\d+)"', text))
    assert set(versions) == {"onnxruntime-web", "@huggingface/tokenizers"}
    for name, version in versions.items():
        assert f'"node_modules/{name}": {{\n      "version": "{version}"' in lock
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)


@pytest.mark.parametrize(("seed", "count"), [(0, 16), (7, 40), (2**32 + 3, 4801), (12345, 100_000)])
def test_noise_of_the_page_is_torchs(seed: int, count: int) -> None:
    """A seed gives the same sound in both: also where the last group of sixteen is not full."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    code = (
        f'import {{ Noise }} from "{(PAGE / "noise.js").as_uri()}";'
        f"const noise = new Noise({seed});"
        f"const drawn = [noise.normal({count}), noise.normal(20)];"
        "for (const values of drawn) process.stdout.write(new Uint8Array(values.buffer));"
    )
    made = subprocess.run(
        [node, "--input-type=module", "-e", code], capture_output=True, check=True
    ).stdout
    found = torch.from_numpy(np.frombuffer(made, np.float32).copy())
    generator = torch.Generator().manual_seed(seed)
    expected = torch.cat([torch.randn(n, generator=generator) for n in (count, 20)])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with woosh-tiny-fast, as its readers build it."""
    if not (PAGE / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("the page's packages are not installed: run `npm ci` in demos/browser")
    folder = tmp_path_factory.mktemp("page")
    for path in PAGE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    (folder / "node_modules").symlink_to(PAGE / "node_modules")
    subprocess.run(["node", "build.mjs"], cwd=folder, check=True)
    assert cli.main(["export", "woosh-tiny-fast", str(folder / "dist" / "model")]) == 0
    return folder / "dist"


@pytest.fixture
def served(built: Path) -> Iterator[str]:
    """The address of a host of static files."""
    handler = functools.partial(Silent, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Silent(http.server.SimpleHTTPRequestHandler):
    """Files without a word of who asked for them."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_the_browser_makes_the_sound_of_the_library(
    served: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Tokens alike, latents within 1e-3 of the largest, the sound's spectrum within a decibel where it is heard."""
    sampler = load_sampler(find_model("woosh-tiny-fast"))
    request = Request(PROMPT, seconds=SECONDS, seed=SEED)
    latents = sampler.latents(request)
    sound = sampler(request)[0, 0]
    ids, _ = tokenize(sampler.tokenizer, [PROMPT], sampler.transformer.config.text_tokens)
    with chromium(tmp_path / "profile") as browser:
        browser.set_script_timeout(300)
        browser.get(served)
        made = browser.execute_async_script(MAKE, PROMPT, SECONDS, SEED)
        assert "error" not in made, made
        use_the_page(browser)
        for entry in browser.get_log("browser"):
            assert entry["level"] not in ("SEVERE",), entry
    assert made["ids"] == ids[0].tolist()
    assert_parity(torch.tensor(made["latents"]).reshape(latents.shape), latents, 1e-3)
    found = torch.tensor(made["audio"])
    assert found.shape == sound.shape
    levels = [decibels(audio) for audio in (found, sound)]
    heard = levels[1] > levels[1].max() - 40
    assert (levels[0] - levels[1])[heard].abs().mean() < 1
    record_property("seconds per second of sound", sum(made["times"].values()) / 1e3 / SECONDS)


def decibels(audio: torch.Tensor) -> torch.Tensor:
    """Of the magnitudes of a spectrum."""
    spectrum = torch.stft(audio, 960, 480, window=torch.hann_window(960), return_complex=True)
    return 20 * spectrum.abs().clamp_min(1e-6).log10()


def use_the_page(browser: Any) -> None:
    """Ask for half a second as its reader would, and hear of the sound."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    button = browser.find_element(By.TAG_NAME, "button")
    WebDriverWait(browser, 300).until(lambda _: button.is_enabled())
    seconds = browser.find_element(By.NAME, "seconds")
    seconds.clear()
    seconds.send_keys("0.5")
    button.click()
    player = browser.find_element(By.TAG_NAME, "audio")
    WebDriverWait(browser, 300).until(lambda _: player.is_displayed())
    assert "for each second of sound" in browser.find_element(By.ID, "state").text
    length = "return document.querySelector('audio').duration"
    WebDriverWait(browser, 60).until(lambda _: browser.execute_script(length) == 0.5)
