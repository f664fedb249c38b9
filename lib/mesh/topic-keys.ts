/** Keys that seal the flushes of one topic: the publisher's, and those that a subscriber was handed. */
import type { AeadKey, AeadName, CryptoProvider } from '../crypto/interface.js';
import type { Env, Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { TOPIC_KEY_BYTES } from '../wire/index.js';

/** One key of the publisher. `secret` is what subscribers are handed. */
export interface TopicKey {
  readonly id: number;
  readonly aead: AeadName;
  readonly secret: Uint8Array;
  readonly key: AeadKey;
  readonly madeAt: Instant;
  flushes: number;
  bytes: number;
  /** The last publication that it seals; 0 before the first. */
  lastSequence: number;
}

export class TopicKeys {
  readonly #env: Env;
  readonly #crypto: CryptoProvider;
  /** In the order of their ids; the last is the present one. */
  readonly #keys: TopicKey[] = [];
  #nextId = 1;
  #stale: 'no' | 'left' | 'removed' = 'no';

  constructor(env: Env, crypto: CryptoProvider) {
    this.#env = env;
    this.#crypto = crypto;
  }

  /** Whoever left by itself may have the rest of a second; whoever was removed reads nothing that follows. */
  expire(cause: 'left' | 'removed'): void {
    if (this.#stale !== 'removed') this.#stale = cause;
  }

  /** The key of the next flush; `isNew` when subscribers have to be handed it first. */
  current(): { readonly key: TopicKey; readonly isNew: boolean } {
    const key = this.#keys.at(-1);
    if (key !== undefined && !this.#isDue(key)) return { key, isNew: false };
    return { key: this.#renew(), isNew: true };
  }

  #isDue({ madeAt, flushes, bytes }: TopicKey): boolean {
    const ageMs = this.#env.clock.now() - madeAt;
    if (this.#stale === 'removed' || (this.#stale === 'left' && ageMs >= LIMITS.minTopicKeyLifetimeMs)) return true;
    const { topicKeyLifetimeMs, topicKeyFlushes, topicKeyBytes } = LIMITS;
    return ageMs >= topicKeyLifetimeMs || flushes >= topicKeyFlushes || bytes >= topicKeyBytes;
  }

  #renew(): TopicKey {
    this.#stale = 'no';
    const [aead = 'ChaChaPoly'] = this.#crypto.aeadOrder();
    const secret = this.#env.rng.bytes(TOPIC_KEY_BYTES);
    const made = { id: this.#nextId++, aead, secret, madeAt: this.#env.clock.now() };
    const key = { ...made, key: this.#crypto.aead(aead).key(secret), flushes: 0, bytes: 0, lastSequence: 0 };
    this.#keys.push(key);
    return key;
  }

  /** What whoever begins at this publication needs: the present key, and older ones that seal what it may ask for. */
  since(sequence: number): readonly TopicKey[] {
    const last = this.#keys.length - 1;
    return this.#keys.filter((key, i) => i === last || key.lastSequence >= sequence);
  }

  /** Zeroes what seals nothing from `oldest` on, and the oldest of too many. Returns what the history may still hold. */
  dropBefore(oldest: number): number {
    let kept = oldest;
    for (let [key] = this.#keys; key !== undefined && this.#keys.length > 1; [key] = this.#keys) {
      if (key.lastSequence >= kept && this.#keys.length <= LIMITS.maxTopicKeys) break;
      kept = Math.max(kept, key.lastSequence + 1);
      this.#keys.shift();
      destroy(key);
    }
    return kept;
  }

  destroy(): void {
    for (const key of this.#keys.splice(0)) destroy(key);
  }
}

function destroy({ key, secret }: TopicKey): void {
  key.destroy();
  secret.fill(0);
}

/** The runs of a publisher whose keys a subscriber may need at once: the present one and the one before. */
const MAX_RUNS = 2;

export class ReaderKeys {
  readonly #crypto: CryptoProvider;
  readonly #runs = new Map<number, Map<number, AeadKey>>();

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** `secret` is zeroed. */
  add(epoch: number, id: number, aead: AeadName, secret: Uint8Array): void {
    let run = this.#runs.get(epoch);
    if (run === undefined) {
      run = new Map();
      this.#runs.set(epoch, run);
      for (const other of this.#runs.keys()) if (this.#runs.size > MAX_RUNS) this.drop(other);
    }
    run.get(id)?.destroy();
    run.set(id, this.#crypto.aead(aead).key(secret));
    secret.fill(0);
    for (const other of run.keys()) if (run.size > LIMITS.maxTopicKeys) dropKey(run, other);
  }

  get(epoch: number, id: number): AeadKey | undefined {
    return this.#runs.get(epoch)?.get(id);
  }

  has(epoch: number): boolean {
    return this.#runs.has(epoch);
  }

  /** What comes from now on is sealed with `id` or a later one. */
  dropBefore(epoch: number, id: number): void {
    const run = this.#runs.get(epoch);
    for (const other of run?.keys() ?? []) if (run !== undefined && other < id) dropKey(run, other);
  }

  drop(epoch: number): void {
    for (const key of this.#runs.get(epoch)?.values() ?? []) key.destroy();
    this.#runs.delete(epoch);
  }

  destroy(): void {
    for (const epoch of this.#runs.keys()) this.drop(epoch);
  }
}

function dropKey(run: Map<number, AeadKey>, id: number): void {
  run.get(id)?.destroy();
  run.delete(id);
}
