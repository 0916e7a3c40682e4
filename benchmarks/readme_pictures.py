"""The two pictures of README.md: a generated sound, and the page of `demos/studio.py` after a request.

    python benchmarks/readme_pictures.py [--model NAME|DIR] [--prompt WORDS] [--seconds S] [--seed N] [--out DIR]

Writes `sound.png` and `page.png`. Needs the `dev` extra, and Chromium with its driver.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from woosh.command_line import missing_extra

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image
except ImportError as error:
    sys.exit(
        f"readme_pictures: error: {missing_extra('pictures need matplotlib', 'dev')} ({error})"
    )

from woosh import WooshPipeline
from woosh.audio.spectra import hertz_to_mel, magnitudes, mel_filters
from woosh.catalogue import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
BANDS = 128
RANGE = 80.0  # dB below the loudest point that the spectrogram shows
TICKS = (100, 500, 1000, 2000, 5000, 10_000, 20_000)  # Hz
WIDTH, HEIGHT = 1280, 600  # of the browser's window at first, in points
PATIENCE = 120.0  # seconds to wait for the page, and for its answer


def draw_sound(sound: Tensor, sample_rate: int, title: str) -> Image.Image:
    """Draw (S,) samples as a waveform above a mel spectrogram in dB."""
    figure = Figure(figsize=(10, 4.4), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    wave_axes, spectrum_axes = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    seconds = sound.shape[0] / sample_rate
    moments = torch.arange(sound.shape[0]) / sample_rate
    wave_axes.plot(moments, sound, linewidth=0.4, color="#3b2a6b")
    wave_axes.set(title=title, ylabel="amplitude", ylim=(-1, 1), xlim=(0, seconds))
    spectrum = mel_filters(sample_rate, 2048, BANDS) @ magnitudes(sound, 2048, 512)
    decibels = 20 * (spectrum / spectrum.max()).clamp(min=1e-6).log10()
    highest = float(hertz_to_mel(torch.tensor(sample_rate / 2)))
    image = spectrum_axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, highest),
        vmin=-RANGE,
        vmax=0,
        cmap="magma",
        interpolation="nearest",
    )
    heights = hertz_to_mel(torch.tensor(TICKS, dtype=torch.float32)).tolist()
    spectrum_axes.set_yticks(heights, [f"{tick / 1000:g}" for tick in TICKS])
    spectrum_axes.set(xlabel="seconds", ylabel="frequency, kHz")
    figure.colorbar(image, ax=spectrum_axes, label="dB", pad=0.01)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def save(picture: Image.Image, path: Path) -> None:
    """Write a small PNG: a palette of 256 colours is enough for a plot and for a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB")


@contextlib.contextmanager
def served_page(model: str) -> Iterator[str]:
    """Start the page as a user does, and give its address once it answers.

    Raises:
        RuntimeError: the page stopped or did not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = ROOT / "demos" / "studio.py"
    server = subprocess.Popen([sys.executable, script, "--model", model, "--port", str(port)])
    try:
        yield wait_for_page(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        server.wait()


def wait_for_page(address: str, server: subprocess.Popen[bytes]) -> str:
    """Return the address as soon as it answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"the page stopped with exit status {server.returncode}")
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address):
            return address
        time.sleep(0.2)
    raise RuntimeError(f"{address} did not answer within {PATIENCE:g} s")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium with a new profile.

    Raises:
        FileNotFoundError: Chromium or its driver is not installed.
    """
    from selenium import webdriver

    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        raise FileNotFoundError("install chromium and chromedriver (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The sandbox does not start for root, as in a container; the only page shown is our own.
        for flag in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars"):
            options.add_argument(f"--{flag}")
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
        service = webdriver.ChromeService(executable_path=programs[1])
        window = webdriver.Chrome(options=options, service=service)
        try:
            yield window
        finally:
            window.quit()


def photograph_page(address: str, prompt: str, seconds: float, seed: int) -> Image.Image:
    """Fill in the page, generate, and take a picture of the whole page."""
    from selenium.webdriver.support.wait import WebDriverWait

    with browser() as window:
        window.get(address)
        wait = WebDriverWait(window, PATIENCE)
        more = wait.until(lambda page: page.find_elements("css selector", "button.label-wrap"))[0]
        more.click()
        values = {"prompt textarea": prompt, "seconds input[type=number]": seconds}
        for place, value in (values | {"seed input": seed}).items():
            selector = f"#{place}"
            field = wait.until(lambda page, at=selector: page.find_elements("css selector", at))[0]
            field.clear()
            field.send_keys(f"{value}\t")
        window.find_element("id", "generate").click()
        drawn = "return document.querySelector('#status textarea').value.startsWith('2 of 2')"
        wait.until(lambda page: page.execute_script(drawn))
        # The page draws the picture once it has read the file.
        time.sleep(2)
        frame = window.execute_script("return window.outerHeight - window.innerHeight")
        height = window.execute_script("return document.documentElement.scrollHeight")
        window.set_window_size(WIDTH, height + frame)
        time.sleep(1)
        return Image.open(io.BytesIO(window.get_screenshot_as_png())).convert("RGB")


def main(argv: Sequence[str] | None = None) -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--prompt", default="a dog barking")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    asked = parser.parse_args(argv)
    pipeline = WooshPipeline.from_pretrained(asked.model, dtype=torch.float32)
    generator = torch.Generator().manual_seed(asked.seed)
    sound = pipeline(asked.prompt, seconds=asked.seconds, generator=generator).audios[0]
    title = f"\N{LEFT DOUBLE QUOTATION MARK}{asked.prompt}\N{RIGHT DOUBLE QUOTATION MARK}"
    drawing = draw_sound(torch.as_tensor(sound[0]), pipeline.sample_rate, title)
    save(drawing, asked.out / "sound.png")
    with served_page(asked.model) as address:
        page = photograph_page(address, asked.prompt, asked.seconds, asked.seed)
    save(page, asked.out / "page.png")


if __name__ == "__main__":
    main()
