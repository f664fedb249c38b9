/** Protocol names, Noise spec section 8: `Noise_XX_25519_ChaChaPoly_SHA256`. */
import type { AeadName, HashName } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { type HandshakePattern, type MessagePattern, type PreMessagePattern, parsePattern } from './patterns.js';

/** Which static keys a side must have, and which it must know of the other, before the first message. */
export interface KeyNeeds {
  readonly needsStatic: boolean;
  readonly knowsRemote: boolean;
}

export interface NoiseProtocol {
  readonly name: string;
  readonly pattern: HandshakePattern;
  readonly dh: '25519';
  /** Present with the `hfs` modifier. */
  readonly kem: 'MLKEM768' | undefined;
  readonly cipher: AeadName;
  readonly hash: HashName;
  readonly keys: { readonly initiator: KeyNeeds; readonly responder: KeyNeeds };
  readonly pskCount: number;
}

const CIPHERS: ReadonlySet<string> = new Set<AeadName>(['ChaChaPoly', 'AESGCM']);
const HASHES: ReadonlySet<string> = new Set<HashName>(['SHA256', 'SHA512', 'BLAKE2s', 'BLAKE2b']);
const isCipher = (text: string | undefined): text is AeadName => text !== undefined && CIPHERS.has(text);
const isHash = (text: string | undefined): text is HashName => text !== undefined && HASHES.has(text);

function keyNeeds({ preMessages, messages }: HandshakePattern, initiator: boolean): KeyNeeds {
  const hasStatic = (line: PreMessagePattern | MessagePattern): boolean => line.tokens.some(token => token === 's');
  return {
    needsStatic: [...preMessages, ...messages].some(line => line.fromInitiator === initiator && hasStatic(line)),
    knowsRemote: preMessages.some(line => line.fromInitiator !== initiator && hasStatic(line)),
  };
}

function parse(name: string): NoiseProtocol {
  const [prefix, pattern = '', dh, cipher, hash, ...rest] = name.split('_');
  const refuse = (what: string): HopfairError => new HopfairError('INVALID_ARGUMENT', `protocol ${name}: ${what}`);
  if (prefix !== 'Noise' || rest.length > 0) throw refuse('is not a Noise protocol name');
  if (dh !== '25519' && dh !== '25519+MLKEM768') throw refuse('offers a DH function that is not supported');
  if (!isCipher(cipher)) throw refuse('names an unknown cipher');
  if (!isHash(hash)) throw refuse('names an unknown hash');
  const parsed = parsePattern(pattern);
  const kem = dh === '25519' ? undefined : 'MLKEM768';
  if ((kem !== undefined) !== parsed.messages.some(m => m.tokens.includes('e1'))) {
    throw refuse('the hfs modifier and a KEM belong together');
  }
  const keys = { initiator: keyNeeds(parsed, true), responder: keyNeeds(parsed, false) };
  const pskCount = parsed.messages.flatMap(m => m.tokens).filter(token => token === 'psk').length;
  return { name, pattern: parsed, dh: '25519', kem, cipher, hash, keys, pskCount };
}

/** Names come from local configuration, never from a peer, so their number is small. */
const parsedNames = new Map<string, NoiseProtocol>();

/** Throws INVALID_ARGUMENT for a name that is malformed or not supported. */
export function parseProtocolName(name: string): NoiseProtocol {
  let protocol = parsedNames.get(name);
  if (protocol === undefined) {
    protocol = parse(name);
    parsedNames.set(name, protocol);
  }
  return protocol;
}
