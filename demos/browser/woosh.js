// Words -> sound with the graphs that `woosh export` writes. docs/onnx.md of the project tells the same in words.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { Tokenizer } from "./tokenizers.min.mjs";
import { Noise } from "./noise.js";

const STEP_CONDITION = ["text", "summary", "video"];

ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
// Threads share memory, which a browser allows to pages of isolated origins alone.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

export class Woosh {
  // Read a model from the address of its folder, which ends in a slash.
  static async load(folder, onLoad = () => {}) {
    const woosh = new Woosh();
    woosh.facts = await fetched(new URL("graphs.json", folder), "json");
    const read = (name) => fetched(new URL(`tokenizer/${name}`, folder), "json");
    woosh.tokenizer = new Tokenizer(await read("tokenizer.json"), await read("tokenizer_config.json"));
    woosh.sessions = {};
    for (const [name, { file }] of Object.entries(woosh.facts.graphs)) {
      onLoad(file);
      const bytes = await fetched(new URL(file, folder), "arrayBuffer");
      woosh.sessions[name] = await ort.InferenceSession.create(bytes);
    }
    return woosh;
  }

  // Sound of a prompt: { audio, latents }. Each graph's milliseconds are added to `times`.
  async generate(prompt, { seconds = 5, seed = 0, negative = "", guidance, onStep = () => {} } = {}) {
    const { facts } = this;
    if (!(seconds > 0 && seconds <= facts.longest_seconds)) {
      throw new Error(`${seconds} s: this page makes up to ${facts.longest_seconds} s`);
    }
    const scale = guidance ?? facts.settings.default_guidance_scale;
    const samples = Math.round(seconds * facts.sample_rate);
    const frames = 1 + Math.ceil(samples / facts.hop_length);
    const noise = new Noise(seed);
    const start = noise.normal(facts.latent_channels * frames);
    this.times = {};
    const texts = facts.flow_map || scale === 1 ? [prompt] : [prompt, negative];
    const condition = await this.condition(texts);
    const latents = facts.flow_map
      ? await this.walkFewSteps(start, frames, condition, scale, noise, onStep)
      : await this.walk(start, frames, condition, scale, onStep);
    const whole = await this.decode(latents, frames);
    const peak = whole.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const audio = whole.slice(0, samples);
    return { audio: peak > 1 ? audio.map((value) => value / peak) : audio, latents };
  }

  // Token ids and mask of a text, padded or cut to the model's number.
  tokens(text) {
    const { text_tokens: count, padding_id: padding } = this.facts;
    let { ids } = this.tokenizer.encode(text);
    if (ids.length > count) ids = [...ids.slice(0, count - 1), ids.at(-1)];
    const mask = Array.from({ length: count }, (_, place) => (place < ids.length ? 1 : 0));
    return { ids: mask.map((real, place) => (real ? ids[place] : padding)), mask };
  }

  // What is computed once: the tensors that every step takes.
  async condition(texts) {
    const { facts } = this;
    const rows = texts.map((text) => this.tokens(text));
    const sizes = [texts.length, facts.text_tokens];
    const whole = (name) => tensor("int64", BigInt64Array.from(rows.flatMap((row) => row[name]), BigInt), sizes);
    const attention_mask = whole("mask");
    const { states } = await this.run("text_encoder", { input_ids: whole("ids"), attention_mask });
    const given = { states, attention_mask };
    if (facts.summary) given.sound_seconds = zeros([texts.length]);
    if (facts.video_channels) given.video_features = zeros([texts.length, 1, facts.video_channels]);
    return this.run("prompt", given);
  }

  // A few steps by a model that was taught them, its guidance inside.
  async walkFewSteps(latents, frames, condition, scale, noise, onStep) {
    const { times, renoise, settings } = this.facts;
    for (let step = 0; step + 1 < times.length; step++) {
      const next = times[step + 1];
      let time = times[step];
      const raised = Math.min(1, time + renoise[step] * (time - next));
      if (raised > time) {
        const share = (1 - raised) / (1 - time);
        const sigma = Math.sqrt(raised ** 2 - (time * share) ** 2);
        const added = noise.normal(latents.length);
        latents = latents.map((value, place) => share * value + sigma * added[place]);
        time = raised;
      }
      const guidance = scale + settings.guidance_offset;
      const [velocity] = await this.velocities(latents, frames, condition, { time, next_time: next, guidance });
      latents = latents.map((value, place) => value - (time - next) * velocity[place]);
      onStep(step + 1, times.length - 1);
    }
    return latents;
  }

  // Steps of second order: the velocity goes on changing as it did over the step before.
  async walk(latents, frames, condition, scale, onStep) {
    const { times, settings } = this.facts;
    let former = null;
    for (let step = 0; step + 1 < times.length; step++) {
      const time = times[step];
      const change = times[step + 1] - time;
      const [told, untold] = await this.velocities(latents, frames, condition, { time });
      const acts = untold !== undefined && time <= settings.guidance_start;
      const velocity = acts ? told.map((value, place) => untold[place] + scale * (value - untold[place])) : told;
      const slope = former === null ? 0 : change / (2 * former.change);
      const before = former === null ? velocity : former.velocity;
      latents = latents.map(
        (value, place) => value + change * (velocity[place] + slope * (velocity[place] - before[place])),
      );
      former = { velocity, change };
      onStep(step + 1, times.length - 1);
    }
    return latents;
  }

  // The velocity under each condition, from one call. Latents go in as whole tokens.
  async velocities(latents, frames, condition, numbers) {
    const { latent_channels: channels, frames_per_token: patch } = this.facts;
    const count = condition.text.dims[0];
    const width = Math.ceil(frames / patch) * patch;
    const whole = new Float32Array(count * channels * width);
    for (let row = 0; row < count * channels; row++) {
      const from = (row % channels) * frames;
      whole.set(latents.subarray(from, from + frames), row * width);
    }
    const given = { latents: tensor("float32", whole, [count, channels, width]) };
    for (const [name, value] of Object.entries(numbers)) {
      given[name] = tensor("float32", new Float32Array(count).fill(value), [count]);
    }
    for (const name of STEP_CONDITION) if (condition[name]) given[name] = condition[name];
    const { velocity } = await this.run("step", given);
    return Array.from({ length: count }, (_, clip) => {
      const own = new Float32Array(channels * frames);
      for (let channel = 0; channel < channels; channel++) {
        const from = (clip * channels + channel) * width;
        own.set(velocity.data.subarray(from, from + frames), channel * frames);
      }
      return own;
    });
  }

  // Latents -> audio, with phases that are searched where the model has none.
  async decode(latents, frames) {
    const { graphs, latent_channels: channels } = this.facts;
    const given = { latents: tensor("float32", latents, [1, channels, frames]) };
    const noise = graphs.decoder.inputs.noise;
    if (noise) {
      const [, [, width]] = noise;
      given.noise = tensor("float32", new Noise(0).normal(frames * width), [frames, width]);
    }
    const { audio, magnitude } = await this.run("decoder", given);
    if (audio) return audio.data;
    const count = magnitude.dims[1] * graphs.phases.hop_length;
    const found = await this.run("phases", {
      magnitude,
      noise: tensor("float32", new Noise(0).normal(count), [count]),
    });
    return found.audio.data;
  }

  async run(name, given) {
    const before = performance.now();
    const made = await this.sessions[name].run(given);
    this.times[name] = (this.times[name] ?? 0) + performance.now() - before;
    return made;
  }
}

async function fetched(address, kind) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
  return answer[kind]();
}

function tensor(kind, values, sizes) {
  return new ort.Tensor(kind, values, sizes);
}

function zeros(sizes) {
  return tensor("float32", new Float32Array(sizes.reduce((product, size) => product * size, 1)), sizes);
}
