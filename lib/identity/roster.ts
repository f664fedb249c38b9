/**
 * The roster of a network: who belongs to it, who was thrown out, and what its operators promise of links. It is signed
 * by at least m of k root keys that every peer pins, and its version only grows. Its binary form is canonical: members,
 * revocations, edges and signatures each in strictly ascending order.
 */
import { compareBytes, copyOf, Reader, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PeerLabels } from './membership.js';
import { type PeerId, PUBLIC_KEY_LENGTH, peerIdOf, publicKeyOf } from './peer-id.js';
import { signingBytes } from './signing.js';

const FORMAT = 1;
const SIGNATURE_LENGTH = 64;
const MAY_RELAY = 1;
const MICROS_PER_MS = 1_000;

export interface RosterMember extends PeerLabels {
  readonly peer: PeerId;
}

/** Whoever claims a lower cost for this edge, in either direction, is not believed. */
export interface EdgeFloor {
  readonly between: readonly [PeerId, PeerId];
  /** In steps of a microsecond, up to 71 minutes. */
  readonly floorMs: number;
}

export interface Roster {
  readonly networkId: string;
  /** Grows with every change. */
  readonly version: number;
  /** Nobody is a member any more once this is past. */
  readonly expiry: UnixMs;
  readonly members: readonly RosterMember[];
  /** Wins over membership, so that a compromised peer can be named without rewriting the rest. */
  readonly revoked: readonly PeerId[];
  readonly edges: readonly EdgeFloor[];
}

/** What a peer pins: k root keys, of which m must have signed. */
export interface RosterTrust {
  readonly networkId: string;
  /** 32-byte Ed25519 public keys, different ones. */
  readonly rootKeys: readonly Uint8Array[];
  readonly threshold: number;
}

export interface RosterSignature {
  /** Position of the signer in `rootKeys`. */
  readonly rootIndex: number;
  readonly signature: Uint8Array;
}

const invalid = (why: string, cause?: unknown): HopfairError =>
  new HopfairError('ROSTER_INVALID', why, cause === undefined ? {} : { cause });

const byKey = (a: PeerId, b: PeerId): number => compareBytes(publicKeyOf(a), publicKeyOf(b));

/** The body that root keys sign. Sorts what must be sorted; throws INVALID_ARGUMENT for what no peer would accept. */
export function encodeRosterBody(roster: Roster): Uint8Array {
  const members = roster.members.toSorted((a, b) => byKey(a.peer, b.peer));
  const revoked = roster.revoked.toSorted(byKey);
  const edges = roster.edges
    .map(({ between: [a, b], floorMs }): EdgeFloor => ({ between: byKey(a, b) <= 0 ? [a, b] : [b, a], floorMs }))
    .sort(compareEdges);
  for (const list of [members, revoked, edges]) requireArgument(list.length <= 0xffff, 'a list is too long');
  const writer = new Writer().u8(FORMAT).text(roster.networkId).u64(roster.version).u64(roster.expiry);
  writer.u16(members.length);
  for (const { peer, mayRelay, operator = '', region = '' } of members) {
    writer.raw(publicKeyOf(peer)).u8(mayRelay ? MAY_RELAY : 0);
    writer.text(operator).text(region);
  }
  writer.u16(revoked.length);
  for (const peer of revoked) writer.raw(publicKeyOf(peer));
  writer.u16(edges.length);
  for (const {
    between: [low, high],
    floorMs,
  } of edges) {
    writer
      .raw(publicKeyOf(low))
      .raw(publicKeyOf(high))
      .u32(Math.round(floorMs * MICROS_PER_MS));
  }
  const body = writer.finish();
  requireDecodable(body);
  return body;
}

/** One root key's signature over a body; several people may do this in several places. */
export function signRosterBody(signer: Signer, body: Uint8Array): Uint8Array {
  const { networkId, version } = readBody(new Reader(body));
  return signer.sign(signingBytes('roster', networkId, version, body));
}

/** Body and signatures as they are distributed. */
export function assembleRoster(body: Uint8Array, signatures: readonly RosterSignature[]): Uint8Array {
  const writer = new Writer(body.length + signatures.length * 65 + 5).bytes32(body).u8(signatures.length);
  for (const { rootIndex, signature } of signatures.toSorted((a, b) => a.rootIndex - b.rootIndex)) {
    requireArgument(signature.length === SIGNATURE_LENGTH, 'a signature is 64 bytes');
    writer.u8(rootIndex).raw(signature);
  }
  return writer.finish();
}

export interface VerifiedRoster {
  readonly roster: Roster;
  /** What was signed: equal for equal rosters, whoever signed. */
  readonly body: Uint8Array;
}

/**
 * Decodes and verifies a roster. Throws ROSTER_INVALID when it is malformed, for another network, or not signed by
 * enough root keys; one bad signature is enough to refuse it. Expiry and version are for RosterMembership.
 */
export function verifyRoster(crypto: CryptoProvider, bytes: Uint8Array, trust: RosterTrust): VerifiedRoster {
  const { body, roster, signatures } = decode(bytes);
  if (roster.networkId !== trust.networkId) throw invalid('it is for another network');
  if (signatures.length < trust.threshold) throw invalid(`${signatures.length} of ${trust.threshold} root keys signed`);
  const signed = signingBytes('roster', roster.networkId, roster.version, body);
  for (const { rootIndex, signature } of signatures) {
    const rootKey = trust.rootKeys[rootIndex];
    if (rootKey === undefined) throw invalid(`there is no root key ${rootIndex}`);
    if (!crypto.verify(rootKey, signed, signature)) throw invalid(`the signature of root key ${rootIndex} is wrong`);
  }
  return { roster, body: copyOf(body) };
}

interface Decoded {
  readonly body: Uint8Array;
  readonly roster: Roster;
  readonly signatures: readonly RosterSignature[];
}

function decode(bytes: Uint8Array): Decoded {
  try {
    const reader = new Reader(bytes);
    const body = reader.bytes32(bytes.length);
    const signatures = readList(reader, reader.u8(), LIMITS.maxRootKeys, readSignature, (a, b) => {
      return a.rootIndex - b.rootIndex;
    });
    reader.end();
    return { body, roster: readBody(new Reader(body)), signatures };
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') throw invalid('it is malformed', error);
    throw error;
  }
}

function requireDecodable(body: Uint8Array): void {
  try {
    readBody(new Reader(body));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'malformed';
    throw new HopfairError('INVALID_ARGUMENT', `the roster would be refused: ${why}`, { cause });
  }
}

function readBody(reader: Reader): Roster {
  if (reader.u8() !== FORMAT) throw malformed('unknown format');
  const roster = {
    networkId: reader.text(LIMITS.maxNetworkIdBytes),
    version: reader.u64(),
    expiry: unixMs(reader.u64()),
    members: readList(reader, reader.u16(), LIMITS.maxRosterPeers, readMember, (a, b) => byKey(a.peer, b.peer)),
    revoked: readList(reader, reader.u16(), LIMITS.maxRosterRevocations, readPeer, byKey),
    edges: readList(reader, reader.u16(), LIMITS.maxRosterEdges, readEdge, compareEdges),
  };
  reader.end();
  return roster;
}

const malformed = (why: string): HopfairError => new HopfairError('DECODE_FAILED', why);

/** Items in strictly ascending order, their number checked before the first is read. */
function readList<T>(
  reader: Reader,
  count: number,
  max: number,
  read: (reader: Reader) => T,
  compare: (a: T, b: T) => number,
): T[] {
  if (count > max) throw malformed(`${count} items, ${max} at most`);
  const items: T[] = [];
  for (let i = 0; i < count; i++) {
    const item = read(reader);
    const previous = items.at(-1);
    if (previous !== undefined && compare(previous, item) >= 0) throw malformed('items out of order');
    items.push(item);
  }
  return items;
}

const readPeer = (reader: Reader): PeerId => peerIdOf(reader.raw(PUBLIC_KEY_LENGTH));

function readMember(reader: Reader): RosterMember {
  const peer = readPeer(reader);
  const flags = reader.u8();
  if (flags > MAY_RELAY) throw malformed('unknown flags');
  const [operator, region] = [reader.text(LIMITS.maxLabelBytes), reader.text(LIMITS.maxLabelBytes)];
  return { peer, mayRelay: flags === MAY_RELAY, operator: operator || undefined, region: region || undefined };
}

function readEdge(reader: Reader): EdgeFloor {
  const [low, high] = [readPeer(reader), readPeer(reader)];
  if (byKey(low, high) >= 0) throw malformed('ends of an edge out of order');
  return { between: [low, high], floorMs: reader.u32() / MICROS_PER_MS };
}

const compareEdges = (a: EdgeFloor, b: EdgeFloor): number =>
  byKey(a.between[0], b.between[0]) || byKey(a.between[1], b.between[1]);

const readSignature = (reader: Reader): RosterSignature => ({
  rootIndex: reader.u8(),
  signature: reader.raw(SIGNATURE_LENGTH),
});
