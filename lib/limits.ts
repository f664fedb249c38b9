/**
 * Every limit that protects this process from a peer, with its default and the reason. Each is an option somewhere;
 * docs/limits.md is generated from what stands here. A length, count, depth, rate or queue without a line here is a bug.
 */
export const LIMITS = {
  // transports and channels (channel.md, "Under attack")
  /** Largest message on a connection once its peer is authenticated: a record of 64 KiB and its header. */
  maxMessageBytes: 65_600,
  /** Largest message until the first is taken: XXhfs needs 1,216 bytes, IKhfs with full capabilities below 3 KiB. */
  maxFirstHandshakeBytes: 4_096,
  /** Then, until the handshake is done: attestation evidence may be large. */
  maxHandshakeBytes: 16_384,
  /** From the accept of the socket, TLS and HTTP upgrade included. */
  firstHandshakeTimeoutMs: 1_000,
  handshakeTimeoutMs: 5_000,
  admitTimeoutMs: 5_000,
  /** Verdicts on authenticated peers that listeners await at once: each is a question to the application. */
  maxAdmissions: 256,
  /** Connections that are not authenticated yet, those in their HTTP upgrade included; strangers may have half. */
  maxHalfOpen: 1_024,
  /** Handshakes per second and address (IPv4 address or IPv6 /64), and the burst. */
  handshakesPerSecond: 20,
  handshakeBurst: 5,
  /** Share of one core that handshakes may take: with the burst a fifth of any ten seconds. */
  handshakeCpuShare: 0.19,
  /** What they may take at once, in ms; strangers may have half of both. Channels that are open feel it as delay. */
  handshakeCpuBurstMs: 100,
  /** How long a first message waits for that time: less than the initiator's patience, `handshakeTimeoutMs`. */
  maxHandshakeWaitMs: 3_000,
  /** Addresses whose peers were admitted: half of the slots and of the time are kept for them, for so long. */
  trustedAddressMs: 600_000,
  maxTrustedAddresses: 4_096,
  /** Addresses whose rate is remembered; the oldest is forgotten first, which only makes it whole again. */
  maxRatedAddresses: 16_384,
  /** Bytes that wait in a channel for the connection, per channel. */
  maxChannelQueueBytes: 4_194_304,
  /** Bytes received that a paused application has not taken, per channel: the credit that the peer is granted. */
  maxChannelReceiveBytes: 4_194_304,
  /** A message on a channel, put together from several records. */
  maxChannelMessageBytes: 1_048_576,
  /** A silent peer is asked for a sign of life after this, and given up after `deadPeerTimeoutMs`. */
  pingIntervalMs: 5_000,
  deadPeerTimeoutMs: 15_000,
  /** The same for a peer that declared throttled timers: browsers run those of hidden tabs once a minute. */
  throttledPeerTimeoutMs: 90_000,
  /** A peer that answers, but takes nothing of what waits for it, is given up after this. */
  stallTimeoutMs: 60_000,
  /** The queue and the authenticated end must have left, and the peer's end arrived, after this. */
  closeTimeoutMs: 5_000,
  /** The keys of a live channel come from a fresh DH at the latest after this: how long a stolen one is good for. */
  keyRefreshIntervalMs: 3_600_000,
  /** A peer that begins a refresh sooner than this after the last one is cut off: each costs a handshake. */
  minKeyRefreshIntervalMs: 10_000,
  maxCapabilityBytes: 256,
  maxAttestationBytes: 12_288,

  // identity
  maxCertificateLifetimeMs: 604_800_000,
  /** Certificates that need not be verified again: below 1 KiB each, and strangers can fill it with valid ones. */
  maxVerifiedCertificates: 1_024,
  clockSkewMs: 300_000,
  maxNetworkIdBytes: 64,
  /** Peers whose newest certificate is remembered: as many as a roster has. */
  maxKnownPeers: 4_096,
  maxRosterPeers: 4_096,
  maxRosterRevocations: 4_096,
  maxRosterEdges: 16_384,
  maxRosterAliases: 1_024,
  /** All lists of a roster nearly full, and its signatures: what one pull from a neighbour brings at most. */
  maxRosterBytes: 2_097_152,
  /** Root keys that a roster can be signed by. */
  maxRootKeys: 32,
  /** Changes of the root keys that travel with a roster, for those who know only older keys. */
  maxRootRotations: 16,
  /** An operator or region label. */
  maxLabelBytes: 64,

  // mesh (overlay.md)
  /** Capabilities that an application gives its node; the rest of `maxCapabilityBytes` is the node's own. */
  maxNodeCapabilityBytes: 224,
  /** On one route: three where two give fewer than two disjoint paths. */
  maxRelays: 3,
  /** In the list that a node signs of itself. */
  maxEdgesPerNode: 256,
  /** Lists of edges that one neighbour is asked for, or asks for, per second: each costs a signature check here. */
  linkStatesPerSecond: 200,
  /** And at once: all that is known, when a channel comes up. */
  linkStateBurst: 4_096,
  /** Lists that are asked of one neighbour and have not come. */
  maxLinkStatePulls: 256,
  /** New lists of one origin that are checked per second, twice what an honest one sends, and the burst. */
  linkStateVersionsPerSecond: 0.4,
  linkStateVersionBurst: 10,
  /** A neighbour that passes on a list which its origin did not sign is not listened to for so long: nobody honest does. */
  forgedLinkStateBanMs: 60_000,
  /** Channels with one peer while all but one of them end: two that were dialled at once, and some addresses of one node. */
  maxChannelsPerPeer: 8,
  maxFrameBytes: 16_384,
  maxLabelsPerIngress: 1_024,
  maxLabelsPerSource: 64,
  labelIdleMs: 120_000,
  /** Per ingress, and the burst: a peer that restarts sets up all its paths at once. Half is kept for other sources. */
  pathSetupsPerSecond: 20,
  pathSetupBurst: 120,
  /** Nonces of set-ups that are remembered until they expire, of one source and of all: each is below 200 bytes. */
  maxNoncesPerSource: 1_024,
  maxNonces: 65_536,
  /** A message of the application, reassembled from frames. */
  maxApplicationMessageBytes: 1_048_576,
  /** What waits for one peer, each message counted with 192 bytes more than it has. */
  maxSessionQueueBytes: 4_194_304,
  /** Reliable messages of one service and sender that its application has not taken, counted the same way: both ends know it. */
  serviceCreditBytes: 3_145_728,
  /** What one service may queue beyond that: the rest of the queue is for services whose reader is not slow. */
  serviceBacklogBytes: 1_048_576,
  /** Messages of one peer that are not whole, too early or not taken; one more of the largest size makes the next one. */
  maxPeerReceiveBytes: 4_194_304,
  /** The same over all peers of a node. */
  maxReceiveBytes: 268_435_456,
  /** How far ahead of the first message that is missing one may be, by service. */
  maxMessagesAhead: 16_384,
  /** Disjoint paths that one message may ask for: as many candidates as are looked for. */
  maxPathsPerMessage: 4,
  /** Whoever steals the keys of a session reads on until the next Diffie-Hellman exchange. */
  sessionLifetimeMs: 3_600_000,
  /** Handshakes that one peer begins while it has a session, and the burst: after each the layers above exchange keys anew. */
  sessionHandshakesPerSecond: 1,
  sessionHandshakeBurst: 10,
  /** Sessions of a node, as many as a roster has peers: idle ones are kept, since a handshake costs an order its deadline. */
  maxSessions: 4_096,
  replayWindow: 16_384,
  /** Numbers that a peer skipped on one path and that may still come: beyond them a gap is not looked at further. */
  maxMissingPackets: 256,
  /**
   * What waits in a node for one neighbour: frames, 320 bytes for each, and what waits in the channel. With what its
   * connection may hold, 256 KiB and a record, it is 4 MiB.
   */
  maxEgressQueueBytes: 3_866_624,
  /** Of it, what control may take: it waits only behind data that fills the link. */
  maxControlQueueBytes: 262_144,
  /** What waits in the queues of all neighbours together: sixteen stalled ones cost no more than this. */
  maxRelayQueueBytes: 67_108_864,

  // publish/subscribe (overlay.md point 19)
  /** Topics of one node: each keeps a history. Only those that it opened or published exist for others. */
  maxTopics: 1_024,
  /** Subscribers of one topic: each is told of every change of its key. */
  maxSubscribers: 1_024,
  /** Subscriptions of one peer, and of all, that wait for a topic to exist; and as many that the application is asked about. */
  maxPendingSubscriptionsPerPeer: 64,
  maxPendingSubscriptions: 4_096,
  /** Subscribers that a publisher, or a subscriber, sends each flush to: what one more costs everybody is bounded. */
  maxPublicationFanOut: 64,
  publicationFanOut: 16,
  /** Publications that a topic, or a subscriber of it, keeps for those who missed them, and their bytes. */
  publicationHistory: 1_024,
  maxPublicationHistoryBytes: 16_777_216,
  /** Announcements of what was published that a node sends per second, over all subscribers of all its topics. */
  announcementsPerSecond: 4_000,
  /** A topic key is replaced after this, after so many flushes or bytes, and when a subscriber is removed. */
  topicKeyLifetimeMs: 3_600_000,
  topicKeyFlushes: 1_048_576,
  topicKeyBytes: 1_073_741_824,
  /** Those who leave by themselves cannot make a publisher change its key more often than this. */
  minTopicKeyLifetimeMs: 1_000,
  /** Topic keys that the history of one topic may need; older publications are forgotten. */
  maxTopicKeys: 64,
  /** Bytes of publications that one peer may ask of this node again, per second, and the burst. */
  fillBytesPerSecond: 2_097_152,
  fillBurstBytes: 16_777_216,
  /** Peers whose rate of such requests is remembered; the oldest is forgotten first. */
  maxFilledPeers: 1_024,
  /** Publications that wait for those before them, and their bytes, per subscription. */
  maxEarlyPublications: 4_096,
  maxEarlyPublicationBytes: 8_388_608,
  /** Publications that wait for the reader, and their bytes; what comes then is a gap that is not recovered. */
  maxUnreadPublications: 65_536,
  maxUnreadPublicationBytes: 67_108_864,
  /** Further peers that a subscription may name to ask for what it missed. */
  maxFillPeers: 8,

  /** The name of a topic, behind its publisher. */
  maxTopicNameBytes: 128,
  /** Channels at once with peers that this node's roster does not admit, over which nothing but a newer roster comes. */
  maxRosterVisits: 16,
  /** How long such a channel lives. */
  rosterVisitMs: 10_000,
  /** Parts of a roster that are served to one neighbour, and the burst: the largest roster at once. */
  rosterPartsPerSecond: 32,
  rosterPartBurst: 128,
  /** Announcements of rosters that are heard from one neighbour, and the burst: an honest one has a few in a day. */
  rosterAnnouncementsPerSecond: 0.2,
  rosterAnnouncementBurst: 8,

  // view
  /** Connections to the view of a node at once: people and scrapers, not a load. */
  maxViewConnections: 64,
  /** A path with a peer id in it, and a prefix. */
  maxViewUrlBytes: 512,

  // application payloads (encodePayload, decodePayload)
  /** Arrays and maps inside each other: what walks a decoded value may recurse. */
  maxPayloadDepth: 32,
  /** Elements of all arrays and entries of all maps: one byte of input can claim an object of memory. */
  maxPayloadElements: 4_096,

  // broadcast (order.md)
  maxMembers: 64,
  maxSizeClasses: 16,
  maxPeerIdBytes: 80,
  maxStreamKeyBytes: 64,
  /** Proof that a leaf is in a log of fewer than 2^53 entries. */
  maxLogPathHashes: 53,
  maxPayloadBytes: 16_384,
  maxBatchOrders: 256,
  maxOrderTtlMs: 60_000,
  /** Listings of one chunk: 1,024 of them are 40 KiB. */
  maxChunkListings: 1_024,
  /** Listings by which one cut may advance one lane: a rule of validity. */
  maxLaneListingsPerCut: 4_096,
  /** Blocks, chunks, batches or certificates in one message between members. */
  maxMessageParts: 1_024,
  /** Bytes of what a member serves in one answer. */
  maxAnswerBytes: 524_288,
  maxSharesPerMessage: 4_096,
  /** Shares of one member that are kept before the cut that they belong to is final here; more are asked for then. */
  maxEarlyShares: 32_768,
  maxEvidenceBytes: 393_216,
  maxReceiptBytes: 16_384,
  /** Entries of a batch in one message to an observer or client. */
  maxPageEntries: 1_024,
  /** Entries of one batch that an observer puts together from pages. */
  maxBatchEntries: 65_536,
  /** Batches that an observer may have under way from one member. */
  maxObserverCredit: 1_024,
  maxObservers: 256,
  /** Views beyond its own for which a member keeps votes and proposals; certificates of any view move it. */
  maxViewsAhead: 64,
  /** Chunks of one forked lane that are kept besides its main chain. */
  maxForkChunks: 64,
  /** Bodies that a member asks for at the same time because one lane lists them. */
  maxLaneFetches: 4_096,
  /** How often a body is served to one member in one session. */
  maxServesPerBody: 2,
  /** Orders of one sender that are neither emitted nor gone, and their bytes. */
  maxSenderOrders: 4_096,
  maxSenderBytes: 16_777_216,
  /** Streams of one sender with such orders. */
  maxSenderStreams: 1_024,
  /** Pair keys kept of one sender: one for each of its latest sessions. */
  maxPairKeysPerSender: 8,
  /** Final heights, and bytes of opened orders, that a member keeps in memory for those who lag. */
  maxKeptHeights: 65_536,
  /** Chunks of one lane that one request may walk over. */
  maxChunksWalked: 65_536,
  /** Orders of its own lane that a member remembers, to promise them again and to know predecessors. */
  maxKeptListings: 262_144,
  maxKeptBodyBytes: 268_435_456,
  /** Effects of a member that wait for its disk; above it messages are dropped, and repeated by their senders. */
  maxWaitingEffects: 65_536,
  /** One record of the log on disk: a snapshot or a batch with all its envelopes. */
  maxLogRecordBytes: 16_777_216,

  // the store of a node
  /** A record: the newest roster is the largest. */
  maxStoreRecordBytes: 4_194_304,
  /** Records of one store. All of them are held in memory. */
  maxStoreRecords: 64,
} as const;
