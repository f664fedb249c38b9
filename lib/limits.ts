/**
 * Every limit that protects this process from a peer, with its default and the reason. Each is an option somewhere;
 * docs/limits.md is generated from what stands here. A length, count, depth, rate or queue without a line here is a bug.
 */
export const LIMITS = {
  // transports and channels (channel.md, "Under attack")
  /** Largest message on a connection: a record of 64 KiB and its header. */
  maxMessageBytes: 65_600,
  /** First handshake message: XXhfs needs 1,216 bytes and a payload. */
  maxFirstHandshakeBytes: 4_096,
  /** Later handshake messages: attestation evidence may be large. */
  maxHandshakeBytes: 16_384,
  firstHandshakeTimeoutMs: 1_000,
  handshakeTimeoutMs: 5_000,
  admitTimeoutMs: 5_000,
  maxHalfOpen: 1_024,
  /** Handshakes per second and address (IPv4 address or IPv6 /64), and the burst. */
  handshakesPerSecond: 20,
  handshakeBurst: 5,
  /** Bytes that wait in a channel for the connection, per channel. */
  maxChannelQueueBytes: 4_194_304,

  // identity
  maxCertificateLifetimeMs: 604_800_000,
  clockSkewMs: 300_000,
  maxNetworkIdBytes: 64,
  maxRosterPeers: 4_096,

  // mesh (overlay.md)
  maxRelays: 2,
  maxEdgesPerNode: 256,
  maxFrameBytes: 16_384,
  maxLabelsPerIngress: 1_024,
  maxLabelsPerSource: 64,
  labelIdleMs: 120_000,
  pathSetupsPerSecond: 20,
  /** A message of the application, reassembled from frames. */
  maxApplicationMessageBytes: 1_048_576,
  maxSessionQueueBytes: 4_194_304,
  replayWindow: 16_384,

  // broadcast (order.md)
  maxMembers: 64,
  maxPayloadBytes: 16_384,
  maxBatchOrders: 256,
  maxOrderTtlMs: 60_000,
} as const;
