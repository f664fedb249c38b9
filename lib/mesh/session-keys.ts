/**
 * The keys of one session at work. Packets are sealed under n = path (8 bits) and packet number (56 bits), which go on
 * over all rekeys: nothing is sealed twice under one n, and one replay window per path serves all phases.
 */
import type { HandshakeResult } from '../channel/types.js';
import type { Instant } from '../env.js';
import { MAX_PATHS, ReceiptRanges, ReplayWindow } from '../route/index.js';
import {
  DATA_HEADER_BYTES,
  dataAad,
  dataPacket,
  dataPath,
  dataPhase,
  MAX_PACKET_NUMBER,
  type PhaseBit,
} from '../wire/index.js';
import { type KeyName, ReceivePhase, SendPhase } from './key-phase.js';

type CipherState = HandshakeResult['rx'];

export class SessionKeys {
  readonly #result: HandshakeResult;
  readonly #tx: CipherState;
  #rx: CipherState;
  #previousRx: CipherState | undefined;
  /** Derived when the first packet asks for it, and kept: a forged phase bit costs one derivation per phase. */
  #nextRx: CipherState | undefined;
  readonly #send: SendPhase;
  readonly #receive = new ReceivePhase();
  readonly #histories = new Map<number, PathHistory>();
  readonly #previousLifeMs: () => number;

  /** `previousLifeMs` tells how long packets that were sealed before a rekey may still come. */
  constructor(result: HandshakeResult, now: Instant, previousLifeMs: () => number) {
    this.#result = result;
    this.#tx = result.tx;
    this.#rx = result.rx;
    this.#send = new SendPhase(now);
    this.#previousLifeMs = previousLifeMs;
  }

  /** For the header of the next packet. */
  get phase(): PhaseBit {
    return this.#send.bit;
  }

  /** Before each header is made. True when the sending key was replaced: the peer should hear of it soon. */
  rekeyIfDue(now: Instant): boolean {
    if (!this.#send.isDue(now)) return false;
    this.#tx.rekey();
    this.#send.onRekeyed(now);
    return true;
  }

  seal(path: number, packet: number, header: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const [high, low] = nonce(path, packet);
    const sealed = this.#tx.encryptAt(high, low, dataAad(header), plaintext);
    this.#send.onSealed(path, packet, header.length + sealed.length);
    return sealed;
  }

  onReceipt(path: number, newest: number): void {
    this.#send.onReceipt(path, newest);
  }

  /** Replay window, then decryption; undefined when either refuses. What opened is never opened again. */
  open(frame: Uint8Array, now: Instant): Uint8Array | undefined {
    if (frame.length < DATA_HEADER_BYTES) return undefined;
    const path = dataPath(frame);
    const packet = dataPacket(frame);
    if (path >= MAX_PATHS || packet > MAX_PACKET_NUMBER) return undefined;
    const { replay } = this.history(path);
    if (!replay.fresh(packet)) return undefined;
    this.expire(now);
    for (const key of this.#receive.keysFor(dataPhase(frame), path, packet)) {
      const plaintext = decrypt(this.#stateOf(key), frame);
      if (plaintext === undefined) continue;
      replay.accept(packet);
      if (key === 'next') this.#turn();
      const previousLifeMs = key === 'next' ? this.#previousLifeMs() : 0;
      this.#receive.onOpened(key, path, packet, frame.length, previousLifeMs, now);
      return plaintext;
    }
    return undefined;
  }

  #stateOf(key: KeyName): CipherState | undefined {
    if (key === 'present') return this.#rx;
    if (key === 'previous') return this.#previousRx;
    this.#nextRx ??= this.#rx.rekeyed();
    return this.#nextRx;
  }

  #turn(): void {
    const next = this.#stateOf('next') as CipherState;
    this.#previousRx?.destroy();
    this.#previousRx = this.#rx;
    this.#rx = next;
    this.#nextRx = undefined;
  }

  /** The peer does not rekey as it must. */
  get overused(): boolean {
    return this.#receive.overused;
  }

  /** What came under this path number, whatever path bears it now: packet numbers are never reused. */
  history(path: number): PathHistory {
    let history = this.#histories.get(path);
    if (history === undefined) {
      history = { replay: new ReplayWindow(), received: new ReceiptRanges() };
      this.#histories.set(path, history);
    }
    return history;
  }

  /** When `expire` is to be called; undefined while there is no old key. */
  get nextDeadline(): Instant | undefined {
    return this.#receive.previousUntil;
  }

  /** Destroys the previous key once its time is over. */
  expire(now: Instant): void {
    if (!this.#receive.expire(now)) return;
    this.#previousRx?.destroy();
    this.#previousRx = undefined;
  }

  exportSecret(label: string, length: number): Uint8Array {
    return this.#result.exportSecret(label, length);
  }

  destroy(): void {
    this.#previousRx?.destroy();
    this.#nextRx?.destroy();
    this.#rx.destroy();
    this.#result.destroy();
  }
}

interface PathHistory {
  readonly replay: ReplayWindow;
  readonly received: ReceiptRanges;
}

/** Whether the packet opens under the first key of a handshake: only its other end can have sealed it. */
export const provesKeys = ({ rx }: HandshakeResult, frame: Uint8Array): boolean =>
  dataPhase(frame) === 0 && dataPath(frame) < MAX_PATHS && decrypt(rx, frame) !== undefined;

function decrypt(state: CipherState | undefined, frame: Uint8Array): Uint8Array | undefined {
  const [high, low] = nonce(dataPath(frame), dataPacket(frame));
  return state?.decryptAt(high, low, dataAad(frame), frame.subarray(DATA_HEADER_BYTES));
}

/** n = path (8 bits) and packet number (56 bits), as two halves. */
function nonce(path: number, packet: number): readonly [high: number, low: number] {
  return [path * 0x100_0000 + Math.floor(packet / 0x1_0000_0000), packet >>> 0];
}
