/**
 * One Merkle tree over the whole log, in the shape of RFC 9162 section 2.1 with tagged hashes. Only the frontier is kept:
 * the roots of the complete subtrees, at most one for each bit of the size.
 */
import { equalBytes, fromHex, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { invariant } from '../errors.js';
import { taggedHash } from './tagged-hash.js';
import type { OrderId } from './types.js';

/** Roots of complete subtrees, from the largest and leftmost to the smallest. */
export interface LogFrontier {
  /** Leaves so far. */
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
}

export const EMPTY_LOG: LogFrontier = { size: 0, peaks: [] };

export interface LeafFields {
  readonly height: number;
  readonly index: number;
  readonly id: OrderId;
}

/** The leaf of one entry. */
export function logLeaf(crypto: CryptoProvider, { height, index, id }: LeafFields): Uint8Array {
  return taggedHash(crypto, 'log-leaf', new Writer(48).u64(height).u64(index).raw(fromHex(id)).finish());
}

const node = (crypto: CryptoProvider, left: Uint8Array, right: Uint8Array): Uint8Array =>
  taggedHash(crypto, 'log-node', left, right);

/** The largest power of two below `size`: how many leaves the left subtree has. */
function leftSize(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** The root of the whole log. */
export function logRoot(crypto: CryptoProvider, { peaks }: LogFrontier): Uint8Array {
  const last = peaks.at(-1);
  if (last === undefined) return taggedHash(crypto, 'log-empty');
  return peaks.slice(0, -1).reduceRight((right, left) => node(crypto, left, right), last);
}

/** The log after these leaves. */
export function appendLeaves(
  crypto: CryptoProvider,
  frontier: LogFrontier,
  leaves: readonly Uint8Array[],
): LogFrontier {
  const peaks = [...frontier.peaks];
  let size = frontier.size;
  for (const leaf of leaves) {
    let right = leaf;
    for (let rest = size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
      const left = peaks.pop();
      invariant(left !== undefined, 'a peak for every bit of the size');
      right = node(crypto, left, right);
    }
    peaks.push(right);
    size++;
  }
  return { size, peaks };
}

/**
 * The audit path, leaf side first, of one of the leaves that were appended to `before`, in the tree that ends with them.
 */
export function logPath(
  crypto: CryptoProvider,
  before: LogFrontier,
  leaves: readonly Uint8Array[],
  index: number,
): Uint8Array[] {
  const size = before.size + leaves.length;
  invariant(index >= before.size && index < size, 'a path only for the leaves just appended');
  const path: Uint8Array[] = [];
  let start = 0;
  let length = size;
  while (length > 1) {
    const left = leftSize(length);
    const goesLeft = index < start + left;
    path.push(goesLeft ? subtree(start + left, length - left) : subtree(start, left));
    if (!goesLeft) start += left;
    length = goesLeft ? left : length - left;
  }
  return path.reverse();

  /** A whole subtree of the old log is one of its peaks: the sibling of a new leaf's ancestor has no complete parent. */
  function subtree(from: number, count: number): Uint8Array {
    if (from + count <= before.size) return peakAt(before, from);
    if (count === 1) return leaves[from - before.size] as Uint8Array;
    const left = leftSize(count);
    return node(crypto, subtree(from, left), subtree(from + left, count - left));
  }
}

function peakAt({ size, peaks }: LogFrontier, from: number): Uint8Array {
  let start = 0;
  let rest = size;
  for (const peak of peaks) {
    if (start === from) return peak;
    let width = 1;
    while (width * 2 <= rest) width *= 2;
    start += width;
    rest -= width;
  }
  invariant(false, 'a subtree of the old log begins at one of its peaks');
}

/** True when the leaf stands at `index` in the log of `size` entries with this root (RFC 9162 section 2.1.3.2). */
export function verifyLogPath(
  crypto: CryptoProvider,
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!(index >= 0 && index < size)) return false;
  let hash = leaf;
  let at = index;
  let last = size - 1;
  for (const sibling of path) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      hash = node(crypto, sibling, hash);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = node(crypto, hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && equalBytes(hash, root);
}
