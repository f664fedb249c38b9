/**
 * Who may open a channel or a session with this node: membership, the newest certificate, and the application's own
 * verdict on the evidence must all agree.
 */
import type { PeerEvidence } from '../channel/index.js';
import type { Clock } from '../env.js';
import { HopfairError } from '../errors.js';
import type { KnownPeers, Membership } from '../identity/index.js';
import type { PeerId } from '../identity/peer-id.js';

/** What a peer has proved, and where: in a channel of a neighbour, or end to end in a session. */
export interface AdmissionEvidence extends PeerEvidence {
  readonly context: 'channel' | 'session';
}

/** The application's verdict. A promise that rejects, or takes longer than `admitTimeoutMs` (5 s), refuses. */
export type AdmitPeer = (peer: PeerId, evidence: AdmissionEvidence) => boolean | Promise<boolean>;

export class Admission {
  readonly #membership: Membership;
  readonly #knownPeers: KnownPeers;
  readonly #clock: Clock;
  readonly #admit: AdmitPeer | undefined;

  constructor(membership: Membership, knownPeers: KnownPeers, clock: Clock, admit: AdmitPeer | undefined) {
    this.#membership = membership;
    this.#knownPeers = knownPeers;
    this.#clock = clock;
    this.#admit = admit;
  }

  /**
   * Throws NOT_ADMITTED or CERTIFICATE_SUPERSEDED, at once or from the promise. A visitor need not be a member: nothing
   * but a roster passes between it and this node.
   */
  decide(peer: PeerId, evidence: AdmissionEvidence, isVisitor = false): boolean | Promise<boolean> {
    this.#require(peer, evidence, isVisitor);
    const verdict = this.#admit === undefined ? true : this.#admit(peer, evidence);
    return typeof verdict === 'boolean'
      ? this.#conclude(peer, evidence, verdict, isVisitor)
      : verdict.then(admitted => this.#conclude(peer, evidence, admitted, isVisitor));
  }

  /** While the application made up its mind, the peer may have been revoked or have renewed its certificate. */
  #conclude(peer: PeerId, evidence: AdmissionEvidence, admitted: boolean, isVisitor: boolean): boolean {
    if (!admitted) return false;
    this.#require(peer, evidence, isVisitor);
    if (!isVisitor) this.#knownPeers.remember(evidence.certificate, this.#clock.unix());
    return true;
  }

  #require(peer: PeerId, { certificate }: AdmissionEvidence, isVisitor: boolean): void {
    const unix = this.#clock.unix();
    if (!isVisitor && !this.#membership.isAdmitted(peer, unix)) {
      throw new HopfairError('NOT_ADMITTED', `${peer} is not a member`);
    }
    this.#knownPeers.requireNewest(certificate, unix);
  }
}
