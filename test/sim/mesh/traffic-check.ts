/**
 * What sessions promise, checked at every message: between two ends each service is in order, nothing comes twice, and
 * nothing is missing unless a session was reported as gone in between.
 */
import { fromUtf8, toUtf8 } from '../../../lib/bytes.js';
import { Violation } from '../../../lib/sim/index.js';

interface Flow {
  sent: number;
  received: number;
  missing: number;
  /** Sessions with this peer that ended since the last message: each excuses one gap. */
  sessionsLost: number;
}

export class TrafficCheck {
  readonly #flows = new Map<string, Flow>();

  #flow(from: string, to: string, service: string): Flow {
    const key = `${from}>${to} ${service}`;
    const flow = this.#flows.get(key) ?? { sent: 0, received: 0, missing: 0, sessionsLost: 0 };
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
    if (sequence <= flow.received) throw new Violation('repeated or reordered', name);
    if (sequence > flow.sent) throw new Violation('origin', `${name}, of ${flow.sent} sent`);
    const gap = sequence - flow.received - 1;
    if (gap > 0 && flow.sessionsLost === 0) throw new Violation('lost', name);
    flow.sessionsLost = 0;
    flow.missing += gap;
    flow.received = sequence;
  }

  /** A node reported that its session with a peer is gone. */
  sessionLost(a: string, b: string): void {
    for (const [key, flow] of this.#flows) {
      if (key.startsWith(`${a}>${b} `) || key.startsWith(`${b}>${a} `)) flow.sessionsLost += 1;
    }
  }

  /** Flows whose last message has not arrived. */
  unfinished(): string[] {
    return [...this.#flows]
      .filter(([, flow]) => flow.received < flow.sent)
      .map(([key, flow]) => `${key}: ${flow.received} of ${flow.sent}`);
  }

  /** Messages that went with sessions that were lost. */
  get missing(): number {
    return [...this.#flows.values()].reduce((sum, flow) => sum + flow.missing, 0);
  }
}
