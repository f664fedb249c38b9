/** How a client or observer reaches the members of its committee: peers become validator indices, bytes become replies. */
import type { Cancel, Env } from '../env.js';
import { HopfairError } from '../errors.js';
import type { Messaging } from '../mesh/messaging.js';
import { type ClientMessage, decodeReply, encodeClientMessage, type MemberReply } from '../order/client-messages.js';
import type { PinnedCommittee } from '../order/committee.js';
import type { ValidatorIndex } from '../order/types.js';
import { pairKeyLabel, serviceOf } from './service-name.js';

export interface PortHandler {
  onReply(from: ValidatorIndex, reply: MemberReply): void;
  /** A session with this member is up. `again`: there was one before, and what was sent in it may have been lost. */
  onMemberUp(index: ValidatorIndex, again: boolean): void;
}

const PAIR_KEY_BYTES = 32;

export class CommitteePort {
  readonly committee: PinnedCommittee;
  readonly #messaging: Messaging;
  readonly #env: Env;
  readonly #handlers: PortHandler[] = [];
  readonly #met = new Set<ValidatorIndex>();
  readonly #cancels: readonly Cancel[];

  constructor(messaging: Messaging, committee: PinnedCommittee, env: Env) {
    this.committee = committee;
    this.#messaging = messaging;
    this.#env = env;
    this.#cancels = [
      messaging.serve(serviceOf(committee), (from, bytes) => {
        const index = committee.indexOf(from);
        if (index !== undefined) this.#receive(index, bytes);
      }),
      messaging.onPeer((peer, state) => {
        const index = committee.indexOf(peer);
        if (index === undefined || state === 'down') return;
        const again = this.#met.has(index);
        this.#met.add(index);
        for (const handler of this.#handlers) handler.onMemberUp(index, again);
      }),
    ];
  }

  get indices(): readonly ValidatorIndex[] {
    return this.committee.descriptor.members.map((_, index) => index);
  }

  attach(handler: PortHandler): void {
    this.#handlers.push(handler);
  }

  /** False when the queue to this member is full; nothing was sent then. */
  send(to: ValidatorIndex, message: ClientMessage): boolean {
    return this.sendBytes(to, encodeClientMessage(message));
  }

  /** As `send`, for a message encoded once for many members. */
  sendBytes(to: ValidatorIndex, bytes: Uint8Array): boolean {
    const member = this.committee.descriptor.members[to];
    return member !== undefined && this.#messaging.send(member.peer, serviceOf(this.committee), bytes);
  }

  /** The secret shared with this member by the present session; undefined while there is none. */
  exportPairKey(index: ValidatorIndex): Uint8Array | undefined {
    const member = this.committee.descriptor.members[index];
    if (member === undefined) return undefined;
    return this.#messaging.exportSecret(member.peer, pairKeyLabel(this.committee), PAIR_KEY_BYTES);
  }

  close(): void {
    for (const cancel of this.#cancels) cancel();
    this.#handlers.length = 0;
  }

  #receive(from: ValidatorIndex, bytes: Uint8Array): void {
    let reply: MemberReply;
    try {
      reply = decodeReply(bytes);
    } catch (error) {
      if (!(error instanceof HopfairError) || error.code !== 'DECODE_FAILED') throw error;
      this.#env.log.warn('malformed reply of a member', { member: from, reason: error.message });
      return;
    }
    for (const handler of this.#handlers) handler.onReply(from, reply);
  }
}
