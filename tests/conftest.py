"""What all tests share: no network, a fixed random state, and the data beside the checkout."""

import os
from pathlib import Path

# Before transformers and huggingface_hub are imported: no test may reach the network.
os.environ["HF_HUB_OFFLINE"] = "1"
# Processes of pytest-xdist share the cores: threads of their own would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from tests.paths import SHARED

# The time an example takes says nothing on a busy machine; the same examples in every run.
settings.register_profile("woosh", deadline=None, derandomize=True)
settings.load_profile("woosh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the machine cannot run, even where the marker was asked for."""
    without_accelerator = pytest.mark.skip(reason="no accelerator on this machine")
    for item in items:
        if "gpu" in item.keywords and not torch.accelerator.is_available():
            item.add_marker(without_accelerator)


@pytest.fixture(autouse=True)
def _fixed_random_state() -> None:
    """Toy models are initialised from the global state: start each test from the same one."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference fixtures and data: beside the checkout or WOOSH_SHARED."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is missing (set WOOSH_SHARED)")
    return SHARED
