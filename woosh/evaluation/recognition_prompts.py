"""Prompts of many kinds, each with the labels of AudioSet that count as heard.

General labels (animal, vehicle, tools, sound effect, inside, speech, music, silence ...) never count. A label counts if a
listener who names it has heard the prompt, also where it names the source in other words or the sound without its source;
`why` says so where that is not plain.
"""

from __future__ import annotations

from typing import NamedTuple


class RecognitionPrompt(NamedTuple):
    """A prompt and what counts as heard."""

    prompt: str
    category: str  # of the Universal Category System
    word: str  # that captions of recordings of the same sound contain, within the category
    labels: tuple[str, ...]  # display names of AudioSet
    why: str = ""


_DOG = ("Dog", "Bark", "Yip", "Bow-wow")
_CAT = ("Cat", "Meow", "Caterwaul")
_BIRD = ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet")
_ROOSTER = ("Fowl", "Chicken, rooster", "Crowing, cock-a-doodle-doo", "Cluck")
_RAIN = ("Rain", "Raindrop", "Rain on surface")
_SEA = ("Ocean", "Waves, surf")
_FIRE = ("Fire", "Crackle")
_CLOCK = ("Clock", "Tick", "Tick-tock")
_SIREN = (
    "Siren",
    "Police car (siren)",
    "Ambulance (siren)",
    "Fire engine, fire truck (siren)",
    "Emergency vehicle",
    "Civil defense siren",
)
_HORN = ("Vehicle horn, car horn, honking", "Toot", "Air horn, truck horn")
_STEPS = ("Walk, footsteps", "Run")
_GUN = ("Gunshot, gunfire", "Machine gun", "Fusillade", "Cap gun", "Artillery fire")
_BELL = ("Bell", "Church bell", "Change ringing (campanology)", "Chime", "Tubular bells")
_COIN = ("Coin (dropping)",)
_GLASS = ("Glass", "Chink, clink", "Shatter", "Breaking", "Smash, crash")
_ENGINE = (
    "Engine",
    "Medium engine (mid frequency)",
    "Heavy engine (low frequency)",
    "Light engine (high frequency)",
    "Idling",
    "Accelerating, revving, vroom",
    "Engine knocking",
)
_TRAIN = ("Train", "Rail transport", "Railroad car, train wagon", "Clickety-clack")
_ALARM = (
    "Alarm",
    "Alarm clock",
    "Buzzer",
    "Smoke detector, smoke alarm",
    "Fire alarm",
    "Beep, bleep",
)
_FLOW = ("Stream", "Gurgling", "Trickle, dribble", "Water")
_DOOR = ("Door", "Slam", "Cupboard open or close", "Sliding door")
_TYPING = ("Typing", "Computer keyboard", "Typewriter")
_INSECT = ("Insect", "Cricket", "Mosquito", "Fly, housefly", "Buzz", "Bee, wasp, etc.")
_WATER = "water is the sound itself here, not a surrounding"

PROMPTS = (
    RecognitionPrompt("a dog barking", "ANMLDog", "dog", _DOG),
    RecognitionPrompt("a small dog yapping", "ANMLDog", "yap", _DOG),
    RecognitionPrompt("a dog growling", "ANMLDog", "growl", (*_DOG, "Growling")),
    RecognitionPrompt("a cat meowing", "ANMLCat", "meow", _CAT),
    RecognitionPrompt("a cat purring", "ANMLCat", "purr", ("Cat", "Purr")),
    RecognitionPrompt("a cow mooing", "ANMLFarm", "cow", ("Cattle, bovinae", "Moo")),
    RecognitionPrompt("a sheep bleating", "ANMLFarm", "sheep", ("Sheep", "Bleat", "Goat")),
    RecognitionPrompt("a pig grunting", "ANMLFarm", "pig", ("Pig", "Oink")),
    RecognitionPrompt("a horse neighing", "ANMLHors", "neigh", ("Horse", "Neigh, whinny")),
    RecognitionPrompt("a horse trotting on a road", "ANMLHors", "trot", ("Horse", "Clip-clop")),
    RecognitionPrompt("a frog croaking", "ANMLAmph", "frog", ("Frog", "Croak")),
    RecognitionPrompt("a wolf howling", "ANMLWdog", "wolf", ("Howl", "Canidae, dogs, wolves")),
    RecognitionPrompt(
        "a lion roaring", "ANMLCat", "lion", ("Roaring cats (lions, tigers)", "Roar", "Growling")
    ),
    RecognitionPrompt("a bee buzzing around", "ANMLInsc", "buzz", _INSECT),
    RecognitionPrompt("crickets at night", "ANMLInsc", "cricket", _INSECT),
    RecognitionPrompt("a rooster crowing", "BIRDFowl", "rooster", _ROOSTER),
    RecognitionPrompt("hens clucking", "BIRDFowl", "hen", _ROOSTER),
    RecognitionPrompt("a duck quacking", "BIRDFowl", "duck", ("Duck", "Quack")),
    RecognitionPrompt("birds singing", "BIRDSong", "bird", _BIRD),
    RecognitionPrompt("a crow cawing", "BIRDCrow", "crow", ("Crow", "Caw")),
    RecognitionPrompt("an owl hooting", "BIRDPrey", "owl", ("Owl", "Hoot")),
    RecognitionPrompt("a pigeon cooing", "BIRDMisc", "pigeon", ("Pigeon, dove", "Coo")),
    RecognitionPrompt(
        "a seagull calling", "BIRDSea", "gull", (*_BIRD, "Squawk"), "no label of its own"
    ),
    RecognitionPrompt("rain falling", "RAIN", "rain", _RAIN),
    RecognitionPrompt("rain on a tin roof", "RAIN", "roof", _RAIN),
    RecognitionPrompt("rain heard from inside", "RAINInt", "inside", _RAIN),
    RecognitionPrompt("a thunderstorm", "STORM", "storm", ("Thunderstorm", "Thunder", *_RAIN)),
    RecognitionPrompt("a clap of thunder", "THUN", "thunder", ("Thunder", "Thunderstorm")),
    RecognitionPrompt(
        "a strong wind howling",
        "WINDGust",
        "wind",
        ("Wind", "Wind noise (microphone)", "Rustling leaves"),
    ),
    RecognitionPrompt("sea waves on a beach", "WATRSurf", "sea", _SEA),
    RecognitionPrompt("a stream flowing", "WATRFlow", "water", _FLOW, _WATER),
    RecognitionPrompt(
        "a waterfall", "WATRFall", "waterfall", ("Waterfall", "Stream", "Water"), _WATER
    ),
    RecognitionPrompt("water dripping", "WATRDrip", "drip", ("Drip", "Water"), _WATER),
    RecognitionPrompt(
        "a splash in water", "WATRSplsh", "splash", ("Splash, splatter", "Slosh", "Water"), _WATER
    ),
    RecognitionPrompt(
        "water running from a tap",
        "WATRPlmb",
        "tap",
        ("Water tap, faucet", "Sink (filling or washing)", "Fill (with liquid)", "Water"),
        _WATER,
    ),
    RecognitionPrompt("a toilet flushing", "WATRPlmb", "toilet", ("Toilet flush",)),
    RecognitionPrompt(
        "pouring a drink into a glass", "FOODDrnk", "pour", ("Pour", "Fill (with liquid)", "Liquid")
    ),
    RecognitionPrompt("a crackling fire", "FIRECrkl", "fire", _FIRE),
    RecognitionPrompt("a large fire burning", "FIREBurn", "fire", _FIRE),
    RecognitionPrompt("bacon frying in a pan", "FOODCook", "fry", ("Frying (food)", "Sizzle")),
    RecognitionPrompt("water boiling in a pot", "FOODCook", "boil", ("Boiling", "Gurgling")),
    RecognitionPrompt(
        "chopping on a board",
        "FOODKware",
        "chop",
        ("Chopping (food)", "Chop"),
    ),
    RecognitionPrompt(
        "pots and pans clattering",
        "FOODKware",
        "pan",
        ("Dishes, pots, and pans", "Clatter", "Cutlery, silverware"),
    ),
    RecognitionPrompt(
        "someone chewing crisps", "FOODEat", "chew", ("Chewing, mastication", "Crunch", "Biting")
    ),
    RecognitionPrompt(
        "a baby crying", "VOXBaby", "baby", ("Baby cry, infant cry", "Crying, sobbing")
    ),
    RecognitionPrompt(
        "a man laughing",
        "VOXLaff",
        "laugh",
        ("Laughter", "Belly laugh", "Chuckle, chortle", "Giggle", "Snicker", "Baby laughter"),
    ),
    RecognitionPrompt("a woman screaming", "VOXScrm", "scream", ("Screaming", "Yell", "Shout")),
    RecognitionPrompt("a person sneezing", "HMNSneez", "sneez", ("Sneeze",)),
    RecognitionPrompt("a person coughing", "HMNCough", "cough", ("Cough", "Throat clearing")),
    RecognitionPrompt("a person snoring", "HMNSnor", "snor", ("Snoring",)),
    RecognitionPrompt("a loud burp", "HMNBurp", "burp", ("Burping, eructation",)),
    RecognitionPrompt(
        "a heartbeat", "HMNHart", "heart", ("Heart sounds, heartbeat", "Heart murmur")
    ),
    RecognitionPrompt(
        "a crowd applauding", "CRWDApls", "clap", ("Applause", "Clapping", "Cheering")
    ),
    RecognitionPrompt("a crowd cheering", "CRWDCheer", "cheer", ("Cheering", "Applause", "Crowd")),
    RecognitionPrompt("footsteps on gravel", "FEETHmn", "gravel", (*_STEPS, "Crunch")),
    RecognitionPrompt("footsteps on concrete", "FEETHmn", "footstep", _STEPS),
    RecognitionPrompt("somebody running", "FEETHmn", "run", _STEPS),
    RecognitionPrompt("a clock ticking", "CLOCKTick", "clock", _CLOCK),
    RecognitionPrompt("an alarm clock ringing", "ALRMClok", "alarm", _ALARM),
    RecognitionPrompt("a fire alarm", "ALRMMisc", "alarm", _ALARM),
    RecognitionPrompt("a police siren", "ALRMSirn", "siren", _SIREN),
    RecognitionPrompt("a car horn", "VEHHorn", "horn", _HORN),
    RecognitionPrompt("church bells ringing", "BELLLrg", "bell", _BELL),
    RecognitionPrompt("a bicycle bell", "BELLHand", "bicycle", ("Bicycle bell", "Bell")),
    RecognitionPrompt("a doorbell", "BELLDoor", "doorbell", ("Doorbell", "Ding-dong", "Ding")),
    RecognitionPrompt("a gong", "BELLGong", "gong", ("Gong", "Singing bowl", "Bell")),
    RecognitionPrompt(
        "a telephone ringing",
        "COMTelph",
        "phone",
        ("Telephone", "Telephone bell ringing", "Ringtone"),
    ),
    RecognitionPrompt("typing on a keyboard", "CMPTKey", "typ", _TYPING),
    RecognitionPrompt(
        "a camera shutter", "COMCam", "shutter", ("Camera", "Single-lens reflex camera")
    ),
    RecognitionPrompt("an electronic beep", "BEEPLofi", "beep", ("Beep, bleep", "Ping", "Ding")),
    RecognitionPrompt("a door slammed shut", "DOORMisc", "door", (*_DOOR, "Bang")),
    RecognitionPrompt("a wooden door creaking", "DOORCreak", "creak", ("Creak", "Squeak", "Door")),
    RecognitionPrompt(
        "knocking on a wooden door", "DOORWood", "wooden door", ("Knock", "Tap", "Door")
    ),
    RecognitionPrompt("keys jingling", "OBJKey", "key", ("Keys jangling", "Jingle, tinkle")),
    RecognitionPrompt(
        "coins dropped on a table", "OBJCoin", "coin", (*_COIN, "Jingle, tinkle", "Chink, clink")
    ),
    RecognitionPrompt("a glass breaking", "GLASBrk", "glass", _GLASS),
    RecognitionPrompt("a hit on glass", "GLASImpt", "glass", _GLASS),
    RecognitionPrompt(
        "a hammer hitting a nail", "TOOLHand", "hammer", ("Hammer", "Tap", "Bang", "Clang")
    ),
    RecognitionPrompt("a saw cutting wood", "TOOLHand", "saw", ("Sawing", "Filing (rasp)")),
    RecognitionPrompt("an electric drill", "TOOLPowr", "drill", ("Drill", "Power tool")),
    RecognitionPrompt("a chainsaw running", "TOOLPowr", "chainsaw", ("Chainsaw",)),
    RecognitionPrompt(
        "a hit on a metal plate", "METLImpt", "metal", ("Clang", "Bang", "Clatter", "Ding", "Thunk")
    ),
    RecognitionPrompt("a vacuum cleaner", "MACHAppl", "vacuum", ("Vacuum cleaner",)),
    RecognitionPrompt("a hair dryer", "MACHAppl", "dryer", ("Hair dryer",)),
    RecognitionPrompt(
        "a fan humming", "MACHFan", "fan", ("Mechanical fan", "Air conditioning", "Hum")
    ),
    RecognitionPrompt("a sewing machine", "MACHMisc", "sewing", ("Sewing machine",)),
    RecognitionPrompt("gears turning", "MECHGear", "gear", ("Gears", "Ratchet, pawl", "Clicking")),
    RecognitionPrompt("a ratchet", "MECHRtch", "ratchet", ("Ratchet, pawl", "Clicking")),
    RecognitionPrompt("a car engine idling", "MOTRComb", "engine", (*_ENGINE, "Car")),
    RecognitionPrompt("a race car passing", "VEHRace", "rac", ("Race car, auto racing", *_ENGINE)),
    RecognitionPrompt("tires squealing", "VEHSkid", "squeal", ("Tire squeal", "Skidding")),
    RecognitionPrompt("a motorcycle", "VEHMoto", "motorcycle", ("Motorcycle", *_ENGINE)),
    RecognitionPrompt("a train passing", "TRNMisc", "train", _TRAIN),
    RecognitionPrompt(
        "a subway train", "TRNSbwy", "subway", (*_TRAIN, "Subway, metro, underground")
    ),
    RecognitionPrompt(
        "a steam train whistle",
        "WHSTMech",
        "whistle",
        ("Train whistle", "Steam whistle", "Train horn"),
    ),
    RecognitionPrompt(
        "a helicopter flying", "AEROHeli", "helicopter", ("Helicopter", "Propeller, airscrew")
    ),
    RecognitionPrompt(
        "a small airplane engine",
        "AEROProp",
        "airplane",
        ("Fixed-wing aircraft, airplane", "Aircraft", "Aircraft engine", "Propeller, airscrew"),
    ),
    RecognitionPrompt(
        "a jet flying over", "AEROJet", "jet", ("Jet engine", "Aircraft", "Aircraft engine")
    ),
    RecognitionPrompt("a gunshot", "GUNPis", "shot", _GUN),
    RecognitionPrompt("a machine gun firing", "GUNAuto", "rifle", _GUN),
    RecognitionPrompt("an explosion", "EXPLReal", "explosion", ("Explosion", "Boom", "Eruption")),
    RecognitionPrompt(
        "fireworks", "FRWKMisc", "firework", ("Fireworks", "Firecracker", "Explosion")
    ),
    RecognitionPrompt(
        "an arrow hitting a target", "WEAPArro", "arrow", ("Arrow", "Thump, thud", "Thunk")
    ),
    RecognitionPrompt(
        "sharpening a knife", "WEAPKnif", "knife", ("Scrape", "Filing (rasp)", "Zing")
    ),
    RecognitionPrompt("crumpling paper", "PAPRHndl", "paper", ("Crumpling, crinkling", "Rustle")),
    RecognitionPrompt("tearing paper", "PAPRRip", "paper", ("Tearing",)),
    RecognitionPrompt("a whoosh", "WHSH", "whoosh", ("Whoosh, swoosh, swish",)),
    RecognitionPrompt("a balloon popping", "AIRBrst", "pop", ("Burst, pop",)),
    RecognitionPrompt("hiss of compressed air", "AIRHiss", "air", ("Spray", "Hiss", "Steam")),
    RecognitionPrompt("a comic spring", "TOONBoing", "boing", ("Boing",)),
    RecognitionPrompt("a zipper", "OBJZipr", "zip", ("Zipper (clothing)",)),
    RecognitionPrompt("shuffling playing cards", "GAMECas", "card", ("Shuffling cards",)),
)
