// Noise as torch draws it on a processor: Mersenne Twister, then Box and Muller in groups of sixteen.

const SIZE = 624;
const GROUP = 16;

export class Noise {
  constructor(seed) {
    this.state = new Uint32Array(SIZE);
    this.state[0] = Number(BigInt(seed) & 0xffffffffn);
    for (let i = 1; i < SIZE; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.place = SIZE;
  }

  // Standard normal numbers, `count` of them, at least sixteen.
  normal(count) {
    if (count < GROUP) throw new Error(`${count} numbers: ask for ${GROUP} or more`);
    const values = Float32Array.from({ length: count }, () => this.uniform());
    for (let start = 0; start + GROUP <= count; start += GROUP) turn(values, start);
    if (count % GROUP) {
      // What is left of a last group is drawn anew with those before it.
      const start = count - GROUP;
      for (let i = start; i < count; i++) values[i] = this.uniform();
      turn(values, start);
    }
    return values;
  }

  // Between 0 and 1, of 24 bits.
  uniform() {
    return (this.next() & 0xffffff) / 0x1000000;
  }

  next() {
    if (this.place === SIZE) this.refill();
    let y = this.state[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  refill() {
    for (let i = 0; i < SIZE; i++) {
      const y = (this.state[i] & 0x80000000) | (this.state[(i + 1) % SIZE] & 0x7fffffff);
      this.state[i] = this.state[(i + 397) % SIZE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }
}

// Sixteen uniform numbers become normal ones, in pairs that are eight apart.
function turn(values, start) {
  for (let i = start; i < start + GROUP / 2; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]));
    const angle = 2 * Math.PI * values[i + GROUP / 2];
    values[i] = radius * Math.cos(angle);
    values[i + GROUP / 2] = radius * Math.sin(angle);
  }
}
