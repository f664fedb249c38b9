/**
 * The roster of a network: who belongs to it, who was thrown out, and what its operators promise of links. It is signed
 * by at least m of k root keys that every peer pins, and its version only grows. Its binary form is canonical: all lists
 * are in strictly ascending order.
 */
import { compareBytes, copyOf, fromUtf8, Reader, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PeerLabels } from './membership.js';
import { type PeerId, PUBLIC_KEY_LENGTH, peerIdOf, publicKeyOf } from './peer-id.js';
import {
  type DecodedRotation,
  decodeRotation,
  type RootKeys,
  type RootSignature,
  readSignatures,
  requireSigned,
  rootKeysAt,
  writeSignatures,
} from './root-keys.js';
import { signingBytes } from './signing.js';

const FORMAT = 2;
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

/** A short name for a topic, so that subscribers need not know who publishes it. */
export interface TopicAlias {
  /** 1 to 64 bytes without a "/". */
  readonly alias: string;
  readonly publisher: PeerId;
  /** Of the topic, behind its publisher. */
  readonly name: string;
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
  readonly aliases: readonly TopicAlias[];
  /** Assembled rotations, the oldest first: they lead from root keys that somebody may still pin to those who signed. */
  readonly rotations: readonly Uint8Array[];
}

/** What a peer pins: the network, and k root keys of which m must have signed. */
export interface RosterTrust extends RootKeys {
  readonly networkId: string;
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
  const aliases = roster.aliases.toSorted(compareAliases);
  for (const list of [members, revoked, edges, aliases]) requireArgument(list.length <= 0xffff, 'a list is too long');
  requireArgument(roster.rotations.length <= 0xff, 'too many rotations');
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
  writer.u16(aliases.length);
  for (const { alias, publisher, name } of aliases) writer.text(alias).raw(publicKeyOf(publisher)).text(name);
  writer.u8(roster.rotations.length);
  for (const rotation of roster.rotations) writer.bytes16(rotation);
  const body = writer.finish();
  requireDecodable(body);
  return body;
}

/** One root key's signature over a body; several people may do this in several places. */
export function signRosterBody(signer: Signer, body: Uint8Array): RootSignature {
  const { networkId, version } = decodeRosterBody(body);
  return {
    rootKey: copyOf(signer.publicKey),
    signature: signer.sign(signingBytes('roster', networkId, version, body)),
  };
}

/** Body and signatures as they are distributed. Throws INVALID_ARGUMENT above `maxRosterBytes`. */
export function assembleRoster(body: Uint8Array, signatures: readonly RootSignature[]): Uint8Array {
  const bytes = writeSignatures(new Writer(body.length + 256).bytes32(body), signatures).finish();
  const { maxRosterBytes } = LIMITS;
  requireArgument(bytes.length <= maxRosterBytes, `a roster has ${maxRosterBytes} bytes at most, not ${bytes.length}`);
  return bytes;
}

export interface VerifiedRoster {
  readonly roster: Roster;
  /** What was signed: equal for equal rosters, whoever signed. */
  readonly body: Uint8Array;
  /** As distributed. */
  readonly bytes: Uint8Array;
  /** Those who signed this one, and sign the next. */
  readonly rootKeys: RootKeys;
}

/**
 * Decodes and verifies a roster. Throws ROSTER_INVALID when it is malformed, for another network, or not signed by
 * enough root keys; one bad signature is enough to refuse it. Expiry and version are for RosterMembership.
 */
export function verifyRoster(crypto: CryptoProvider, bytes: Uint8Array, trust: RosterTrust): VerifiedRoster {
  const { body, roster, signatures } = orInvalid(() => decodeRoster(bytes));
  const { networkId, version } = roster;
  if (networkId !== trust.networkId) throw invalid('it is for another network');
  const rootKeys = rootKeysAt(
    crypto,
    trust,
    orInvalid(() => readRotations(roster.rotations)),
    { networkId, version },
  );
  requireSigned(crypto, rootKeys, { kind: 'roster', networkId, version, body, signatures });
  return { roster, body, bytes: copyOf(bytes), rootKeys };
}

export interface DecodedRoster {
  readonly body: Uint8Array;
  readonly roster: Roster;
  readonly signatures: readonly RootSignature[];
}

/** Throws DECODE_FAILED on anything but one whole roster. Verifies nothing. */
export function decodeRoster(bytes: Uint8Array): DecodedRoster {
  const reader = new Reader(bytes);
  const body = copyOf(reader.bytes32(LIMITS.maxRosterBytes));
  const signatures = readSignatures(reader);
  reader.end();
  return { body, roster: decodeRosterBody(body), signatures };
}

function orInvalid<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') throw invalid('it is malformed', error);
    throw error;
  }
}

function requireDecodable(body: Uint8Array): void {
  try {
    decodeRosterBody(body);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'malformed';
    throw new HopfairError('INVALID_ARGUMENT', `the roster would be refused: ${why}`, { cause });
  }
}

/** Throws DECODE_FAILED. */
export function decodeRosterBody(body: Uint8Array): Roster {
  const reader = new Reader(body);
  if (reader.u8() !== FORMAT) throw malformed('unknown format of a roster');
  const roster = {
    networkId: reader.text(LIMITS.maxNetworkIdBytes),
    version: reader.u64(),
    expiry: unixMs(reader.u64()),
    members: readList(reader, reader.u16(), LIMITS.maxRosterPeers, readMember, (a, b) => byKey(a.peer, b.peer)),
    revoked: readList(reader, reader.u16(), LIMITS.maxRosterRevocations, readPeer, byKey),
    edges: readList(reader, reader.u16(), LIMITS.maxRosterEdges, readEdge, compareEdges),
    aliases: readList(reader, reader.u16(), LIMITS.maxRosterAliases, readAlias, compareAliases),
    rotations: readList(reader, reader.u8(), LIMITS.maxRootRotations, readRotation, compareRotations).map(
      ({ bytes }) => bytes,
    ),
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

function readAlias(reader: Reader): TopicAlias {
  const alias = reader.text(LIMITS.maxLabelBytes);
  if (alias === '' || alias.includes('/')) throw malformed('an alias is a name without "/"');
  return { alias, publisher: readPeer(reader), name: reader.text(LIMITS.maxTopicNameBytes) };
}

const compareAliases = (a: TopicAlias, b: TopicAlias): number => compareBytes(fromUtf8(a.alias), fromUtf8(b.alias));

function readRotation(reader: Reader): { readonly bytes: Uint8Array; readonly fromVersion: number } {
  const bytes = copyOf(reader.bytes16());
  return { bytes, fromVersion: decodeRotation(bytes).fromVersion };
}

const compareRotations = (a: { readonly fromVersion: number }, b: { readonly fromVersion: number }): number =>
  a.fromVersion - b.fromVersion;

/** The rotations of a roster that was decoded. */
export const readRotations = (rotations: readonly Uint8Array[]): readonly DecodedRotation[] =>
  rotations.map(decodeRotation);
