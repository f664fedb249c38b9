/**
 * The process of the attackers: runs one attack at a time from thousands of loopback addresses, against a listener of
 * another process. It ends by itself, with its parent at the latest.
 */
import { connect } from 'node:net';
import { ATTACKS, type Attack, type Recordings, type Stranger } from './attacks.js';
import type { TransportName } from './wire.js';

export interface AttackOrder {
  readonly attack: string;
  readonly transport: TransportName;
  readonly port: number;
  readonly recordings: Recordings;
  readonly firstIndex: number;
  /** Connections, at most. */
  readonly count: number;
  readonly durationMs: number;
}

/** What became of the connections. */
export interface AttackOutcome {
  readonly connections: number;
  /** Closed without a word, or reset. */
  readonly dropped: number;
  /** Answered with a refusal of one byte, or an HTTP error. */
  readonly refused: number;
  /** Answered with a handshake message. */
  readonly answered: number;
  /** Open to the end of the attack. */
  readonly kept: number;
}

const TICK_MS = 2;
/** An attack that the machine is too slow for ends after so many times its duration. */
const PATIENCE = 8;
const MAX_REFUSAL_BYTES = 16;

/** One address of 127.0.0.0/8 after the other, below 127.64: the honest ones are at 127.0.0.1. */
function addressOf(index: number): string {
  return `127.${1 + ((index >> 16) & 0x3f)}.${(index >> 8) & 0xff}.${1 + (index % 254)}`;
}

function run({
  attack: name,
  transport,
  port,
  recordings,
  firstIndex,
  count,
  durationMs,
}: AttackOrder): Promise<AttackOutcome> {
  const attack = ATTACKS.find(candidate => candidate.name === name) as Attack;
  const outcome = { connections: 0, dropped: 0, refused: 0, answered: 0, kept: 0 };
  const open = new Set<() => void>();

  function openOne(): void {
    const index = firstIndex + outcome.connections++;
    const socket = connect({ host: '127.0.0.1', port, localAddress: addressOf(index), noDelay: true });
    const timers: NodeJS.Timeout[] = [];
    let answer: () => void = () => undefined;
    let headerLeft = transport === 'ws';
    let received = 0;
    const leave = (): void => {
      socket.destroy();
    };
    open.add(leave);
    socket.on('error', () => undefined); // being reset is what attackers are there for
    socket.on('data', (chunk: Buffer) => {
      let body = chunk;
      if (headerLeft) {
        const end = chunk.indexOf('\r\n\r\n');
        if (end < 0) return;
        headerLeft = false;
        body = chunk.subarray(end + 4);
      }
      received += body.length;
      if (received > MAX_REFUSAL_BYTES) answer();
    });
    socket.on('close', () => {
      for (const timer of timers) clearInterval(timer);
      if (!open.delete(leave)) outcome.kept++;
      else if (received > MAX_REFUSAL_BYTES) outcome.answered++;
      else if (received > 0) outcome.refused++;
      else outcome.dropped++;
    });
    const stranger: Stranger = {
      socket,
      transport,
      index,
      recordings,
      every: (ms, fn) => void timers.push(setInterval(() => socket.writable && fn(), ms)),
      onAnswer: fn => {
        answer = () => {
          answer = () => undefined;
          fn();
        };
      },
    };
    socket.once('connect', () => attack.behave(stranger));
  }

  return new Promise(resolve => {
    const begun = performance.now();
    const ticker = setInterval(() => {
      const elapsedMs = performance.now() - begun;
      const due = Math.min(count, Math.ceil((elapsedMs / 1_000) * attack.perSecond));
      // What could not be opened in time is not made up for in one burst: that would be another attack.
      const most = Math.ceil((2 * TICK_MS * attack.perSecond) / 1_000);
      for (let i = 0; i < most && outcome.connections < due && open.size < attack.atOnce; i++) openOne();
      const isLate = attack.isWhole && outcome.connections < count && elapsedMs < PATIENCE * durationMs;
      if (elapsedMs < durationMs || isLate) return;
      clearInterval(ticker);
      const last = [...open];
      open.clear();
      for (const leave of last) leave();
      const settled = setInterval(() => {
        if (outcome.dropped + outcome.refused + outcome.answered + outcome.kept < outcome.connections) return;
        clearInterval(settled);
        resolve(outcome);
      }, TICK_MS);
    }, TICK_MS);
  });
}

process.on('disconnect', () => process.exit(0));
process.on('message', (order: AttackOrder) => {
  void run(order).then(outcome => process.send?.(outcome));
});
