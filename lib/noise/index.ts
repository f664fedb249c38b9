/**
 * The Noise Protocol Framework, revision 34 (https://noiseprotocol.org/noise.html), one file per object of the
 * specification and under its names. Pure: bytes, keys and random bytes go in, messages and cipher states come out.
 * It knows DH, AEAD, hash and KEM through the interfaces of `lib/crypto/interface.ts`.
 * It must never know who a peer is, what a payload means, or how messages travel: that is for identity and channel.
 */
export { CipherState, TAG_LENGTH } from './cipher-state.js';
export { Exporter } from './exporter.js';
export {
  type FallbackOptions,
  type FixedEphemerals,
  type HandshakeOptions,
  type HandshakeResult,
  HandshakeState,
  MAX_MESSAGE_LENGTH,
} from './handshake-state.js';
export { type HandshakePattern, PATTERN_NAMES, parsePattern } from './patterns.js';
export { type NoiseProtocol, parseProtocolName } from './protocol-name.js';
