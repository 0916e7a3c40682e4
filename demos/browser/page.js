// The page: what is typed goes to the worker, what it makes is drawn, played and kept.

const form = document.querySelector("form");
const button = document.querySelector("button");
const state = document.querySelector("#state");
const progress = document.querySelector("progress");
const section = document.querySelector("#sound");
const canvas = document.querySelector("canvas");
const player = document.querySelector("audio");
const link = document.querySelector("a");

const folder = new URL("model/", location.href).href;
const worker = new Worker("worker.js", { type: "module" });
let facts;
let shown;

worker.onmessage = ({ data }) => {
  if (data.loading) state.textContent = `Reading ${data.loading} ...`;
  else if (data.facts) ready(data.facts);
  else if (data.step) progress.value = data.step / data.steps;
  else if (data.audio) show(data);
  else if (data.error) finish(`This did not work: ${data.error}`);
};
worker.onerror = () => finish("This did not work: the page's own files are incomplete. Build it again.");
worker.postMessage({ folder });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { prompt, seconds, seed } = Object.fromEntries(new FormData(form));
  button.disabled = true;
  progress.hidden = false;
  progress.value = 0;
  state.textContent = "Making it ...";
  worker.postMessage({ folder, prompt, options: { seconds: Number(seconds), seed: Number(seed) } });
});

function ready(found) {
  facts = found;
  const longest = Math.floor(facts.longest_seconds * 2) / 2;
  form.elements.seconds.max = longest;
  finish(`${facts.name}, up to ${longest} s.`);
}

function finish(words) {
  state.textContent = words;
  button.disabled = facts === undefined;
  progress.hidden = true;
}

function show({ audio, milliseconds, times }) {
  const made = audio.length / facts.sample_rate;
  const each = Object.entries(times).map(([name, time]) => `${name.replace("_", " ")} ${Math.round(time)}`);
  const rate = (milliseconds / 1000 / made).toFixed(2);
  shown = audio;
  draw();
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(wave(audio, facts.sample_rate));
  link.href = player.src;
  section.hidden = false;
  finish(`${rate} s for each second of sound (milliseconds: ${each.join(", ")}).`);
}

// The lowest and the highest sample of each column, in the colour of the hour.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown && draw());

function draw() {
  const audio = shown;
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  const peak = audio.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  for (let column = 0; column < width; column++) {
    const from = Math.floor((column * audio.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * audio.length) / width));
    const part = audio.subarray(from, to);
    const low = part.reduce((least, value) => Math.min(least, value)) / peak;
    const high = part.reduce((most, value) => Math.max(most, value)) / peak;
    pen.fillRect(column, ((1 - high) * height) / 2, 1, Math.max(1, ((high - low) * height) / 2));
  }
}

// A WAV file of 16 bits.
function wave(audio, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * audio.length));
  const letters = (place, text) => [...text].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  letters(0, "RIFF");
  view.setUint32(4, 36 + 2 * audio.length, true);
  letters(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  letters(36, "data");
  view.setUint32(40, 2 * audio.length, true);
  audio.forEach((value, i) => view.setInt16(44 + 2 * i, Math.round(32767 * value), true));
  return new Blob([view], { type: "audio/wav" });
}
