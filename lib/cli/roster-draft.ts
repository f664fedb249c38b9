/**
 * What travels between those who sign: a draft, which is what is to be signed, and signatures. Both are JSON, so that they
 * pass through any mail; the hash that both name is what signers compare by another way.
 */
import { fromHex, toHex } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { parsePeerId, peerIdOf, publicKeyOf } from '../identity/peer-id.js';
import { decodeRotationBody, type RootRotation, type RootSignature } from '../identity/root-keys.js';
import { decodeRosterBody, type Roster } from '../identity/roster.js';
import { readJson } from './roster-file.js';

const DRAFT_FORMAT = 'hopfair-roster-draft-1';
const SIGNATURE_FORMAT = 'hopfair-roster-signature-1';

export type Draft = { readonly body: Uint8Array; readonly hash: string } & (
  | { readonly kind: 'roster'; readonly roster: Roster }
  | { readonly kind: 'rotation'; readonly rotation: RootRotation }
);

const invalid = (path: string, why: string): HopfairError => new HopfairError('CONFIG_INVALID', `${path}: ${why}`);

/** Throws DECODE_FAILED when the body is none of its kind. */
export function draftOf(crypto: CryptoProvider, kind: Draft['kind'], body: Uint8Array): Draft {
  const hash = toHex(crypto.hash('SHA256').digest(body));
  return kind === 'roster'
    ? { kind, body, hash, roster: decodeRosterBody(body) }
    : { kind, body, hash, rotation: decodeRotationBody(body) };
}

export const draftText = ({ kind, body, hash }: Draft): string =>
  `${JSON.stringify({ format: DRAFT_FORMAT, kind, hash, body: toHex(body) }, undefined, 2)}\n`;

/** Throws CONFIG_INVALID for anything else, and for a body that the hash is not of. */
export function readDraft(crypto: CryptoProvider, path: string): Draft {
  const { format, kind, hash, body } = readJson(path);
  if (format !== DRAFT_FORMAT) throw invalid(path, `it is no draft of format ${DRAFT_FORMAT}`);
  if (kind !== 'roster' && kind !== 'rotation') throw invalid(path, 'it is a draft of neither a roster nor a rotation');
  const draft = draftOf(crypto, kind, hex(path, body));
  if (draft.hash !== hash) throw invalid(path, 'it was changed since it was made');
  return draft;
}

export const signatureText = (draft: Draft, { rootKey, signature }: RootSignature): string =>
  `${JSON.stringify(
    { format: SIGNATURE_FORMAT, hash: draft.hash, rootKey: peerIdOf(rootKey), signature: toHex(signature) },
    undefined,
    2,
  )}\n`;

/** Throws CONFIG_INVALID for anything else, and for a signature of another draft. */
export function readSignature(path: string, draft: Draft): RootSignature {
  const { format, hash, rootKey, signature } = readJson(path);
  if (format !== SIGNATURE_FORMAT) throw invalid(path, `it is no signature of format ${SIGNATURE_FORMAT}`);
  if (hash !== draft.hash) throw invalid(path, `it signs ${String(hash)}, another draft`);
  try {
    return { rootKey: publicKeyOf(parsePeerId(String(rootKey))), signature: hex(path, signature) };
  } catch (cause) {
    throw invalid(path, (cause as Error).message);
  }
}

function hex(path: string, value: unknown): Uint8Array {
  if (typeof value === 'string' && value.length % 2 === 0 && /^[0-9a-f]*$/.test(value)) return fromHex(value);
  throw invalid(path, 'it is damaged: what should be hexadecimal is not');
}
