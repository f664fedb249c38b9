/** Headers of unfragmented binary frames, RFC 6455 section 5.2. */

const FIN_BINARY = 0x82;
const MASKED = 0x80;

function frameHeader(length: number, maskBit: number, maskBytes: number): Buffer {
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  // Zeroed, not pooled memory: the mask that a client must send is left at zero.
  const header = Buffer.alloc(2 + lengthBytes + maskBytes);
  header[0] = FIN_BINARY;
  if (lengthBytes === 0) header[1] = maskBit | length;
  else if (lengthBytes === 2) {
    header[1] = maskBit | 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = maskBit | 127;
    header.writeUInt32BE(length, 6);
  }
  return header;
}

export const serverFrameHeader = (length: number): Buffer => frameHeader(length, 0, 0);

/**
 * Masked with zero, which leaves the payload as it is. Masking protects careless proxies from bytes that a script in a
 * browser chooses (section 10.3); here no script chooses them: they are ephemeral public keys and sealed records.
 * docs/decisions/020 weighs it.
 */
export const clientFrameHeader = (length: number): Buffer => frameHeader(length, MASKED, 4);
