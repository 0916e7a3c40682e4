// The selected take: its picture, playing it (a loop without a gap), and selecting a part of it.
// props.value is {url, name, told, loop, from, to} or null; `from` and `to` are the selection in seconds, which Python reads.

const find = (name) => element.querySelector("." + name);
const picture = find("picture");
const WINDOW = 1024;
const FLOOR = -90; // decibels that are drawn black
const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]; // seconds from one time that is written to the next
const STEP_WIDTH = 60; // pixels that a written time takes at least
let context = null;
let buffer = null; // the decoded sound
let image = null; // what is drawn of it: a canvas with waveform and spectrogram
let source = null; // what is playing
let frame = 0; // the next one to draw, while something is
let started = 0;
let dragged = null; // where a selection began, in seconds
let aroundByItself = false; // whether the sound plays around because it is a loop

const seconds = () => (buffer ? buffer.duration : 0);
const selection = () => [props.value?.from ?? 0, props.value?.to ?? seconds()];
const around = () => find("loop").getAttribute("aria-pressed") === "true";
const setAround = (pressed) => find("loop").setAttribute("aria-pressed", String(pressed));
const round = (value) => Math.round(value * 100) / 100;

function select(from, to) {
  const low = Math.max(0, Math.min(from, to));
  const high = Math.min(seconds(), Math.max(from, to));
  const whole = high - low < 0.01 || high - low > seconds() - 0.005;
  props.value = { ...props.value, from: whole ? null : round(low), to: whole ? null : round(high) };
  show();
  if (source) play();
}

// Power of a window by a radix-2 transform in place, in decibels of a sine at full scale.
function spectrum(samples, start, bits) {
  const real = new Float32Array(WINDOW);
  const imaginary = new Float32Array(WINDOW);
  for (let i = 0; i < WINDOW; i++) {
    let reversed = 0;
    for (let b = 0; b < bits; b++) reversed |= ((i >> b) & 1) << (bits - 1 - b);
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW);
    real[reversed] = (samples[start + i] || 0) * hann;
  }
  for (let size = 2; size <= WINDOW; size *= 2) {
    const step = (-2 * Math.PI) / size;
    for (let first = 0; first < WINDOW; first += size) {
      for (let k = 0; k < size / 2; k++) {
        const a = first + k;
        const b = a + size / 2;
        const c = Math.cos(step * k);
        const s = Math.sin(step * k);
        const r = real[b] * c - imaginary[b] * s;
        const i = real[b] * s + imaginary[b] * c;
        real[b] = real[a] - r;
        imaginary[b] = imaginary[a] - i;
        real[a] += r;
        imaginary[a] += i;
      }
    }
  }
  const decibels = new Float32Array(WINDOW / 2);
  for (let k = 0; k < WINDOW / 2; k++) {
    decibels[k] = 20 * Math.log10(Math.hypot(real[k], imaginary[k]) * (4 / WINDOW) + 1e-7);
  }
  return decibels;
}

function drawSpectrogram(samples, columns, rows) {
  const pixels = new ImageData(columns, rows);
  const bits = Math.log2(WINDOW);
  for (let x = 0; x < columns; x++) {
    const middle = Math.round(((x + 0.5) / columns) * samples.length);
    const decibels = spectrum(samples, middle - WINDOW / 2, bits);
    for (let y = 0; y < rows; y++) {
      const k = Math.floor((((rows - 1 - y) / rows) ** 2 * WINDOW) / 2); // low frequencies have more room
      const level = Math.min(1, Math.max(0, (decibels[k] - FLOOR) / -FLOOR));
      const at = 4 * (y * columns + x);
      pixels.data[at] = 255 * Math.min(1, 1.6 * level);
      pixels.data[at + 1] = 255 * level ** 2;
      pixels.data[at + 2] = 255 * (0.1 + 0.5 * Math.sin(Math.PI * level));
      pixels.data[at + 3] = 255;
    }
  }
  return pixels;
}

function drawWaveform(paint, samples, width, height) {
  paint.fillStyle = "#9fd0ff";
  for (let x = 0; x < width; x++) {
    const start = Math.floor((x / width) * samples.length);
    const end = Math.max(start + 1, Math.floor(((x + 1) / width) * samples.length));
    let peak = 0;
    for (let i = start; i < end; i++) peak = Math.max(peak, Math.abs(samples[i]));
    const half = Math.max(0.5, (peak * height) / 2);
    paint.fillRect(x, height / 2 - half, 1, 2 * half);
  }
}

function drawTimes(paint, width, bottom) {
  const step = STEPS.find((one) => (one / seconds()) * width >= STEP_WIDTH) || seconds();
  paint.fillStyle = "#ffffff";
  paint.font = "11px system-ui, sans-serif";
  for (let n = 1; (n + 0.4) * step < seconds(); n++) {
    const x = Math.round(((n * step) / seconds()) * width);
    paint.fillRect(x, bottom - 14, 1, 14);
    paint.fillText(`${round(n * step)} s`, x + 4, bottom - 4);
  }
}

// All is drawn once for a size: while a sound plays, the line that moves is drawn over them many times a second.
function drawSound(width, height) {
  const drawn = new OffscreenCanvas(width, height);
  const paint = drawn.getContext("2d");
  const samples = buffer.getChannelData(0);
  const waveHeight = Math.round(height * 0.35);
  paint.putImageData(drawSpectrogram(samples, width, height - waveHeight), 0, waveHeight);
  drawWaveform(paint, samples, width, waveHeight);
  drawTimes(paint, width, waveHeight);
  return drawn;
}

function show() {
  const width = (picture.width = picture.clientWidth || 600);
  const height = (picture.height = picture.clientHeight || 260);
  const paint = picture.getContext("2d");
  paint.clearRect(0, 0, width, height);
  const [from, to] = selection();
  for (const [name, value] of [["from", from], ["to", to]]) {
    if (find(name) !== document.activeElement) find(name).value = round(value); // nobody is typing there
  }
  if (!buffer) return;
  if (!image || image.width !== width || image.height !== height) image = drawSound(width, height);
  paint.drawImage(image, 0, 0);
  if (props.value?.from != null) {
    paint.fillStyle = "rgba(255, 255, 255, 0.25)";
    paint.fillRect((from / seconds()) * width, 0, ((to - from) / seconds()) * width, height);
  }
  if (source) {
    const [low, high] = selection();
    const length = high - low;
    const passed = context.currentTime - started;
    const at = low + (source.loop ? passed % length : Math.min(passed, length));
    paint.fillStyle = "#ffffff";
    paint.fillRect((at / seconds()) * width, 0, 2, height);
    cancelAnimationFrame(frame); // whoever else showed something may have asked for one
    frame = requestAnimationFrame(show);
  }
}

function stop() {
  if (source) {
    source.onended = null;
    source.stop();
  }
  source = null;
  find("play").textContent = "Play";
  show();
}

function play() {
  stop();
  context.resume();
  const [from, to] = selection();
  source = context.createBufferSource();
  source.buffer = buffer;
  source.loop = around();
  source.loopStart = from;
  source.loopEnd = to;
  source.connect(context.destination);
  source.onended = stop;
  started = context.currentTime;
  if (source.loop) source.start(0, from);
  else source.start(0, from, to - from);
  find("play").textContent = "Stop playing";
  show();
}

async function load() {
  if (source) stop();
  buffer = image = null;
  const wanted = props.value?.url;
  if (wanted) {
    context = context || new AudioContext({ sampleRate: 48000 });
    const answer = await fetch(wanted);
    if (!answer.ok) find("told").textContent = `${props.value.name} is no longer kept: generate it again.`;
    else {
      const decoded = await context.decodeAudioData(await answer.arrayBuffer());
      if (props.value?.url !== wanted) return; // another take was selected meanwhile
      buffer = decoded;
      find("told").textContent = props.value.told;
      if (props.value.loop !== aroundByItself) setAround((aroundByItself = Boolean(props.value.loop)));
    }
  }
  for (const item of element.querySelectorAll(".controls button, .controls input")) item.disabled = !buffer;
  picture.dataset.seconds = String(seconds());
  show();
}

const secondsAt = (event) => (event.offsetX / picture.clientWidth) * seconds();
picture.addEventListener("pointerdown", (event) => {
  if (!buffer) return;
  dragged = secondsAt(event);
  picture.setPointerCapture(event.pointerId);
});
picture.addEventListener("pointermove", (event) => {
  if (dragged !== null) select(dragged, secondsAt(event));
});
picture.addEventListener("pointerup", () => (dragged = null));
picture.addEventListener("pointercancel", () => (dragged = null));
for (const name of ["from", "to"]) {
  find(name).addEventListener("change", () => select(Number(find("from").value), Number(find("to").value)));
}
find("whole").addEventListener("click", () => select(0, seconds()));
find("play").addEventListener("click", () => (source ? stop() : play()));
find("loop").addEventListener("click", () => {
  setAround(!around());
  if (source) play();
});
new ResizeObserver(() => (image && image.width !== picture.clientWidth ? show() : null)).observe(picture);
watch("value", load);
load();
