/** How a client or observer reaches the members of its committee: peers become validator indices, bytes become replies. */
import type { Cancel, Env } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Messaging, Service } from '../mesh/messaging.js';
import {
  type ClientMessage,
  decodeReply,
  encodeClientMessage,
  isLogReply,
  type MemberReply,
} from '../order/client-messages.js';
import type { PinnedCommittee } from '../order/committee.js';
import type { ValidatorIndex } from '../order/types.js';
import { pairKeyLabel, serviceOf } from './service-name.js';
import { trySend } from './try-send.js';

/** Hears what concerns the orders of this peer. */
export interface PortHandler {
  onReply(from: ValidatorIndex, reply: MemberReply): void;
  /** A session with this member is up. `again`: there was one before, and what was sent in it may have been lost. */
  onMemberUp(index: ValidatorIndex, again: boolean): void;
}

/** Hears what concerns the log, as it came. */
export interface LogReader {
  onLogReply(from: PeerId, bytes: Uint8Array): void;
  onMember(peer: PeerId, state: 'up' | 'down'): void;
}

const PAIR_KEY_BYTES = 32;

export class CommitteePort {
  readonly committee: PinnedCommittee;
  readonly #messaging: Messaging;
  readonly #service: Service;
  readonly #env: Env;
  readonly #handlers: PortHandler[] = [];
  readonly #readers: LogReader[] = [];
  readonly #up = new Set<PeerId>();
  readonly #met = new Set<PeerId>();
  readonly #cancels: readonly Cancel[];

  constructor(messaging: Messaging, committee: PinnedCommittee, env: Env) {
    this.committee = committee;
    this.#messaging = messaging;
    this.#service = serviceOf(committee);
    this.#env = env;
    this.#cancels = [
      messaging.serve(this.#service, (from, bytes) => this.#receive(from, bytes)),
      messaging.onPeer((peer, state) => {
        if (committee.indexOf(peer) === undefined) return;
        if (state === 'up') this.#welcome(peer);
        else this.#lose(peer);
      }),
    ];
  }

  /** Takes up the sessions that exist, and opens the others. Once, when all is attached. */
  open(): void {
    for (const index of this.indices) {
      const peer = this.committee.descriptor.members[index]?.peer;
      if (peer !== undefined && this.exportPairKey(index) !== undefined) this.#welcome(peer);
      else this.send(index, { kind: 'hello' });
    }
  }

  get indices(): readonly ValidatorIndex[] {
    return this.committee.descriptor.members.map((_, index) => index);
  }

  /** Members with a session. */
  get membersUp(): Iterable<PeerId> {
    return this.#up;
  }

  attach(handler: PortHandler): void {
    this.#handlers.push(handler);
  }

  attachReader(reader: LogReader): void {
    this.#readers.push(reader);
  }

  /** False when the queue to this member is full; nothing was sent then. */
  send(to: ValidatorIndex, message: ClientMessage): boolean {
    return this.sendBytes(to, encodeClientMessage(message));
  }

  /** As `send`, for a message encoded once for many members. */
  sendBytes(to: ValidatorIndex, bytes: Uint8Array): boolean {
    const member = this.committee.descriptor.members[to];
    return member !== undefined && this.sendToPeer(member.peer, bytes);
  }

  sendToPeer(to: PeerId, bytes: Uint8Array): boolean {
    return trySend(this.#messaging, this.#env.log, to, this.#service, bytes);
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
    this.#readers.length = 0;
  }

  #welcome(peer: PeerId): void {
    const again = this.#met.has(peer);
    this.#met.add(peer);
    this.#up.add(peer);
    const index = this.committee.indexOf(peer);
    if (index !== undefined) for (const handler of this.#handlers) handler.onMemberUp(index, again);
    for (const reader of this.#readers) reader.onMember(peer, 'up');
  }

  #lose(peer: PeerId): void {
    this.#up.delete(peer);
    for (const reader of this.#readers) reader.onMember(peer, 'down');
  }

  #receive(from: PeerId, bytes: Uint8Array): void {
    const index = this.committee.indexOf(from);
    if (index === undefined) return;
    if (isLogReply(bytes)) {
      for (const reader of this.#readers) reader.onLogReply(from, bytes);
      return;
    }
    let reply: MemberReply;
    try {
      reply = decodeReply(bytes);
    } catch (error) {
      if (!(error instanceof HopfairError) || error.code !== 'DECODE_FAILED') throw error;
      this.#env.log.warn('malformed reply of a member', { member: index, reason: error.message });
      return;
    }
    for (const handler of this.#handlers) handler.onReply(index, reply);
  }
}
