/**
 * The committee descriptor: who the validators are and by which parameters they run, pinned by its hash. Everything here
 * is public and never changes within an epoch.
 */
import { Reader, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { type PeerId, publicKeyOf } from '../identity/peer-id.js';
import { type SignatureKind, signingBytes } from '../identity/signing.js';
import { LIMITS } from '../limits.js';
import { readPeerId } from './peer-field.js';
import { hashHex, taggedHash } from './tagged-hash.js';
import { explainTolerance, toleranceOf } from './tolerance.js';
import type { Committee, CommitteeParameters, HashHex, Mode, Profile, Tolerance, ValidatorIndex } from './types.js';

const VERSION = 1;
const PROFILES: readonly Profile[] = ['continuous', 'auction'];
const MODES: readonly Mode[] = ['sealed', 'open'];
const MAX_DURATION_MS = 0xffff_ffff;

/**
 * Parameters derived from D, the bound on one message between members in whole milliseconds. H = 8 D: twice the time from
 * the first honest listing of an order until n-f lanes list it in a final cut.
 */
export function defaultParameters(
  delayBoundMs: number,
  overrides: Partial<Omit<CommitteeParameters, 'delayBoundMs'>> = {},
): CommitteeParameters {
  return {
    profile: 'continuous',
    mode: 'sealed',
    delayBoundMs,
    holdCuts: 8,
    holdMs: 8 * delayBoundMs,
    epsilonMs: 1,
    auctionWindowMs: 100,
    sizeClasses: [256, 1024, 4096, LIMITS.maxPayloadBytes],
    maxOrderTtlMs: LIMITS.maxOrderTtlMs,
    ...overrides,
  };
}

const unsound = (message: string): HopfairError => new HopfairError('COMMITTEE_UNSOUND', message);

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw unsound(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
}

/**
 * Refuses a committee that cannot be safe or live.
 *
 * @throws HopfairError COMMITTEE_UNSOUND with the reason.
 */
export function checkCommittee(committee: Committee): Tolerance {
  const { networkId, epoch, members, parameters: p } = committee;
  const tolerance = toleranceOf(members.length, p.openingThreshold);
  if (new Set(members.map(member => member.peer)).size !== members.length)
    throw unsound('a validator stands in the committee twice');
  const idBytes = new Writer().text(networkId).length - 2;
  if (idBytes < 1 || idBytes > LIMITS.maxNetworkIdBytes)
    throw unsound(`the network id must be 1 to ${LIMITS.maxNetworkIdBytes} bytes, not ${idBytes}`);
  checkRange('epoch', epoch, 0, Number.MAX_SAFE_INTEGER);
  checkRange('delayBoundMs (D)', p.delayBoundMs, 1, LIMITS.maxOrderTtlMs);
  checkRange('holdCuts (W)', p.holdCuts, 2, 0xffff);
  checkRange('holdMs (H)', p.holdMs, 8 * p.delayBoundMs, MAX_DURATION_MS);
  checkRange('epsilonMs', p.epsilonMs, 1, LIMITS.maxOrderTtlMs);
  checkRange('auctionWindowMs', p.auctionWindowMs, 1, 1_000);
  checkRange('maxOrderTtlMs', p.maxOrderTtlMs, 1, LIMITS.maxOrderTtlMs);
  if (p.sizeClasses.length < 1 || p.sizeClasses.length > LIMITS.maxSizeClasses)
    throw unsound(`1 to ${LIMITS.maxSizeClasses} size classes are possible, not ${p.sizeClasses.length}`);
  let smaller = 0;
  for (const size of p.sizeClasses) {
    checkRange('each size class, in ascending order,', size, smaller + 1, LIMITS.maxPayloadBytes);
    smaller = size;
  }
  return tolerance;
}

/** The canonical bytes whose hash pins the committee. The opening threshold stands in them even where it is the default. */
export function encodeCommittee(committee: Committee): Uint8Array {
  const { t } = checkCommittee(committee);
  const p = committee.parameters;
  const writer = new Writer(512)
    .u8(VERSION)
    .text(committee.networkId)
    .u64(committee.epoch)
    .u8(PROFILES.indexOf(p.profile))
    .u8(MODES.indexOf(p.mode))
    .u8(t)
    .u32(p.delayBoundMs)
    .u16(p.holdCuts)
    .u32(p.holdMs)
    .u32(p.epsilonMs)
    .u16(p.auctionWindowMs)
    .u32(p.maxOrderTtlMs)
    .u16(p.sizeClasses.length);
  for (const size of p.sizeClasses) writer.u32(size);
  writer.u16(committee.members.length);
  for (const { peer } of committee.members) writer.text(peer);
  return writer.finish();
}

function choice<T>(values: readonly T[], at: number): T {
  const value = values[at];
  if (value === undefined) throw new HopfairError('DECODE_FAILED', `${at} is none of ${values.length} choices`);
  return value;
}

/**
 * @throws HopfairError DECODE_FAILED on anything but the canonical bytes, COMMITTEE_UNSOUND when what they say cannot work.
 */
export function decodeCommittee(bytes: Uint8Array): Committee {
  const reader = new Reader(bytes);
  if (reader.u8() !== VERSION) throw new HopfairError('DECODE_FAILED', 'unknown version of the committee descriptor');
  const networkId = reader.text(LIMITS.maxNetworkIdBytes);
  const epoch = reader.u64();
  const profile = choice(PROFILES, reader.u8());
  const mode = choice(MODES, reader.u8());
  const openingThreshold = reader.u8();
  const delayBoundMs = reader.u32();
  const holdCuts = reader.u16();
  const holdMs = reader.u32();
  const epsilonMs = reader.u32();
  const auctionWindowMs = reader.u16();
  const maxOrderTtlMs = reader.u32();
  const sizeClasses = Array.from({ length: reader.count16(LIMITS.maxSizeClasses) }, () => reader.u32());
  const members = Array.from({ length: reader.count16(LIMITS.maxMembers) }, () => ({ peer: readPeerId(reader) }));
  reader.end();
  const committee: Committee = {
    networkId,
    epoch,
    members,
    parameters: {
      profile,
      mode,
      openingThreshold,
      delayBoundMs,
      holdCuts,
      holdMs,
      epsilonMs,
      auctionWindowMs,
      sizeClasses,
      maxOrderTtlMs,
    },
  };
  checkCommittee(committee);
  return committee;
}

/**
 * A checked committee with all that is derived from it once: made at start and handed to everything that decides.
 *
 * @example
 * const committee = new PinnedCommittee(crypto, descriptor);
 * log.info('committee', committee.summary());
 */
export class PinnedCommittee {
  readonly descriptor: Committee;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly hashHex: HashHex;
  readonly tolerance: Tolerance;
  readonly parameters: CommitteeParameters;
  /** Ed25519 keys by validator index. */
  readonly publicKeys: readonly Uint8Array[];
  readonly #indexOf: ReadonlyMap<PeerId, ValidatorIndex>;

  /** @throws HopfairError COMMITTEE_UNSOUND, or INVALID_ARGUMENT on a malformed peer id. */
  constructor(crypto: CryptoProvider, descriptor: Committee) {
    this.tolerance = checkCommittee(descriptor);
    this.descriptor = descriptor;
    this.parameters = descriptor.parameters;
    this.bytes = encodeCommittee(descriptor);
    this.hash = taggedHash(crypto, 'committee', this.bytes);
    this.hashHex = hashHex(this.hash);
    this.publicKeys = descriptor.members.map(({ peer }) => publicKeyOf(peer));
    this.#indexOf = new Map(descriptor.members.map(({ peer }, index) => [peer, index]));
  }

  /** Undefined for a peer that is no validator. */
  indexOf(peer: PeerId): ValidatorIndex | undefined {
    return this.#indexOf.get(peer);
  }

  /** The bytes to sign for a message of this network and epoch. */
  signingBytes(kind: SignatureKind, body: Uint8Array): Uint8Array {
    return signingBytes(kind, this.descriptor.networkId, this.descriptor.epoch, body);
  }

  /** True when validator `index` signed `body` as a message of this kind in this epoch. */
  verify(
    crypto: CryptoProvider,
    index: ValidatorIndex,
    kind: SignatureKind,
    body: Uint8Array,
    signature: Uint8Array,
  ): boolean {
    const key = this.publicKeys[index];
    return key !== undefined && crypto.verify(key, this.signingBytes(kind, body), signature);
  }

  /** What a node prints at start. */
  summary(): Readonly<Record<'n' | 'f' | 'q' | 't', number>> & {
    readonly profile: Profile;
    readonly tolerates: string;
  } {
    const { n, f, q, t } = this.tolerance;
    return { n, f, q, t, profile: this.parameters.profile, tolerates: explainTolerance(this.tolerance) };
  }
}
