"""The labels of AudioSet that count as heard for each family of sounds made by rule.

The same rules as in `recognition_prompts`: general labels never count, a label counts if who names it has heard the
family. Where a prompt asks for the same sound, its labels are taken.
"""

from __future__ import annotations

from woosh.evaluation.recognition_prompts import PROMPTS

_OF_PROMPT = {prompt.prompt: prompt.labels for prompt in PROMPTS}

# Families with a prompt of their own kind.
_AS_PROMPT = {
    "knock": "knocking on a wooden door",
    "door slam": "a door slammed shut",
    "glass shatter": "a glass breaking",
    "coin": "coins dropped on a table",
    "gunshot": "a gunshot",
    "explosion": "an explosion",
    "footsteps": "footsteps on gravel",
    "clock": "a clock ticking",
    "typing": "typing on a keyboard",
    "applause": "a crowd applauding",
    "creak": "a wooden door creaking",
    "whoosh": "a whoosh",
    "rain": "rain falling",
    "wind": "a strong wind howling",
    "waves": "sea waves on a beach",
    "fire": "a crackling fire",
    "thunder": "a clap of thunder",
    "stream": "a stream flowing",
    "drips": "water dripping",
    "splash": "a splash in water",
    "helicopter": "a helicopter flying",
    "chainsaw": "a chainsaw running",
    "siren": "a police siren",
    "alarm": "a fire alarm",
    "phone": "a telephone ringing",
    "horn": "a car horn",
    "dog": "a dog barking",
    "rooster": "a rooster crowing",
    "baby": "a baby crying",
    "sneeze": "a person sneezing",
    "cough": "a person coughing",
    "cat": "a cat meowing",
    "bird": "birds singing",
    "owl": "an owl hooting",
    "frog": "a frog croaking",
    "crickets": "crickets at night",
    "swarm": "a bee buzzing around",
    "heartbeat": "a heartbeat",
    "engine": "a car engine idling",
    "sheep": "a sheep bleating",
    "crow": "a crow cawing",
    "seagull": "a seagull calling",
    "hen": "hens clucking",
    "wolf": "a wolf howling",
    "gong": "a gong",
    "steam whistle": "a steam train whistle",
    "machine gun": "a machine gun firing",
    "cow": "a cow mooing",
    "duck": "a duck quacking",
    "snore": "a person snoring",
    "pig": "a pig grunting",
    "motorcycle": "a motorcycle",
    "jet": "a jet flying over",
    "drill": "an electric drill",
    "air hiss": "hiss of compressed air",
    "camera": "a camera shutter",
    "doorbell": "a doorbell",
    "bicycle bell": "a bicycle bell",
    "waterfall": "a waterfall",
    "tap": "water running from a tap",
    "burp": "a loud burp",
    "purr": "a cat purring",
    "pigeon": "a pigeon cooing",
    "trot": "a horse trotting on a road",
    "laugh": "a man laughing",
    "spring": "a comic spring",
    "airplane": "a small airplane engine",
    "saw": "a saw cutting wood",
    "hammer": "a hammer hitting a nail",
    "ratchet": "a ratchet",
    "frying": "bacon frying in a pan",
    "pouring": "pouring a drink into a glass",
    "boiling": "water boiling in a pot",
    "toilet flush": "a toilet flushing",
    "zipper": "a zipper",
    "tearing": "tearing paper",
    "arrow": "an arrow hitting a target",
    "metal plate": "a hit on a metal plate",
}

FAMILY_LABELS: dict[str, tuple[str, ...]] = {
    **{family: _OF_PROMPT[prompt] for family, prompt in _AS_PROMPT.items()},
    # Hits on wood, metal, glass, plastic and more: any hit counts.
    "impact": (
        *("Thump, thud", "Thunk", "Bang", "Clang", "Tap", "Knock", "Slap, smack", "Whack, thwack"),
        *("Smash, crash", "Chink, clink", "Clatter", "Ding", "Wood block", "Hammer"),
    ),
    "ball": ("Basketball bounce", "Bouncing", "Thump, thud", "Thunk"),
    # Church bells, hand bells and doorbells.
    "bell": (*_OF_PROMPT["church bells ringing"], "Bicycle bell", "Doorbell", "Ding", "Ding-dong"),
    "scissors": ("Scissors",),
    "paper": (*_OF_PROMPT["crumpling paper"], "Tearing"),
    "bubbles": ("Gurgling", "Boiling", "Liquid", "Stream", "Trickle, dribble"),
    "beeps": ("Beep, bleep", "Ping", "Busy signal", "Dial tone", "Telephone dialing, DTMF"),
    "laser": ("Zing", "Whip", "Sonar", "Chirp tone", "Pulse"),
    "zap": ("Zing", "Buzz", "Hum", "Static", "Crackle"),
    "hum": ("Hum", "Mains hum", "Buzz"),
    "static": ("Static", "White noise", "Pink noise", "Hiss", "Crackle", "Radio"),
    # Vacuum cleaners, hair dryers, fans.
    "appliance": (
        *("Vacuum cleaner", "Hair dryer", "Mechanical fan", "Air conditioning", "Blender"),
        *("Electric shaver, electric razor", "Sewing machine", "Hum"),
    ),
    "arcade": ("Beep, bleep", "Chime", "Ding", "Ping", "Synthesizer", "Jingle, tinkle"),
}
