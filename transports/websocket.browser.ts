/** WebSocket in browsers and workers: `ws://` and `wss://` dials with the platform's own WebSocket. No listening. */
import { HopfairError } from '../lib/errors.js';
import type { DialEvents, Transport, TransportLimits } from '../lib/transport.js';
import { InboxConnection } from './connection.js';
import { HIGH_WATER_BYTES } from './inbox.js';
import { join } from './join.js';

/** What is used of the platform, so that the file needs no DOM types and tests can hand in another one. */
export interface PlatformWebSocket {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: (() => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number): void;
}

export interface BrowserWebSocketOptions {
  /** A dial that has not connected after this fails. Default 10,000. */
  readonly dialTimeoutMs?: number;
  /** Default: the global WebSocket. */
  readonly WebSocket?: new (
    address: string,
  ) => PlatformWebSocket;
}

const OPEN = 1;
/** Browsers have no event for a buffer that empties, so it is looked at this often while it is full. */
const DRAIN_POLL_MS = 10;
const NORMAL_CLOSURE = 1000;
const NO_STATUS = 1005;

class BrowserConnection extends InboxConnection {
  readonly #webSocket: PlatformWebSocket;
  #looksLater = false;

  constructor(webSocket: PlatformWebSocket, address: string, limits: TransportLimits) {
    super(address, limits, fn => queueMicrotask(fn));
    this.#webSocket = webSocket;
    webSocket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) this.fail('DECODE_FAILED', 'a text message arrived');
      else if (data.byteLength > this.maxMessageBytes) this.refuseSize(data.byteLength);
      else this.inbox.deliver(new Uint8Array(data));
      // Timers of a hidden page may be a minute late; what the peer acknowledges is not.
      if (this.full) this.#look();
    };
    webSocket.onclose = ({ code }) => {
      const ordinary = this.closing || code === NORMAL_CLOSURE || code === NO_STATUS;
      const lost = new HopfairError('CONNECTION_LOST', `close code ${code}`, { retryable: true });
      this.inbox.end(this.cause ?? (ordinary ? undefined : lost));
    };
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.closing || this.#webSocket.readyState !== OPEN) return false;
    this.#webSocket.send(join(parts)); // the platform takes one buffer
    if (this.#webSocket.bufferedAmount <= HIGH_WATER_BYTES) return true;
    this.full = true;
    this.#lookLater();
    return false;
  }

  close(): void {
    this.closing = true;
    this.inbox.mute();
    this.#webSocket.close(NORMAL_CLOSURE);
  }

  /** Browsers cannot drop what is buffered; nothing is delivered any more. */
  destroy(): void {
    this.close();
  }

  #look(): void {
    if (this.#webSocket.bufferedAmount <= HIGH_WATER_BYTES / 2) this.onDrained();
  }

  #lookLater(): void {
    if (this.#looksLater) return;
    this.#looksLater = true;
    setTimeout(() => {
      this.#looksLater = false;
      if (!this.full || this.#webSocket.readyState !== OPEN) return;
      this.#look();
      if (this.full) this.#lookLater();
    }, DRAIN_POLL_MS);
  }

  protected startReading(): void {
    // A browser reads whenever something comes.
  }

  protected stopReading(): void {
    // It cannot stop either: held messages are bounded by the credit that the channel grants its peer.
  }

  protected abort(): void {
    this.closing = true;
    this.#webSocket.close(NORMAL_CLOSURE);
  }
}

/** Connections over the platform's WebSocket, for browsers and workers. */
export function webSocketTransport(options: BrowserWebSocketOptions = {}): Transport {
  const { dialTimeoutMs = 10_000 } = options;

  function dial(address: string, limits: TransportLimits, events: DialEvents): () => void {
    let settled = false;
    const fail = (code: 'DIAL_FAILED' | 'ADDRESS_INVALID', cause?: unknown): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      events.onError(
        new HopfairError(code, `no connection to ${address}`, { cause, retryable: code === 'DIAL_FAILED' }),
      );
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    let webSocket: PlatformWebSocket;
    try {
      const platform =
        options.WebSocket ?? (globalThis as { WebSocket?: new (address: string) => PlatformWebSocket }).WebSocket;
      if (platform === undefined) throw new HopfairError('INVALID_STATE', 'this platform has no WebSocket');
      webSocket = new platform(address);
    } catch (error) {
      queueMicrotask(() => fail('ADDRESS_INVALID', error));
      return () => {
        settled = true;
      };
    }
    webSocket.binaryType = 'arraybuffer';
    const abandon = (): void => {
      webSocket.onopen = null;
      webSocket.close();
    };
    timer = setTimeout(() => {
      abandon();
      fail('DIAL_FAILED');
    }, dialTimeoutMs);
    webSocket.onerror = () => undefined; // says nothing that the close event, which follows, does not
    webSocket.onclose = () => fail('DIAL_FAILED');
    webSocket.onopen = () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      events.onConnection(new BrowserConnection(webSocket, address, limits));
    };
    return () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      abandon();
    };
  }

  return { schemes: ['ws', 'wss'], dial };
}
