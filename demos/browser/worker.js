// Sounds are made beside the page, which stays alive meanwhile.

import { Woosh } from "./woosh.js";

let woosh;

onmessage = async ({ data: { folder, prompt, options } }) => {
  try {
    woosh ??= await Woosh.load(folder, (file) => postMessage({ loading: file }));
    if (prompt === undefined) {
      postMessage({ facts: woosh.facts });
      return;
    }
    const onStep = (step, steps) => postMessage({ step, steps });
    const before = performance.now();
    const { audio } = await woosh.generate(prompt, { ...options, onStep });
    const milliseconds = performance.now() - before;
    postMessage({ audio, milliseconds, times: woosh.times }, [audio.buffer]);
  } catch (error) {
    postMessage({ error: error.message });
  }
};
