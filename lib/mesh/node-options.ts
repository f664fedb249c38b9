/** What an application chooses when it makes a node, and the check of it. */
import { copyOf, EMPTY } from '../bytes.js';
import {
  type ChannelLimits,
  type HandshakeGateOptions,
  type HandshakePolicy,
  type PostQuantumPolicy,
  requireLengthBuckets,
  requireRefreshInterval,
} from '../channel/index.js';
import type { AeadName, CryptoProvider } from '../crypto/interface.js';
import type { Env, Logger } from '../env.js';
import { requireArgument } from '../errors.js';
import type { Identity } from '../identity/identity.js';
import type { Membership } from '../identity/membership.js';
import { LIMITS } from '../limits.js';
import type { NodeStore } from '../store.js';
import type { Transport } from '../transport.js';
import type { AdmitPeer } from './admission.js';
import type { AdmitSubscriber, PeerAddress, RelayOptions } from './types.js';

/** Limits of each channel. `maxMessageBytes` is none of them: both ends must have the same. */
export type NodeChannelLimits = Omit<ChannelLimits, 'maxMessageBytes'>;

export interface NodeOptions {
  readonly identity: Identity;
  readonly networkId: string;
  readonly transports: readonly Transport[];
  /** Addresses to listen on, e.g. `ws://127.0.0.1:0`. Default: none. */
  readonly listen?: readonly string[];
  /** Neighbours to keep channels with. Default: none, and only those who dial. */
  readonly peers?: readonly PeerAddress[];
  /** Who may open channels and sessions, and be a relay of ours. */
  readonly membership: Membership;
  /**
   * Asked for every channel and every session, next to membership: both must agree, and no byte of the application passes
   * before. At most 5 s (`admitTimeoutMs`); a throw, a rejection or a later answer refuses.
   *
   * @example
   * admit: async (peer, { attestation, handshakeHash }) => (await verifyQuote(attestation, handshakeHash)).ok
   */
  readonly admit?: AdmitPeer;
  /**
   * 32 secret bytes that every node of a closed network has: nobody without them finishes a handshake, of a channel or of
   * a session. Copied. Default: none.
   */
  readonly psk?: Uint8Array;
  /** Default `required`: every handshake, of channels and of sessions, is hybrid with ML-KEM. */
  readonly postQuantum?: PostQuantumPolicy;
  /** AEADs by preference; the first is proposed. Default: AESGCM first where node:crypto is, else ChaChaPoly. */
  readonly ciphers?: readonly AeadName[];
  /** Bytes of the application that `admit` of every peer sees, at most 224. Default: none. */
  readonly capabilities?: Uint8Array;
  /**
   * Evidence of the platform for `admit` of every peer, at most 12,288 bytes; with more than 1,024 handshakes are never
   * IK. A function is called for each handshake, so that evidence can be renewed; when it throws, or gives too much, that
   * handshake goes without evidence and the log says so. Default: none.
   */
  readonly attestation?: Uint8Array | (() => Uint8Array);
  /** What strangers may cost before they are authenticated, over all addresses. Defaults: those of `LIMITS`. */
  readonly handshakeLimits?: HandshakeGateOptions;
  /** Bytes and milliseconds, as in `LIMITS`, by which they default. */
  readonly channelLimits?: Partial<NodeChannelLimits>;
  /**
   * Lengths in bytes that records of channels are padded to, as `powerOfTwoBuckets()` gives them: it costs bandwidth.
   * Default: no padding.
   */
  readonly lengthBuckets?: readonly number[];
  /** Forward for others. Default: false. */
  readonly relay?: boolean | RelayOptions;
  /**
   * Keys of a session come from a Diffie-Hellman exchange that is at most this old: between 0.8 and 1 of it a new one
   * takes over the streams. 5,000 ms at least; default 3,600,000.
   */
  readonly sessionLifetimeMs?: number;
  /**
   * Sessions that other peers may have with this node. Idle ones are kept; beyond this number the one that was idle for
   * longest, a minute at least, makes room for a new one. Default: 4,096.
   */
  readonly maxSessions?: number;
  /**
   * Bytes of messages that this node holds for all peers together: in part, too early, or not read yet. At least
   * 16,777,216; default 268,435,456. A peer holds at most 4 MiB and one message; near the bound the one that holds most is
   * refused first, and sends again.
   */
  readonly maxReceiveBytes?: number;
  /** Publications that are kept for subscribers that missed them, per topic, 16 MiB at most. Default: 1,024. */
  readonly publicationHistory?: number;
  /**
   * Where the node keeps what must not get older over a restart, the newest roster above all; `openFileStore` of
   * `hopfair/storage` is one. The application closes it after the node. Default: nothing is kept.
   */
  readonly store?: NodeStore;
  /**
   * Subscribers of a topic that this node sends to itself, 2 to 64; with more of them, each passes what it gets on to as
   * many others. Default: 16.
   */
  readonly publicationFanOut?: number;
  /** Asked for every peer that subscribes to a topic of this node. Default: every member may. */
  readonly admitSubscriber?: AdmitSubscriber;
  /** Default: the fastest backend of the platform. */
  readonly crypto?: CryptoProvider;
  /** Default: the surroundings of a Node process. */
  readonly env?: Env;
}

/** Everything that `createNode` fills in. */
export type CompleteNodeOptions = NodeOptions & { readonly env: Env; readonly crypto: CryptoProvider };

export interface ChannelSettings {
  readonly channelLimits: Partial<NodeChannelLimits>;
  readonly lengthBuckets?: readonly number[] | undefined;
}

/** A handshake, and what makes two of them simultaneous, must fit in the rest of it. */
const MIN_SESSION_LIFETIME_MS = 5_000;
/** A few peers with all that one may hold. */
const MIN_RECEIVE_BYTES = 16_777_216;
const AEADS: readonly string[] = ['ChaChaPoly', 'AESGCM'] satisfies AeadName[];
const FIXED_LIMITS: readonly string[] = ['maxMessageBytes'];

/** Throws INVALID_ARGUMENT. */
export function checkNodeOptions(options: NodeOptions): void {
  const { identity, networkId, psk, postQuantum, ciphers, capabilities, attestation, admit } = options;
  requireArgument(identity.networkId === networkId, 'the identity belongs to another network');
  requireArgument(options.transports.length > 0, 'a node needs a transport');
  requireArgument(psk === undefined || isBytes(psk, 32, 32), 'a pre-shared key is 32 bytes');
  requireArgument(
    postQuantum === undefined || postQuantum === 'required' || postQuantum === 'off',
    'postQuantum is "required" or "off"',
  );
  if (ciphers !== undefined) {
    const isKnown =
      ciphers.length > 0 && ciphers.every((name, i) => AEADS.includes(name) && ciphers.indexOf(name) === i);
    requireArgument(isKnown, `ciphers are one or both of ${AEADS.join(', ')}`);
  }
  const { maxNodeCapabilityBytes, maxAttestationBytes } = LIMITS;
  requireArgument(
    capabilities === undefined || isBytes(capabilities, 0, maxNodeCapabilityBytes),
    `capabilities have ${maxNodeCapabilityBytes} bytes at most`,
  );
  requireArgument(
    attestation === undefined || typeof attestation === 'function' || isBytes(attestation, 0, maxAttestationBytes),
    `attestation is a function, or ${maxAttestationBytes} bytes at most`,
  );
  requireArgument(admit === undefined || typeof admit === 'function', 'admit is a function');
  const { sessionLifetimeMs = LIMITS.sessionLifetimeMs, maxSessions = LIMITS.maxSessions } = options;
  const isLifetime = sessionLifetimeMs >= MIN_SESSION_LIFETIME_MS && sessionLifetimeMs <= LIMITS.sessionLifetimeMs;
  requireArgument(isLifetime, `sessions live ${MIN_SESSION_LIFETIME_MS} to ${LIMITS.sessionLifetimeMs} ms`);
  requireArgument(Number.isSafeInteger(maxSessions) && maxSessions > 0, 'maxSessions is a number above zero');
  const { maxReceiveBytes = LIMITS.maxReceiveBytes } = options;
  const isReceiveBound = Number.isSafeInteger(maxReceiveBytes) && maxReceiveBytes >= MIN_RECEIVE_BYTES;
  requireArgument(isReceiveBound, `maxReceiveBytes is at least ${MIN_RECEIVE_BYTES}`);
  const { publicationFanOut = LIMITS.publicationFanOut, publicationHistory = LIMITS.publicationHistory } = options;
  const isDegree = Number.isSafeInteger(publicationFanOut) && publicationFanOut >= 2;
  const { maxPublicationFanOut } = LIMITS;
  requireArgument(isDegree && publicationFanOut <= maxPublicationFanOut, `a fan-out is 2 to ${maxPublicationFanOut}`);
  requireArgument(Number.isSafeInteger(publicationHistory) && publicationHistory > 0, 'a history is above zero');
  requireArgument(
    options.admitSubscriber === undefined || typeof options.admitSubscriber === 'function',
    'admitSubscriber is a function',
  );
  checkNumbers('handshakeLimits', { ...options.handshakeLimits });
  requireArgument((options.handshakeLimits?.cpuShare ?? 0) <= 1, 'cpuShare is a share of one core');
  checkChannelLimits(options.channelLimits ?? {});
  if (options.lengthBuckets !== undefined) requireLengthBuckets(options.lengthBuckets, LIMITS.maxMessageBytes);
}

function checkChannelLimits(limits: Partial<NodeChannelLimits>): void {
  for (const name of Object.keys(limits)) {
    requireArgument(name in LIMITS && !FIXED_LIMITS.includes(name), `channelLimits has no ${name}`);
  }
  checkNumbers('channelLimits', { ...limits });
  requireRefreshInterval(limits.keyRefreshIntervalMs ?? LIMITS.keyRefreshIntervalMs);
  const { maxChannelMessageBytes, maxChannelQueueBytes, maxChannelReceiveBytes } = { ...LIMITS, ...limits };
  // A path set-up carries a handshake message, and the link state of a node with all its edges is smaller.
  const needed = 2 * LIMITS.maxFrameBytes;
  requireArgument(maxChannelMessageBytes >= needed, `maxChannelMessageBytes is at least ${needed}`);
  requireArgument(maxChannelQueueBytes >= 2 * maxChannelMessageBytes, 'the queue of a channel holds two messages');
  requireArgument(maxChannelReceiveBytes >= 131_072, 'maxChannelReceiveBytes is at least 131,072');
}

function checkNumbers(where: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'function') continue;
    requireArgument(typeof value === 'number' && Number.isFinite(value) && value > 0, `${where}.${name} is above zero`);
  }
}

const isBytes = (value: unknown, min: number, max: number): boolean =>
  value instanceof Uint8Array && value.length >= min && value.length <= max;

/** What every handshake of the node goes by, channels and sessions alike. */
export function handshakePolicyOf(options: CompleteNodeOptions): () => HandshakePolicy {
  const { crypto, identity, networkId, postQuantum, ciphers, capabilities = EMPTY, attestation } = options;
  const fixed = {
    crypto,
    identity,
    networkId,
    capabilities: copyOf(capabilities),
    ...(options.psk !== undefined && { psk: copyOf(options.psk) }),
    ...(postQuantum !== undefined && { postQuantum }),
    ...(ciphers !== undefined && { ciphers: [...ciphers] }),
  };
  if (attestation === undefined) return () => fixed;
  if (typeof attestation === 'function') {
    return () => ({ ...fixed, attestation: currentEvidence(attestation, options.env.log) });
  }
  const evidence = copyOf(attestation);
  return () => ({ ...fixed, attestation: evidence });
}

function currentEvidence(attest: () => Uint8Array, log: Logger): Uint8Array {
  try {
    const evidence = attest();
    requireArgument(isBytes(evidence, 0, LIMITS.maxAttestationBytes), `${LIMITS.maxAttestationBytes} bytes at most`);
    return evidence;
  } catch (error) {
    // A mistake of the application must not stop handshakes with peers that ask for no evidence.
    log.error('attestation-failed', { cause: String(error) });
    return EMPTY;
  }
}
