"""The page of `demos/studio.py`. Gradio is loaded here alone, and told first to report to nobody."""

import os
import sys

from woosh.command_line import missing_extra

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

try:
    import gradio as gr
    from gradio.themes import Base, Default
except ImportError as error:
    sys.exit(f"studio: error: {missing_extra('the page needs gradio', 'demo')} ({error})")

__all__ = ["Base", "Default", "gr"]
