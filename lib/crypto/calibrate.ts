/** Which AEAD is the faster one here: measured, because hardware for AES decides it, and no platform says if it is there. */
import type { AeadName, CryptoProvider } from './interface.js';

declare const performance: { now(): number };

const MESSAGE_BYTES = 1_024;
const BATCH = 8;
const MAX_BATCHES = 5;
/** Nothing is begun after this; one batch of each is always measured. */
const BUDGET_MS = 4;

/**
 * Both AEADs, the faster one first. Takes a few milliseconds at most. The fastest of several batches counts, since what
 * else the machine does can only add to the others. Where a clock is too coarse to tell, ChaChaPoly stands first:
 * it is never slow.
 */
export function calibrateAeads(
  crypto: Pick<CryptoProvider, 'aead'>,
  nowMs: () => number = () => performance.now(),
): readonly AeadName[] {
  const [chaCha, aes] = [new Contender(crypto, 'ChaChaPoly'), new Contender(crypto, 'AESGCM')];
  const begun = nowMs();
  for (let batch = 0; batch < MAX_BATCHES && (batch === 0 || nowMs() - begun < BUDGET_MS); batch++) {
    chaCha.measure(nowMs);
    aes.measure(nowMs);
  }
  return aes.bestMs < chaCha.bestMs ? ['AESGCM', 'ChaChaPoly'] : ['ChaChaPoly', 'AESGCM'];
}

class Contender {
  bestMs: number = Number.POSITIVE_INFINITY;
  readonly #seal: () => void;

  constructor(crypto: Pick<CryptoProvider, 'aead'>, name: AeadName) {
    // Zeros under a key that nothing else uses: only the time matters.
    const key = crypto.aead(name).key(new Uint8Array(32));
    const [nonce, aad, message] = [new Uint8Array(12), new Uint8Array(0), new Uint8Array(MESSAGE_BYTES)];
    this.#seal = () => key.seal(nonce, aad, message);
    this.#seal(); // what a first use sets up is not measured
  }

  measure(nowMs: () => number): void {
    const begun = nowMs();
    for (let i = 0; i < BATCH; i++) this.#seal();
    this.bestMs = Math.min(this.bestMs, nowMs() - begun);
  }
}
