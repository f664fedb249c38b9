/** A peer id as a field of a message: text, because it is looked up as it stands and its key is kept once decoded. */
import type { Reader } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { type PeerId, parsePeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

/** @throws HopfairError DECODE_FAILED on anything but a canonical peer id. */
export function readPeerId(reader: Reader): PeerId {
  const text = reader.text(LIMITS.maxPeerIdBytes);
  try {
    return parsePeerId(text);
  } catch (cause) {
    throw new HopfairError('DECODE_FAILED', 'not a peer id', { cause });
  }
}
