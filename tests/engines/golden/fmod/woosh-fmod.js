// made by woosh engines
// Imports the sounds that lie beside this script and makes an event for each name: a multi instrument where there are
// several takes, a loop region where the sound loops. Put a link to this file, or a copy of the folder, into the scripts
// folder of FMOD Studio, reload the scripts, and choose Scripts > Woosh: make events. Events that are there already stay.

var wooshFolder = __dirname;
var wooshSounds = [
    {"name": "ambience/rain on roof", "loop": true, "files": ["ambience/rain on roof.wav"]},
    {"name": "beep", "loop": false, "files": ["beep-01.wav"]},
    {"name": "doors/creak", "loop": false, "files": ["doors/creak-01.wav", "doors/creak-02.wav", "doors/creak-03.wav"]}
];

function wooshParent(name) {
    var parent = studio.project.workspace.masterEventFolder;
    var parts = name.split("/");
    for (var i = 0; i < parts.length - 1; i++) {
        var path = "event:/" + parts.slice(0, i + 1).join("/");
        var folder = studio.project.lookup(path);
        if (!folder) {
            folder = studio.project.create("EventFolder");
            folder.name = parts[i];
            folder.folder = parent;
        }
        parent = folder;
    }
    return parent;
}

function wooshImport(files) {
    var assets = [];
    files.forEach(function (file) {
        var asset = studio.project.importAudioFile(wooshFolder + "/" + file);
        if (asset) {
            assets.push(asset);
        } else {
            console.warn("Woosh: not imported: " + file);
        }
    });
    return assets;
}

function wooshEvent(sound) {
    if (studio.project.lookup("event:/" + sound.name)) {
        console.log("Woosh: event:/" + sound.name + " is there already");
        return false;
    }
    var assets = wooshImport(sound.files);
    if (!assets.length) {
        return false;
    }
    var length = Math.max.apply(null, assets.map(function (asset) { return asset.length; }));
    var event = studio.project.create("Event");
    event.name = sound.name.split("/").pop();
    event.folder = wooshParent(sound.name);
    var track = event.addGroupTrack("Audio 1");
    if (assets.length === 1) {
        track.addSound(event.timeline, "SingleSound", 0, length).audioFile = assets[0];
    } else {
        var takes = track.addSound(event.timeline, "MultiSound", 0, length);
        assets.forEach(function (asset) {
            var take = studio.project.create("SingleSound");
            take.audioFile = asset;
            take.owner = takes;
        });
    }
    if (sound.loop) {
        event.addMarkerTrack().addRegion(0, length, "Loop", studio.project.regionLoopMode.Looping);
    }
    return true;
}

function wooshMakeEvents() {
    var made = wooshSounds.filter(wooshEvent).length;
    console.log("Woosh: " + made + " of " + wooshSounds.length + " events made");
}

studio.menu.addMenuItem({ name: "Woosh: make events", execute: wooshMakeEvents });
