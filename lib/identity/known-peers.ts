/**
 * What earlier handshakes proved about peers: the newest certificate of each. A known peer can be dialled with IK, and a
 * certificate of a lower epoch than one that was seen is refused, so that a stolen static key dies with the renewal that
 * replaces it. Bounded, the least recently seen forgotten first.
 */
import type { UnixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Certificate } from './certificate.js';
import type { PeerId } from './peer-id.js';

/** The highest epoch that the certificates of a peer had. */
export interface SeenEpoch {
  readonly peer: PeerId;
  readonly epoch: number;
  readonly seenAt: UnixMs;
}

interface Known {
  readonly epoch: number;
  /** Undefined for what was restored: only the epoch was kept. */
  readonly certificate: Certificate | undefined;
  readonly seenAt: UnixMs;
  /** False once a handshake to this key failed: the next one asks the peer for its key again. */
  readonly trusted: boolean;
}

/** By then every certificate that was older when this one was seen is expired on any clock. */
const MEMORY_MS = LIMITS.maxCertificateLifetimeMs + 2 * LIMITS.clockSkewMs;

export class KnownPeers {
  readonly #byPeer = new Map<PeerId, Known>();

  #changes = 0;

  /** Grows when the epoch of some peer does. */
  get changes(): number {
    return this.#changes;
  }

  get size(): number {
    return this.#byPeer.size;
  }

  /** Throws CERTIFICATE_SUPERSEDED when a certificate of a higher epoch of this peer was seen. */
  requireNewest({ peer, epoch }: Certificate, now: UnixMs): void {
    const known = this.#get(peer, now);
    if (known !== undefined && epoch < known.epoch) {
      const message = `epoch ${epoch} of ${peer} is older than ${known.epoch}`;
      throw new HopfairError('CERTIFICATE_SUPERSEDED', message);
    }
  }

  /** Of a peer that was admitted: strangers could fill the memory. */
  remember(certificate: Certificate, now: UnixMs): void {
    const { peer, epoch } = certificate;
    const known = this.#get(peer, now);
    if (known !== undefined && epoch < known.epoch) return;
    if (known?.epoch !== epoch) this.#changes += 1;
    this.#byPeer.delete(peer);
    this.#byPeer.set(peer, { epoch, certificate, seenAt: now, trusted: true });
    this.#forgetOldest();
  }

  /** What was seen before a restart, the least recent first. */
  restore(epochs: Iterable<SeenEpoch>): void {
    for (const { peer, epoch, seenAt } of epochs) {
      if ((this.#byPeer.get(peer)?.epoch ?? -1) >= epoch) continue;
      this.#byPeer.set(peer, { epoch, certificate: undefined, seenAt, trusted: true });
      this.#forgetOldest();
    }
  }

  /** To be restored later. */
  *seenEpochs(): IterableIterator<SeenEpoch> {
    for (const [peer, { epoch, seenAt }] of this.#byPeer) yield { peer, epoch, seenAt };
  }

  #forgetOldest(): void {
    if (this.#byPeer.size <= LIMITS.maxKnownPeers) return;
    for (const oldest of this.#byPeer.keys()) {
      this.#byPeer.delete(oldest);
      return;
    }
  }

  /** The certificate that a channel in use has brought up to date. What is not newer says nothing about the key. */
  learn(certificate: Certificate, now: UnixMs): void {
    const known = this.#get(certificate.peer, now);
    if (known === undefined || certificate.epoch > known.epoch) this.remember(certificate, now);
  }

  /** The certified static key of the peer, for IK; undefined when none is known that is valid now. */
  staticKey(peer: PeerId, now: UnixMs): Uint8Array | undefined {
    const known = this.#get(peer, now);
    const certificate = known?.trusted === true ? known.certificate : undefined;
    return certificate !== undefined && now <= certificate.expiry ? certificate.staticKey : undefined;
  }

  /** A handshake to the key of this peer failed. Its epoch stays remembered. */
  distrustKey(peer: PeerId): void {
    const known = this.#byPeer.get(peer);
    if (known !== undefined) this.#byPeer.set(peer, { ...known, trusted: false });
  }

  #get(peer: PeerId, now: UnixMs): Known | undefined {
    const known = this.#byPeer.get(peer);
    if (known === undefined || now - known.seenAt <= MEMORY_MS) return known;
    this.#byPeer.delete(peer);
    return undefined;
  }
}
