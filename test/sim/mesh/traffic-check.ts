/**
 * What sessions promise, checked at every message: between two ends each service is in order, but for the one without
 * order; nothing comes twice, and nothing is missing unless a session was reported as gone in between.
 */
import { fromUtf8, toUtf8 } from '../../../lib/bytes.js';
import { Violation } from '../../../lib/sim/index.js';

/** The service whose messages are delivered as they come. */
export const UNORDERED = 'marks';

interface Flow {
  sent: number;
  /** The last one, or how many of those without order. */
  received: number;
  readonly unordered: Set<number>;
  /** What was sent up to here may be missing: the session that carried it is gone. */
  excusedUpTo: number;
}

export class TrafficCheck {
  readonly #flows = new Map<string, Flow>();

  #flow(from: string, to: string, service: string): Flow {
    const key = `${from}>${to} ${service}`;
    const flow = this.#flows.get(key) ?? { sent: 0, received: 0, unordered: new Set(), excusedUpTo: 0 };
    this.#flows.set(key, flow);
    return flow;
  }

  /** The next message to send. Call `sent` when the node has taken it. */
  next(from: string, to: string, service: string): Uint8Array {
    return fromUtf8(`${from} ${to} ${service} ${this.#flow(from, to, service).sent + 1} ${'.'.repeat(100)}`);
  }

  sent(from: string, to: string, service: string): void {
    this.#flow(from, to, service).sent += 1;
  }

  received(from: string, to: string, service: string, bytes: Uint8Array): void {
    const [saysFrom, saysTo, saysService, number] = toUtf8(bytes).split(' ');
    if (saysFrom !== from || saysTo !== to || saysService !== service) {
      throw new Violation('origin', `${to} got a message of ${saysFrom} for ${saysTo} ${saysService} as of ${from}`);
    }
    const flow = this.#flow(from, to, service);
    const sequence = Number(number);
    const name = `${from}>${to} ${service}: message ${sequence} after ${flow.received}`;
    if (service === UNORDERED) {
      if (flow.unordered.has(sequence)) throw new Violation('repeated', name);
      if (sequence > flow.sent) throw new Violation('origin', `${name}, of ${flow.sent} sent`);
      flow.unordered.add(sequence);
      return;
    }
    if (sequence <= flow.received) throw new Violation('repeated or reordered', name);
    if (sequence > flow.sent) throw new Violation('origin', `${name}, of ${flow.sent} sent`);
    const skips = sequence > flow.received + 1;
    if (skips && sequence - 1 > flow.excusedUpTo) throw new Violation('lost', name);
    flow.received = sequence;
  }

  /** A node reported that its session with a peer is gone. */
  sessionLost(a: string, b: string): void {
    for (const [key, flow] of this.#flows) {
      if (key.startsWith(`${a}>${b} `) || key.startsWith(`${b}>${a} `)) flow.excusedUpTo = flow.sent;
    }
  }

  /** A node died, and its sessions with it. Its next process knows nothing of what this one was handed. */
  died(name: string): void {
    for (const [key, flow] of this.#flows) {
      const receives = key.includes(`>${name} `);
      if (receives || key.startsWith(`${name}>`)) flow.excusedUpTo = flow.sent;
      if (receives) {
        flow.received = 0;
        flow.unordered.clear();
      }
    }
  }

  #isMissing(key: string, { sent, received, unordered, excusedUpTo }: Flow): boolean {
    if (!key.endsWith(` ${UNORDERED}`)) return received < sent;
    for (let sequence = excusedUpTo + 1; sequence <= sent; sequence++) if (!unordered.has(sequence)) return true;
    return false;
  }

  /** Flows whose last message has not arrived, though no session was lost since it was sent. */
  unfinished(): string[] {
    return [...this.#flows]
      .filter(([key, flow]) => flow.sent > flow.excusedUpTo && this.#isMissing(key, flow))
      .map(([key, flow]) => `${key}: ${flow.received || flow.unordered.size} of ${flow.sent}`);
  }
}
