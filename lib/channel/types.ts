/** The face of a channel: what the layers above see and what they choose. */
import type { AeadName, CryptoProvider } from '../crypto/interface.js';
import type { Env, UnixMs } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { Certificate, Identity, PeerId } from '../identity/index.js';
import type { LIMITS } from '../limits.js';
import type { CipherState } from '../noise/index.js';
import type { HandshakeGate } from './gate.js';

/** Strict: what is queued in a higher class leaves before everything that is queued in a lower one. */
export type Priority = 'urgent' | 'normal' | 'bulk';

export interface ChannelSendOptions {
  /** Default `normal`. */
  readonly priority?: Priority;
  /** The message is dropped when it has not begun to leave after this long. Default: it never expires. */
  readonly ttlMs?: number;
  /**
   * What to do when the queue is full. `refuse` (default): nothing, and `send` answers false. `dropStalest`: the oldest
   * messages of the lowest priority that is not above this one's make room, unless they have begun to leave; `send`
   * answers false where that is not enough. To wait instead, call `whenRoom`.
   */
  readonly whenFull?: 'refuse' | 'dropStalest';
}

export interface ChannelHandler {
  /**
   * One whole message. It may be kept, but it is a view of a record: copy it when a small message is kept for long,
   * since it keeps the record of up to 64 KiB alive.
   */
  onMessage(message: Uint8Array, priority: Priority): void;
  /** There is room again after `send` returned false, or after `requestRoom`. */
  onDrain(): void;
  /** A record of the peer has opened for the first time: it has admitted this end. Not called if `attach` came later. */
  onConfirmed?(): void;
  /** The peer has ended: `send` takes nothing more, what is queued still leaves, and `onClose` follows. */
  onEnding?(): void;
  /** Called exactly once, the last of all. `cause` is undefined after an authenticated end. */
  onClose(cause: HopfairError | undefined): void;
}

export interface ChannelStats {
  readonly sentMessages: number;
  readonly sentBytes: number;
  readonly sentRecords: number;
  readonly receivedMessages: number;
  readonly receivedBytes: number;
  readonly receivedRecords: number;
  /** Fresh DHs since the handshake. */
  readonly keyRefreshes: number;
  /** Messages that passed their ttl before they could leave. */
  readonly expiredMessages: number;
  /** Messages that made room for others (`whenFull: 'dropStalest'`). */
  readonly droppedMessages: number;
  /** Bytes that wait in this channel to be sent. */
  readonly queuedBytes: number;
  /** Bytes received that wait for a paused handler. */
  readonly heldBytes: number;
  /** Bytes that the peer has not acknowledged, and how many may be. */
  readonly unacknowledgedBytes: number;
  readonly windowBytes: number;
  /** The lowest round trip of the last ten seconds; undefined before the first. */
  readonly minRttMs: number | undefined;
}

/** An authenticated, encrypted, flow-controlled stream of messages in both directions. */
export interface Channel {
  /** Who dialled; the mesh resolves simultaneous dials by it. */
  readonly role: Role;
  readonly peer: PeerId;
  readonly remoteAddress: string;
  /** The newest certificate that the peer presented, verified; a key refresh brings it up to date. */
  readonly certificate: Certificate;
  /** Public: binds other protocols to this channel, is never key material. That of the first handshake, always. */
  readonly handshakeHash: Uint8Array;
  readonly closed: boolean;
  /** A record of the peer has opened, so that it has admitted this end. An initiator sends one at once. */
  readonly confirmed: boolean;
  /** Either end has ended it, so that it takes no more messages; or it is closed. */
  readonly ending: boolean;
  readonly stats: ChannelStats;
  /** Bytes that wait in this channel to be sent, as in `stats`. */
  readonly queuedBytes: number;
  /**
   * Bytes of normal messages that would leave at the end of this turn; negative when so many urgent and normal ones wait
   * for the window or the connection. Who schedules fairly hands over no more than this: what waits here is in order.
   */
  readonly headroomBytes: number;
  /**
   * Calls `onDrain` once, when `headroomBytes` is above this. Ask only while it is not: nothing else calls it.
   *
   * @example
   * if (channel.headroomBytes > -16_384) channel.send(next());
   * else channel.requestRoom(-16_384);
   */
  requestRoom(headroomBytes: number): void;
  /**
   * Secret bytes that only both ends can derive, the same at both for one label, as long as the channel lives: they come
   * from the first handshake. Throws INVALID_STATE once closed.
   */
  exportSecret(label: string, length: number): Uint8Array;
  /** Sets the handler. Nothing that arrives before is lost. */
  attach(handler: ChannelHandler): void;
  /**
   * Queues one message (its parts are joined in order) that leaves at the end of this turn, in one record with all
   * others. Parts must not change afterwards. Returns false, having queued nothing, when the queue is full (wait for
   * `onDrain` or `whenRoom`) or the channel is closed. Throws INVALID_ARGUMENT above the largest message.
   */
  send(message: Uint8Array | readonly Uint8Array[], options?: ChannelSendOptions): boolean;
  /**
   * Completes when there is room again after `send` returned false, or at once when nothing was refused. Rejects with
   * CHANNEL_CLOSED when the channel takes no more messages, and with ABORTED when the signal says so.
   *
   * @example
   * while (!channel.send(message)) await channel.whenRoom(signal);
   */
  whenRoom(signal?: AbortSignal): Promise<void>;
  /** Holds messages back, and so, once the granted credit is used up, the sender. */
  pause(): void;
  resume(): void;
  /**
   * Messages are queued but do not leave until `releaseMessages` or `close`; control does. So that two channels to one
   * peer can follow one another without a message of the second overtaking one of the first.
   */
  holdMessages(): void;
  releaseMessages(): void;
  /** Sends what is queued, then the authenticated end; completes when the peer has ended too. */
  close(): void;
  /**
   * Ends at once since the peer may no longer be here: what is queued is dropped, the peer is told NOT_ADMITTED in an
   * authenticated end, and the own `onClose` says the same.
   */
  revoke(): void;
  /** Ends at once, without the authenticated end: the peer sees CHANNEL_TRUNCATED. */
  destroy(cause?: HopfairError): void;
}

export type Role = 'initiator' | 'responder';

/** What this peer proves about itself: an `Identity`, of which a handshake needs this much. */
export type LocalIdentity = Pick<Identity, 'peer' | 'staticKey' | 'certificate'>;

/** What a peer has proved when the handshake is done; `admit` decides on it. */
export interface PeerEvidence {
  readonly certificate: Certificate;
  readonly capabilities: Uint8Array;
  readonly attestation: Uint8Array;
  readonly handshakeHash: Uint8Array;
  readonly remoteAddress: string;
}

/**
 * Whether the peer may open a channel. A promise that rejects refuses it; one that takes longer than `admitTimeoutMs`
 * ends it with ADMISSION_UNDECIDED at both ends.
 */
export type Admit = (peer: PeerId, evidence: PeerEvidence) => boolean | Promise<boolean>;

/** `required` refuses every suite without ML-KEM; `off` is the explicit policy for classical suites. */
export type PostQuantumPolicy = 'required' | 'off';

export interface HandshakePolicy {
  readonly crypto: CryptoProvider;
  readonly identity: LocalIdentity;
  readonly networkId: string;
  /** Default `required`. */
  readonly postQuantum?: PostQuantumPolicy;
  /** 32 bytes that all peers of a closed network share: IKpsk2 and XXpsk3, and nothing without. */
  readonly psk?: Uint8Array;
  /** AEADs by preference; the first is proposed. Default: the faster one here first, as measured. */
  readonly ciphers?: readonly AeadName[];
  /** Application bytes for the peer, at most 256. */
  readonly capabilities?: Uint8Array;
  /**
   * Tells peers that timers here may be late, so that they allow for `throttledPeerTimeoutMs` of silence. Default for
   * channels: what the Env says, true in a browser's document.
   */
  readonly throttledTimers?: boolean;
  /** Evidence of the platform, at most 12 KiB. */
  readonly attestation?: Uint8Array;
}

export interface HandshakeOptions extends HandshakePolicy {
  readonly role: Role;
  /** What is set up: part of the prologue, so that no handshake can be replayed in another place. */
  readonly context: 'channel' | 'session';
  /** Initiator: refuse everybody else. */
  readonly expectedPeer?: PeerId;
  /** Initiator: the certified static key of the expected peer, which makes the handshake IK instead of XX. */
  readonly remoteStatic?: Uint8Array;
  /** Secure random bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly now: UnixMs;
  /** Secret bytes that both ends have from elsewhere: the handshake fails unless they are the same. */
  readonly binding?: Uint8Array;
  /** Only this suite is offered and taken: what was agreed on once is never weakened. */
  readonly suiteId?: number;
  readonly limits?: Partial<Pick<ChannelLimits, 'maxFirstHandshakeBytes' | 'maxHandshakeBytes'>>;
}

export type ChannelLimits = {
  readonly [K in
    | 'maxMessageBytes'
    | 'maxFirstHandshakeBytes'
    | 'maxHandshakeBytes'
    | 'firstHandshakeTimeoutMs'
    | 'handshakeTimeoutMs'
    | 'admitTimeoutMs'
    | 'maxChannelQueueBytes'
    | 'maxChannelReceiveBytes'
    | 'maxChannelMessageBytes'
    | 'pingIntervalMs'
    | 'deadPeerTimeoutMs'
    | 'throttledPeerTimeoutMs'
    | 'stallTimeoutMs'
    | 'closeTimeoutMs'
    | 'keyRefreshIntervalMs']: (typeof LIMITS)[K] | number;
};

export interface ChannelOptions extends HandshakePolicy {
  readonly env: Env;
  readonly role: Role;
  readonly expectedPeer?: PeerId;
  readonly remoteStatic?: Uint8Array;
  /** Default: every peer with a valid certificate of this network. */
  readonly admit?: Admit;
  /** Responder: what strangers may cost, over all connections of this node. */
  readonly gate?: HandshakeGate;
  /**
   * Every record of this end is padded to the next of these lengths in bytes, at most 64 that rise, the last one from
   * 8,192 to `maxMessageBytes`; `powerOfTwoBuckets` makes such a list. Default: no padding.
   */
  readonly lengthBuckets?: readonly number[];
  readonly limits?: Partial<ChannelLimits>;
}

export interface ChannelEvents {
  /** The peer is authenticated and admitted. Attach synchronously or later; nothing is lost. */
  onChannel(channel: Channel): void;
  /** The connection is closed and no channel will come of it. `retryable` when XX may succeed where IK failed. */
  onFailed(error: HopfairError): void;
}

/** What both ends have when the handshake is done. */
export interface HandshakeResult {
  readonly peer: PeerId;
  readonly certificate: Certificate;
  readonly remoteStatic: Uint8Array;
  readonly capabilities: Uint8Array;
  readonly attestation: Uint8Array;
  /** The peer declares that its timers may be late. */
  readonly throttledTimers: boolean;
  /** The full Noise protocol name, e.g. `Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256`. */
  readonly suite: string;
  /** The number of the suite on the wire. */
  readonly suiteId: number;
  readonly handshakeHash: Uint8Array;
  /** Seals what this end sends. Whoever takes the result answers for destroying both. */
  readonly tx: CipherState;
  readonly rx: CipherState;
  /**
   * False at the responder of IK: its initiator has not proved yet that it is there. Nothing may be acted on until its
   * first record opens, or a replayed first message would pass for a peer.
   */
  readonly confirmed: boolean;
  /** Secret bytes that only both ends can derive, the same at both for one label. */
  exportSecret(label: string, length: number): Uint8Array;
  /** Zeroes the secret behind `exportSecret`, which throws INVALID_STATE from then on; `tx` and `rx` live on. */
  destroyExporter(): void;
  /** Zeroes all secrets. */
  destroy(): void;
}

/** What happened with one handshake message: `reply`, where present, is to be sent first. */
export type HandshakeStep =
  | { readonly kind: 'continue'; readonly reply: Uint8Array }
  | { readonly kind: 'done'; readonly reply: Uint8Array | undefined; readonly result: HandshakeResult }
  | { readonly kind: 'failed'; readonly reply: Uint8Array | undefined; readonly error: HopfairError };
