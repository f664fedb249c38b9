/** Records of few lengths: each is padded to the next of a list, so that a length on the wire tells little. */
import { requireArgument } from '../errors.js';
import { KIND, SECTION_HEADER_BYTES, TAG_BYTES, writeSectionHeader } from './record.js';

const MAX_BUCKETS = 64;
/** Below it, a record would have no room for a useful piece of a stream. */
const MIN_LARGEST_BYTES = 8_192;

/** What is padded with; sealed like everything else, so that nobody can tell it from the rest. */
let zeros = new Uint8Array(0);

/**
 * The powers of two from `smallest` to `largest`, in bytes: `lengthBuckets` of a channel. A record at most doubles.
 *
 * @example
 * openChannel(connection, { ...options, lengthBuckets: powerOfTwoBuckets(512, 16_384) }, events);
 */
export function powerOfTwoBuckets(smallest = 256, largest = 65_536): readonly number[] {
  const buckets: number[] = [];
  for (let bytes = smallest; bytes <= largest; bytes *= 2) buckets.push(bytes);
  return buckets;
}

/** Throws INVALID_ARGUMENT unless the lengths rise, and the last is from 8,192 to `maxMessageBytes`. */
export function requireLengthBuckets(buckets: readonly number[], maxMessageBytes: number): void {
  const largest = buckets[buckets.length - 1] ?? 0;
  requireArgument(buckets.length <= MAX_BUCKETS, `at most ${MAX_BUCKETS} buckets of lengths`);
  requireArgument(
    buckets.every((bytes, i) => Number.isInteger(bytes) && bytes > (buckets[i - 1] ?? 0)),
    'the buckets of lengths are whole numbers that rise',
  );
  requireArgument(largest >= MIN_LARGEST_BYTES && largest <= maxMessageBytes, 'the largest bucket is out of range');
}

export class LengthBuckets {
  readonly #buckets: readonly number[];
  /** Bytes of the longest record, its tag included. */
  readonly largest: number;

  /** Throws as `requireLengthBuckets`. */
  constructor(buckets: readonly number[], maxMessageBytes: number) {
    requireLengthBuckets(buckets, maxMessageBytes);
    this.#buckets = buckets;
    this.largest = buckets[buckets.length - 1] as number;
    if (zeros.length < this.largest) zeros = new Uint8Array(this.largest);
  }

  /** Adds the section that pads a record of so many bytes of plaintext, and returns its length. */
  pad(plaintextBytes: number, parts: Uint8Array[]): number {
    const least = plaintextBytes + SECTION_HEADER_BYTES + TAG_BYTES;
    let i = 0;
    while (i < this.#buckets.length - 1 && (this.#buckets[i] as number) < least) i++;
    const length = (this.#buckets[i] as number) - least;
    const header = new Uint8Array(SECTION_HEADER_BYTES);
    writeSectionHeader(header, 0, KIND.padding, length);
    parts.push(header, zeros.subarray(0, length));
    return SECTION_HEADER_BYTES + length;
  }
}
