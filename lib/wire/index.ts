/**
 * What travels inside a channel between neighbours, and inside a packet between the two ends of a session, as bytes and
 * back. Every length, count and text is bounded before anything is allocated for it; decoders throw DECODE_FAILED and the
 * layer above calls them in one place.
 *
 * It knows formats. It must never know keys, state, or what any of it is good for.
 */
export { type ChannelHello, decodeChannelHello, encodeChannelHello, RUN_ID_BYTES } from './channel-hello.js';
export {
  DATA_BACKWARD,
  DATA_FORWARD,
  DATA_HEADER_BYTES,
  dataAad,
  dataHeader,
  dataLabel,
  dataPacket,
  dataPath,
  dataPhase,
  dataTtl,
  dataUrgent,
  isDataFrame,
  MAX_DATA_PAYLOAD_BYTES,
  MAX_PACKET_NUMBER,
  NO_TTL,
  type PhaseBit,
  setDataLabel,
  setDataTtl,
} from './data-frame.js';
export { decodeLinkState, type Edge, encodeLinkState, type LinkState } from './link-state.js';
export {
  decodeNeighbourFrame,
  encodeNeighbourFrame,
  type LinkStateName,
  MAX_NAMES,
  type NeighbourFrame,
  PATH_CLOSE_REASONS,
  type PathCloseReason,
} from './neighbour-frames.js';
export { decodePathSetup, encodePathSetup, type PathSetup } from './path-setup.js';
export { decodePayload, encodePayload, type PayloadValue } from './payload.js';
export {
  decodeContent,
  decodePubSub,
  encodeContent,
  encodeFlush,
  encodeFlushHeader,
  encodePubSub,
  type Flush,
  type FlushPlace,
  flushNonce,
  flushSigningBody,
  MAX_FLUSH_MESSAGES,
  MAX_HELPERS,
  MAX_TOPIC_NAME_BYTES,
  type PubSubMessage,
  type SubscriptionRefusal,
  TOPIC_KEY_BYTES,
  type TopicName,
} from './publication.js';
export { type Receipt, receiptBytes } from './receipt.js';
export {
  decodeRosterFrame,
  encodeRosterFrame,
  isRosterFrame,
  MAX_ROSTER_PART_BYTES,
  type RosterFrame,
} from './roster-frames.js';
export {
  type Chunk,
  type Credit,
  chunkOverheadBytes,
  decodePacket,
  encodePacket,
  MIN_PIECE_BYTES,
  type Numbering,
  type Packet,
  RUN_MESSAGE_OVERHEAD_BYTES,
  type Run,
  runOverheadBytes,
} from './session-packet.js';
