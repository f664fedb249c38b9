/** Collects the effects of one input. Records go first, in one group: what is durable too early harms nobody. */
import type { PeerId } from '../identity/peer-id.js';
import { encodeReply, type MemberReply } from './client-messages.js';
import type { MemberEffect, MemberNotice } from './member-io.js';
import { encodeMemberMessage, type MemberMessage } from './messages.js';
import { encodeRecord, type MemberRecord } from './records.js';
import type { Batch, ValidatorIndex } from './types.js';

export class Outbox {
  #records: Uint8Array[] = [];
  #effects: MemberEffect[] = [];
  #replaying = false;
  readonly #replayed: Batch[] = [];

  /** While the log is replayed nothing leaves: everything that it leads to left, or was lost, before the restart. */
  replay(run: () => void): readonly Batch[] {
    this.#replaying = true;
    run();
    this.#replaying = false;
    return this.#replayed;
  }

  get replaying(): boolean {
    return this.#replaying;
  }

  persist(record: MemberRecord): void {
    if (!this.#replaying) this.#records.push(encodeRecord(record));
  }

  send(to: ValidatorIndex | 'all', message: MemberMessage): void {
    if (!this.#replaying) this.#effects.push({ kind: 'send', to, bytes: encodeMemberMessage(message) });
  }

  reply(to: PeerId, message: MemberReply): void {
    if (!this.#replaying) this.#effects.push({ kind: 'reply', to, bytes: encodeReply(message) });
  }

  deliver(batch: Batch): void {
    if (this.#replaying) this.#replayed.push(batch);
    else this.#effects.push({ kind: 'deliver', batch });
  }

  evidence(bytes: Uint8Array): void {
    this.persist({ kind: 'evidence', bytes });
    if (!this.#replaying) this.#effects.push({ kind: 'evidence', bytes });
  }

  notice(notice: MemberNotice): void {
    if (!this.#replaying) this.#effects.push({ kind: 'notice', notice });
  }

  take(): readonly MemberEffect[] {
    const effects = this.#effects;
    if (this.#records.length > 0) effects.unshift({ kind: 'persist', records: this.#records });
    this.#records = [];
    this.#effects = [];
    return effects;
  }
}
