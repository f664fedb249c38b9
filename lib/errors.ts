/**
 * One error class for the whole package. The `code` is stable and documented in docs/errors.md; the message may change.
 *
 * Three sources never mix: a mistake of the caller is thrown, a failure of the environment rejects a promise or closes
 * a connection with a cause, and misbehaviour of a peer is an input to the machines, never a throw across a layer.
 */
export const ERROR_CODES = {
  // caller
  INVALID_ARGUMENT: 'an argument is of the wrong type, size or range',
  INVALID_STATE: 'the object was closed, drained, or is not ready for this call',
  CONFIG_INVALID: 'a configuration value is missing, unknown or out of range',
  // input that a peer or a file supplied
  DECODE_FAILED: 'bytes are truncated, over a limit, or not canonical',
  LIMIT_EXCEEDED: 'a documented limit would be exceeded',
  // identity and admission
  IDENTITY_FILE_UNSAFE: 'the identity file can be read by others, or is damaged',
  CERTIFICATE_INVALID: 'the certificate of a static key does not verify, is expired, or names another network',
  CERTIFICATE_SUPERSEDED: 'the peer has shown a certificate of a higher epoch before',
  ROSTER_INVALID: 'the roster does not verify, is older than the one already held, or is expired',
  NOT_ADMITTED: 'the peer is not on the allow-list, was revoked, or admission refused it',
  ADMISSION_UNDECIDED: 'no verdict on the peer came in time, or too many were awaited',
  // channel
  HANDSHAKE_FAILED: 'the Noise handshake failed; outside, every cause looks the same',
  HANDSHAKE_TIMEOUT: 'the peer did not finish the handshake in time',
  SUITE_DOWNGRADED: 'the peer proposed a weaker suite than the local policy allows',
  DECRYPT_FAILED: 'a record or packet did not authenticate',
  NONCE_EXHAUSTED: 'the cipher state reached n = 2^64 - 1',
  KEY_REFRESH_FAILED: 'the fresh DH of a live channel failed, or the peer did not answer it in time',
  CHANNEL_TRUNCATED: 'the stream ended without its authenticated end',
  CHANNEL_CLOSED: 'the channel was closed',
  BACKPRESSURE: 'the queue is full and the policy is to refuse',
  // transports
  ADDRESS_INVALID: 'the address is malformed or its scheme has no transport',
  DIAL_FAILED: 'no connection could be made',
  LISTEN_FAILED: 'the address could not be listened on',
  CONNECTION_LOST: 'the transport failed below an open channel',
  // mesh
  NO_ROUTE: 'no path of admitted relays leads to the peer',
  TTL_EXPIRED: 'the message passed its ttl before it could leave',
  SESSION_CLOSED: 'the end-to-end session was closed',
  SUBSCRIPTION_REFUSED: 'the publisher does not admit this node to the topic, or no longer, or has no room',
  // broadcast
  COMMITTEE_UNSOUND: 'the committee parameters cannot be safe or live',
  ORDER_EXPIRED: 'the order expired before it was solid',
  ORDER_REJECTED: 'the committee cannot accept the order as it stands',
  QUOTA_EXCEEDED: 'the sender has used up its quota',
  // storage
  STORAGE_CORRUPT: 'a record that was durable is damaged',
  STORAGE_FAILED: 'the disk refused a write or an fsync',
  STORAGE_LOCKED: 'another process holds this data folder',
  // everything else
  ABORTED: 'the caller aborted the operation',
  TIMEOUT: 'the operation did not finish in its time',
  INTERNAL: 'an invariant of hopfair itself was broken; please report it',
} as const;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * The error that every part of hopfair throws or rejects with.
 *
 * @example
 * try { await session.send(bytes) } catch (error) {
 *   if (error instanceof HopfairError && error.retryable) retryLater();
 * }
 */
export class HopfairError extends Error {
  override readonly name: string = 'HopfairError';
  readonly code: ErrorCode;
  /** True when the same call can succeed later without a change by the caller. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** Throws INVALID_ARGUMENT unless the condition holds. For mistakes of the caller only. */
export function requireArgument(condition: boolean, message: string): asserts condition {
  if (!condition) throw new HopfairError('INVALID_ARGUMENT', message);
}

/** Throws INTERNAL unless the condition holds. For invariants, never for input. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new HopfairError('INTERNAL', `invariant broken: ${message}`);
}
