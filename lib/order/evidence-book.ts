/** The proofs that one member holds: each is made durable and handed out once. */
import { type Evidence, encodeEvidence } from './evidence.js';
import type { Outbox } from './outbox.js';
import type { HashHex } from './types.js';
import type { Voters } from './voters.js';

/** A member that contradicts itself without end is convicted by the first of these. */
const MAX_PROOFS = 1_024;

export class EvidenceBook {
  readonly #voters: Voters;
  readonly #out: Outbox;
  readonly #known = new Set<HashHex>();

  constructor(voters: Voters, out: Outbox) {
    this.#voters = voters;
    this.#out = out;
  }

  report(evidence: Evidence): void {
    const bytes = encodeEvidence(this.#voters.committee.hashHex, evidence);
    if (this.#known.size < MAX_PROOFS && this.replay(bytes)) this.#out.evidence(bytes);
  }

  /** Takes what the log holds already; false when it was known. */
  replay(bytes: Uint8Array): boolean {
    const hash = this.#voters.hashOf(bytes);
    if (this.#known.has(hash)) return false;
    this.#known.add(hash);
    return true;
  }
}
