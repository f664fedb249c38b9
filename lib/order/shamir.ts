/**
 * Shamir's secret sharing over GF(2^8) (the field of AES, x^8 + x^4 + x^3 + x + 1) for 32-byte secrets: validator i holds
 * the polynomial's value at i + 1, the secret is its value at 0. Four bytes are multiplied at a time, by shifts and masks,
 * without a branch or a table index that depends on a secret; evaluation points and weights are public.
 */
import { invariant } from '../errors.js';
import type { ValidatorIndex } from './types.js';

export const SECRET_BYTES = 32;
const WORDS = SECRET_BYTES / 4;

/** Four field elements at once, each times x. */
function timesX(v: number): number {
  return ((v & 0x7f7f7f7f) << 1) ^ (((v >>> 7) & 0x01010101) * 0x1b);
}

/** Adds `factor` (public) times `from` (secret) to `into`. */
function addScaled(into: Uint32Array, from: Uint32Array, factor: number): void {
  for (let w = 0; w < WORDS; w++) {
    let power = from[w] as number;
    let sum = into[w] as number;
    for (let bits = factor; bits !== 0; bits >>>= 1) {
      sum ^= power & -(bits & 1);
      power = timesX(power);
    }
    into[w] = sum;
  }
}

/** Product of two public field elements. */
function multiply(a: number, b: number): number {
  let product = 0;
  let power = a;
  for (let bits = b; bits !== 0; bits >>>= 1) {
    product ^= power & -(bits & 1);
    power = timesX(power) & 0xff;
  }
  return product & 0xff;
}

/** a^254, the inverse of a public element other than 0. */
function inverse(a: number): number {
  let result = 1;
  for (let i = 0; i < 254; i++) result = multiply(result, a);
  return result;
}

const toWords = (bytes: Uint8Array): Uint32Array => new Uint32Array(Uint8Array.from(bytes).buffer);
const toBytes = (words: Uint32Array): Uint8Array => new Uint8Array(words.buffer);

/**
 * Splits a secret into n shares of which any t give it back and t-1 say nothing.
 *
 * @param randomness (t-1) * 32 fresh random bytes, the higher coefficients; zeroed here.
 */
export function splitSecret(secret: Uint8Array, n: number, t: number, randomness: Uint8Array): Uint8Array[] {
  invariant(n >= t && t >= 1 && n < 256, 'no such sharing');
  invariant(
    secret.length === SECRET_BYTES && randomness.length === (t - 1) * SECRET_BYTES,
    'wrong lengths of a sharing',
  );
  const coefficients = [toWords(secret)];
  for (let i = 0; i < t - 1; i++)
    coefficients.push(toWords(randomness.subarray(i * SECRET_BYTES, (i + 1) * SECRET_BYTES)));
  const shares: Uint8Array[] = [];
  for (let x = 1; x <= n; x++) {
    const value = new Uint32Array(WORDS);
    let power = 1;
    for (const coefficient of coefficients) {
      addScaled(value, coefficient, power);
      power = multiply(power, x);
    }
    shares.push(toBytes(value));
  }
  for (const coefficient of coefficients) coefficient.fill(0);
  randomness.fill(0);
  return shares;
}

/** Row 0 gives the secret, row i + 1 the share of validator i, each as weights of the given holders' shares. */
export type Weights = readonly (readonly number[])[];

/** Lagrange's weights for these distinct holders of shares: public, worth keeping while the same validators answer. */
export function interpolationWeights(holders: readonly ValidatorIndex[], n: number): Weights {
  const points = holders.map(holder => holder + 1);
  const rows: number[][] = [];
  for (let target = 0; target <= n; target++) {
    rows.push(
      points.map(point => {
        let numerator = 1;
        let denominator = 1;
        for (const other of points) {
          if (other === point) continue;
          numerator = multiply(numerator, target ^ other);
          denominator = multiply(denominator, point ^ other);
        }
        return multiply(numerator, inverse(denominator));
      }),
    );
  }
  return rows;
}

/** A whole polynomial. */
export interface Dealing {
  readonly secret: Uint8Array;
  /** By validator. */
  readonly shares: readonly Uint8Array[];
}

/** The secret and all n shares, from t shares in the order of the holders behind the weights. */
export function interpolate(shares: readonly Uint8Array[], weights: Weights): Dealing {
  const words = shares.map(toWords);
  const [secret, ...all] = weights.map(row => {
    const value = new Uint32Array(WORDS);
    row.forEach((weight, i) => {
      const share = words[i];
      invariant(share !== undefined, 'a share for every weight');
      addScaled(value, share, weight);
    });
    return toBytes(value);
  });
  for (const word of words) word.fill(0);
  invariant(secret !== undefined, 'weights have a row for the secret');
  return { secret, shares: all };
}
