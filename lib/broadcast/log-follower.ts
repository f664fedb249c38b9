/** Follows the log of a committee from outside: subscribes to every member and keeps what f+1 of them agree on. */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Cancel, Env } from '../env.js';
import type { MemberReply } from '../order/client-messages.js';
import type { ValidatorIndex } from '../order/types.js';
import type { CommitteePort, PortHandler } from './committee-port.js';
import type { Ledger } from './ledger.js';
import { LogAgreement } from './log-agreement.js';
import type { LogPosition } from './types.js';

export interface LogFollowerOptions {
  readonly crypto: CryptoProvider;
  readonly env: Env;
}

/** Batches that a member may send before it hears again: what a hostile one can make this process hold. */
const CREDIT = 64;
/** How often members that lag behind the others are asked again: their answer, or the question, may be lost. */
const ASK_AGAIN_MS = 1_000;

export class LogFollower implements PortHandler {
  readonly #port: CommitteePort;
  readonly #ledger: Ledger;
  readonly #crypto: CryptoProvider;
  readonly #env: Env;
  #agreement: LogAgreement | undefined;
  /** Batches that each member may still send. */
  readonly #credit: number[];
  #cancelTimer: Cancel | undefined;

  constructor(port: CommitteePort, ledger: Ledger, { crypto, env }: LogFollowerOptions) {
    this.#port = port;
    this.#ledger = ledger;
    this.#crypto = crypto;
    this.#env = env;
    this.#credit = port.indices.map(() => 0);
    port.attach(this);
  }

  /** Sees to it that the ledger gets, or has, everything from this position on. */
  follow(from: LogPosition = { height: 0, index: 0 }): void {
    if (this.#agreement !== undefined && this.#ledger.covers(from.index)) return;
    this.#ledger.restart(from.index);
    this.#agreement = new LogAgreement(this.#crypto, this.#port.committee.tolerance, from.index);
    for (const member of this.#port.indices) this.#subscribe(member);
    this.#cancelTimer?.();
    this.#askAgainLater();
  }

  close(): void {
    this.#cancelTimer?.();
    if (this.#agreement === undefined) return;
    this.#agreement = undefined;
    for (const member of this.#port.indices) this.#port.send(member, { kind: 'unsubscribe' });
  }

  onReply(from: ValidatorIndex, reply: MemberReply): void {
    const agreement = this.#agreement;
    if (agreement === undefined) return;
    if (reply.kind === 'gap') {
      agreement.gap(from, reply.next.index);
      const index = agreement.takeGap();
      if (index === undefined) return;
      this.#env.log.warn('entries of the log are no longer held by enough members', { resumesAt: index });
      this.#ledger.restart(index);
    } else if (reply.kind === 'batch') {
      if (reply.offset + reply.entries.length === reply.count) this.#credit[from] = (this.#credit[from] ?? 0) - 1;
      if (agreement.aheadOf(from) >= CREDIT || !agreement.page(from, reply)) return; // it is asked again by the timer
      this.#deliver(agreement);
    }
  }

  onMemberUp(index: ValidatorIndex): void {
    this.#subscribe(index);
  }

  #deliver(agreement: LogAgreement): void {
    for (let batch = agreement.takeAgreed(); batch !== undefined; batch = agreement.takeAgreed()) {
      this.#ledger.append(batch);
    }
    for (const member of this.#port.indices) {
      const room = CREDIT - agreement.aheadOf(member);
      if (room - (this.#credit[member] ?? 0) >= CREDIT / 2) this.#subscribe(member);
    }
  }

  /** A subscription replaces the one before it. */
  #subscribe(member: ValidatorIndex): void {
    const agreement = this.#agreement;
    if (agreement === undefined) return;
    const credit = CREDIT - agreement.aheadOf(member);
    if (credit <= 0) return;
    agreement.restart(member);
    this.#credit[member] = credit;
    const from = { height: 0, index: agreement.nextOf(member) };
    this.#port.send(member, { kind: 'subscribe', from, credit });
  }

  #askAgainLater(): void {
    this.#cancelTimer = this.#env.clock.schedule(ASK_AGAIN_MS, () => {
      const agreement = this.#agreement;
      if (agreement === undefined) return;
      const ends = this.#port.indices.map(member => agreement.nextOf(member));
      const furthest = Math.max(...ends);
      for (const member of this.#port.indices) {
        if ((ends[member] ?? 0) < furthest || furthest === agreement.next) this.#subscribe(member);
      }
      this.#askAgainLater();
    });
  }
}
