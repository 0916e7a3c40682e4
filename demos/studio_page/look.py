"""Fonts, colours and what else the page looks like."""

from __future__ import annotations

from studio_page import Base, Default

STYLE = """
footer { display: none !important; }
.dark button[role="tab"][aria-selected="true"] { color: var(--primary-300); }
#change .row { align-items: center; }
.status textarea { border-color: transparent; } /* nothing is written there */
"""


def theme() -> Base:
    """The system's fonts (gradio's own theme fetches some from the network) and colours of enough contrast."""
    system = Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return system.set(
        color_accent="*primary_700",
        # Edges of what is ticked and written into have a contrast of 3 or more.
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        checkbox_border_color_selected_dark="*primary_300",
        input_border_color="*neutral_500",
        input_border_color_dark="*neutral_500",
        input_border_color_focus="*primary_700",
        input_border_color_focus_dark="*primary_300",
        body_text_color_subdued="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )
