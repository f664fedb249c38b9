/**
 * Domain separation of signatures. Every signature of hopfair covers kind, network and epoch next to its body, so that
 * none can be taken for another. It is made and checked over the bytes as sent, never over a re-encoding.
 */
import { Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { type PeerId, publicKeyOf } from './peer-id.js';

/** What a signature is for. A closed list: a new message takes a new kind. */
export type SignatureKind =
  | 'certificate'
  | 'roster'
  | 'root-rotation'
  | 'link-state'
  | 'path-setup'
  | 'publication'
  | 'order-batch'
  | 'chunk'
  | 'promise'
  | 'proposal'
  | 'notarize'
  | 'nullify'
  | 'finalize'
  | 'shares'
  | 'root'
  | 'member-state'
  | 'epoch-change';

/** The bytes that are signed: "hopfair/1", kind, network id and epoch, each behind its length, then the body. */
export function signingBytes(kind: SignatureKind, networkId: string, epoch: number, body: Uint8Array): Uint8Array {
  return new Writer(body.length + 64).text('hopfair/1').text(kind).text(networkId).u64(epoch).raw(body).finish();
}

/** What a signature binds besides its body. */
export interface SignatureContext {
  readonly kind: SignatureKind;
  readonly networkId: string;
  readonly epoch: number;
}

/** True when `signature` is by `peer`, over this body in this context. */
export function verifySignature(
  crypto: CryptoProvider,
  peer: PeerId,
  context: SignatureContext,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { kind, networkId, epoch } = context;
  return crypto.verify(publicKeyOf(peer), signingBytes(kind, networkId, epoch, body), signature);
}
