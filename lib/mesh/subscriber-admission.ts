/** Asks the application who may have a topic; what it does not answer in time is refused. */
import type { Cancel, Env } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { SubscriptionRefusal } from '../wire/index.js';
import { PendingSubscriptions } from './pending-subscriptions.js';
import type { AdmitSubscriber } from './types.js';

type Verdict = 'admitted' | Exclude<SubscriptionRefusal, 'removed'>;

export class SubscriberAdmission {
  readonly #env: Env;
  readonly #admit: AdmitSubscriber | undefined;
  /** What ends the wait for an answer. */
  readonly #questions = new PendingSubscriptions<Cancel>();

  constructor(env: Env, admit: AdmitSubscriber | undefined) {
    this.#env = env;
    this.#admit = admit;
  }

  /** Answers at once unless the application needs time; never when the peer asked already or is forgotten meanwhile. */
  ask(peer: PeerId, name: string, answer: (verdict: Verdict) => void): void {
    if (this.#admit === undefined) {
      answer('admitted');
      return;
    }
    if (this.#questions.get(peer, name) !== undefined) return;
    if (!this.#questions.hasRoomFor(peer)) {
      answer('limit');
      return;
    }
    let verdict: boolean | Promise<boolean>;
    try {
      verdict = this.#admit(peer, name);
    } catch (error) {
      this.#failed(peer, name, error);
      answer('not-admitted');
      return;
    }
    if (typeof verdict === 'boolean') answer(verdict ? 'admitted' : 'not-admitted');
    else this.#await(peer, name, verdict, answer);
  }

  #await(peer: PeerId, name: string, verdict: Promise<boolean>, answer: (verdict: Verdict) => void): void {
    const settle = (isAdmitted: boolean): void => {
      if (this.#questions.get(peer, name) !== cancelTimeout) return;
      this.forget(peer, name);
      answer(isAdmitted ? 'admitted' : 'not-admitted');
    };
    const cancelTimeout = this.#env.clock.schedule(LIMITS.admitTimeoutMs, () => {
      this.#failed(peer, name, 'no answer in time');
      settle(false);
    });
    this.#questions.set(peer, name, cancelTimeout);
    verdict.then(settle, error => {
      this.#failed(peer, name, error);
      settle(false);
    });
  }

  #failed(peer: PeerId, name: string, cause: unknown): void {
    this.#env.log.error('subscriber-admission-failed', { peer, name, cause: String(cause) });
  }

  forget(peer: PeerId, name: string): void {
    this.#questions.delete(peer, name)?.();
  }

  forgetPeer(peer: PeerId): void {
    for (const cancelTimeout of this.#questions.deletePeer(peer)) cancelTimeout();
  }

  end(): void {
    for (const cancelTimeout of this.#questions.clear()) cancelTimeout();
  }
}
