/**
 * The payload of libp2p's Noise handshakes, https://github.com/libp2p/specs/blob/master/noise/README.md: a protobuf of
 * the identity key (field 1), its signature over the static key (field 2) and extensions (field 4).
 */
import { generateKeyPair, publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { concat, EMPTY, fromUtf8, Reader, toHex } from '../../lib/bytes.js';
import type { Payloads } from './party.js';

const IDENTITY_KEY = 1;
const IDENTITY_SIGNATURE = 2;
const LENGTH_DELIMITED = 2;
const SIGNED_PREFIX = fromUtf8('noise-libp2p-static-key:');

export interface Libp2pIdentity {
  readonly privateKey: Ed25519PrivateKey;
  /** The public key as a protobuf, in hex. */
  readonly publicKey: string;
}

export async function createLibp2pIdentity(): Promise<Libp2pIdentity> {
  const privateKey = await generateKeyPair('Ed25519');
  return { privateKey, publicKey: toHex(publicKeyToProtobuf(privateKey.publicKey)) };
}

/** Fields here are shorter than 128 bytes, so that their lengths are varints of one byte. */
const field = (number: number, bytes: Uint8Array): Uint8Array =>
  concat(Uint8Array.of((number << 3) | LENGTH_DELIMITED, bytes.length), bytes);

function readVarint(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = reader.u8();
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new Error('a varint is too long');
}

function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  for (const reader = new Reader(bytes); reader.remaining > 0; ) {
    const tag = readVarint(reader);
    if ((tag & 7) !== LENGTH_DELIMITED) throw new Error(`a field of wire type ${tag & 7}`);
    fields.set(tag >>> 3, reader.raw(readVarint(reader)));
  }
  return fields;
}

/** In XX the first message carries nothing; the next ones carry the identity of who wrote them. */
export function libp2pPayloads(
  { privateKey, publicKey }: Libp2pIdentity,
  staticKey: Uint8Array,
  remoteStatic: () => Uint8Array | undefined,
  remoteIdentity: string | undefined,
): Payloads {
  return {
    async next(index) {
      if (index === 0) return EMPTY;
      const signature = await privateKey.sign(concat(SIGNED_PREFIX, staticKey));
      const key = publicKeyToProtobuf(privateKey.publicKey);
      if (toHex(key) !== publicKey) throw new Error('the identity changed');
      return concat(field(IDENTITY_KEY, key), field(IDENTITY_SIGNATURE, signature));
    },
    async check(index, payload) {
      if (index === 0) {
        if (payload.length > 0) throw new Error('a payload in the first message');
        return;
      }
      const fields = fieldsOf(payload);
      const key = fields.get(IDENTITY_KEY) ?? EMPTY;
      if (toHex(key) !== remoteIdentity) throw new Error('the identity of somebody else');
      const signed = concat(SIGNED_PREFIX, remoteStatic() ?? EMPTY);
      const signature = fields.get(IDENTITY_SIGNATURE) ?? EMPTY;
      if (!(await publicKeyFromProtobuf(key).verify(signed, signature))) throw new Error('a wrong signature');
    },
  };
}
