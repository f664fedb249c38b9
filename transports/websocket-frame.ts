/** Headers of unfragmented binary frames, RFC 6455 section 5.2. */
import type { Framing } from './write-message.js';

const FIN_BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;

const lengthBytes = (length: number): 0 | 2 | 8 => (length < 126 ? 0 : length < 65_536 ? 2 : 8);

function framing(maskBit: number, maskBytes: number): Framing {
  return {
    headerBytes: length => 2 + lengthBytes(length) + maskBytes,
    writeHeader(target, length) {
      target[0] = FIN_BINARY;
      const extended = lengthBytes(length);
      if (extended === 0) target[1] = maskBit | length;
      else if (extended === 2) {
        target[1] = maskBit | 126;
        target.writeUInt16BE(length, 2);
      } else {
        target[1] = maskBit | 127;
        target.writeUInt32BE(0, 2);
        target.writeUInt32BE(length, 6);
      }
      if (maskBytes > 0) target.writeUInt32BE(0, 2 + extended);
    },
  };
}

export const SERVER_FRAMES: Framing = framing(0, 0);

/**
 * Masked with zero, which leaves the payload as it is. Masking protects careless proxies from bytes that a script in a
 * browser chooses (section 10.3); here no script chooses them: they are ephemeral public keys and sealed records.
 * docs/decisions/020 weighs it.
 */
export const CLIENT_FRAMES: Framing = framing(MASKED, MASK_BYTES);
