/** The shell of an observer: brings it the members' messages and time, and puts what it delivers into the ledger. */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Cancel, Env } from '../env.js';
import { Observer, type ObserverEffect, type ObserverInput } from '../order/observer.js';
import type { CommitteePort } from './committee-port.js';
import type { Ledger } from './ledger.js';
import type { LogPosition } from './types.js';

export interface LogFollowerOptions {
  readonly crypto: CryptoProvider;
  readonly env: Env;
}

export class LogFollower {
  readonly #port: CommitteePort;
  readonly #ledger: Ledger;
  readonly #crypto: CryptoProvider;
  readonly #env: Env;
  #observer: Observer | undefined;
  #cancelTimer: Cancel | undefined;

  constructor(port: CommitteePort, ledger: Ledger, { crypto, env }: LogFollowerOptions) {
    this.#port = port;
    this.#ledger = ledger;
    this.#crypto = crypto;
    this.#env = env;
    port.attachReader({
      onLogReply: (peer, bytes) => this.#handle({ kind: 'message', from: peer, bytes }),
      onMember: (peer, state) => this.#handle({ kind: state === 'up' ? 'peer-up' : 'peer-down', peer }),
    });
  }

  /** Sees to it that the ledger gets, or has, everything from this position on. */
  follow(from: LogPosition = { height: 0, index: 0 }): void {
    if (this.#observer !== undefined && this.#ledger.covers(from.index)) return;
    this.#ledger.restart(from.index);
    this.#observer = new Observer({ committee: this.#port.committee, crypto: this.#crypto, from });
    for (const peer of this.#port.membersUp) this.#handle({ kind: 'peer-up', peer });
  }

  close(): void {
    this.#cancelTimer?.();
    this.#observer = undefined;
    for (const member of this.#port.indices) this.#port.send(member, { kind: 'unsubscribe' });
  }

  #handle(input: ObserverInput): void {
    if (this.#observer === undefined) return;
    const { clock } = this.#env;
    for (const effect of this.#observer.handle(input, clock.now())) this.#carryOut(effect);
    this.#cancelTimer?.();
    const due = this.#observer.nextDeadline();
    if (due === undefined) return;
    this.#cancelTimer = clock.schedule(Math.max(0, due - clock.now()), () => this.#handle({ kind: 'tick' }));
  }

  #carryOut(effect: ObserverEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#port.sendToPeer(effect.to, effect.bytes);
        return;
      case 'deliver':
        this.#ledger.append(effect.batch);
        return;
      case 'gap':
        this.#env.log.warn('entries of the log are lost', { from: effect.from.index, resumesAt: effect.to.index });
        this.#ledger.restart(effect.to.index);
        return;
      case 'misbehaviour':
        this.#env.log.warn('a member misbehaves', { peer: effect.peer, what: effect.what });
        return;
    }
  }
}
