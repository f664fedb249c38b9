/**
 * The shell of one committee member: it brings messages, sessions and time to the machine, and carries out what comes
 * back. Everything that decides is in lib/order; the only thing decided here is when to give up, and that is when the
 * log fails: a member that cannot remember what it said must not say anything.
 */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Cancel, Env, Instant } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { Identity } from '../identity/identity.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Messaging, Service } from '../mesh/messaging.js';
import type { PinnedCommittee } from '../order/committee.js';
import { Member } from '../order/member.js';
import type { MemberInput, MemberNotice } from '../order/member-io.js';
import type { Batch } from '../order/types.js';
import type { OpenedLog } from '../storage/interface.js';
import { EffectQueue, type OutwardEffect } from './effect-queue.js';
import { pairKeyLabel, serviceOf } from './service-name.js';
import { trySend } from './try-send.js';

export interface ValidatorOptions {
  readonly committee: PinnedCommittee;
  readonly identity: Identity;
  readonly crypto: CryptoProvider;
  readonly env: Env;
  readonly log: OpenedLog;
}

/** Told what happens; none of it may throw. */
export interface ValidatorEvents {
  /** The next batch of the log; those that an earlier run delivered come first. */
  onBatch(batch: Batch): void;
  onNotice(notice: MemberNotice): void;
  onEvidence(bytes: Uint8Array): void;
  /** The log failed, and the validator has stopped. */
  onFailed(error: HopfairError): void;
}

type InputWithoutTime<Input = MemberInput> = Input extends MemberInput ? Omit<Input, 'unix'> : never;

export class Validator {
  readonly #messaging: Messaging;
  readonly #options: ValidatorOptions;
  readonly #events: ValidatorEvents;
  readonly #service: Service;
  readonly #member: Member;
  readonly #effects: EffectQueue;
  readonly #up = new Set<PeerId>();
  readonly #cancels: Cancel[] = [];
  #timer: { readonly at: Instant; readonly cancel: Cancel } | undefined;
  #closing: Promise<void> | undefined;
  #stopped = false;

  constructor(messaging: Messaging, options: ValidatorOptions, events: ValidatorEvents) {
    const { committee, identity, crypto, env, log } = options;
    this.#messaging = messaging;
    this.#options = options;
    this.#events = events;
    this.#service = serviceOf(committee);
    this.#effects = new EffectQueue(
      log.store,
      effect => this.#carryOut(effect),
      error => this.#fail(error),
    );
    const memberOptions = { committee: committee.descriptor, signer: identity.signer, crypto };
    const { member, delivered, effects } = Member.restore(memberOptions, log, env.clock.now(), env.clock.unix());
    this.#member = member;
    for (const batch of delivered) events.onBatch(batch);
    this.#effects.push(effects);
    this.#cancels.push(
      messaging.serve(this.#service, (from, bytes) => this.#onMessage(from, bytes)),
      messaging.onPeer((peer, state) => (state === 'up' ? this.#onUp(peer) : this.#onDown(peer))),
    );
    for (const { peer } of committee.descriptor.members) this.#meet(peer);
    this.#arm();
  }

  /** Takes no further part; what was given to the log is written before this resolves. */
  close(): Promise<void> {
    this.#stop();
    this.#closing ??= this.#options.log.store.close();
    return this.#closing;
  }

  #onMessage(from: PeerId, bytes: Uint8Array): void {
    // A disk that does not keep up must not fill the memory. Members repeat what matters, and clients their orders.
    if (this.#effects.length > LIMITS.maxWaitingEffects) return;
    this.#meet(from);
    this.#handle({ kind: 'message', from, bytes });
  }

  /** Sessions that were up before this member joined are not announced. */
  #meet(peer: PeerId): void {
    if (!this.#up.has(peer) && this.#exportPairKey(peer) !== undefined) this.#onUp(peer);
  }

  #onUp(peer: PeerId): void {
    this.#up.add(peer);
    const pairKey = this.#options.committee.indexOf(peer) === undefined ? this.#exportPairKey(peer) : undefined;
    this.#handle({ kind: 'peer-up', peer, ...(pairKey === undefined ? {} : { pairKey }) });
  }

  #onDown(peer: PeerId): void {
    if (this.#up.delete(peer)) this.#handle({ kind: 'peer-down', peer });
  }

  #exportPairKey(peer: PeerId): Uint8Array | undefined {
    if (peer === this.#messaging.self) return undefined;
    return this.#messaging.exportSecret(peer, pairKeyLabel(this.#options.committee), 32);
  }

  #handle(input: InputWithoutTime): void {
    if (this.#stopped) return;
    const { clock } = this.#options.env;
    this.#effects.push(this.#member.handle({ ...input, unix: clock.unix() }, clock.now()));
    this.#arm();
  }

  /** One timer, never later than the machine's next deadline; one that comes too early only sets itself again. */
  #arm(): void {
    const at = this.#member.nextDeadline();
    if (this.#stopped || at === undefined || (this.#timer !== undefined && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const { clock } = this.#options.env;
    const cancel = clock.schedule(Math.max(0, at - clock.now()), () => {
      this.#timer = undefined;
      const due = this.#member.nextDeadline();
      if (due !== undefined && due <= clock.now()) this.#handle({ kind: 'tick' });
      else this.#arm();
    });
    this.#timer = { at, cancel };
  }

  #carryOut(effect: OutwardEffect): void {
    switch (effect.kind) {
      case 'send':
        for (const [index, { peer }] of this.#options.committee.descriptor.members.entries()) {
          const wanted = effect.to === 'all' ? peer !== this.#messaging.self : effect.to === index;
          if (wanted) this.#send(peer, effect.bytes);
        }
        return;
      case 'reply':
        this.#send(effect.to, effect.bytes);
        return;
      case 'deliver':
        this.#events.onBatch(effect.batch);
        return;
      case 'evidence':
        this.#events.onEvidence(effect.bytes);
        return;
      case 'notice':
        this.#events.onNotice(effect.notice);
        return;
    }
  }

  #send(to: PeerId, bytes: Uint8Array): void {
    trySend(this.#messaging, this.#options.env.log, to, this.#service, bytes);
  }

  #fail(error: HopfairError): void {
    this.#stop();
    this.#options.env.log.error('the log failed, the member has stopped', { code: error.code, reason: error.message });
    this.#events.onFailed(error);
  }

  #stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const cancel of this.#cancels) cancel();
    this.#effects.stop();
  }
}
