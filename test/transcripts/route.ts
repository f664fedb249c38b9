/**
 * Transcripts of the flow: a script of what the network does, and beneath each command what the flow decided. A change in
 * behaviour is a difference that a person can read. Lines beginning with `>` are commands, `#` comments, the rest output.
 *
 *     > path 0 A rtt 12      a path over relay A comes up, with this round-trip time
 *     > send 5 every 10      five messages, one each 10 ms (add `critical` or `bulk`, and `paths 3` for k-path mode)
 *     > explore              from now on every 67th message is copied to measure the other paths
 *     > drop A / heal A      relay A drops all data / works again
 *     > dropping A 5         relay A drops every fifth packet
 *     > dropping-receipts A 5  relay A drops every fifth receipt
 *     > delay A 25           relay A adds 25 ms to each packet (add `critical`: only to the urgent ones on their way there)
 *     > close 0              the path is lost
 *     > stall 50             this process does nothing for 50 ms, while receipts wait in its sockets
 *     > run 100              time passes
 */
import { after, type Instant, instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/peer-id.js';
import {
  describeRoute,
  describeSuspect,
  Flow,
  type FlowEffect,
  MAX_RECEIPT_DELAY_MS,
  Quarantine,
  ReceiptRanges,
  Suspicion,
  type TrafficClass,
} from '../../lib/route/index.js';

interface Line {
  readonly rttMs: number;
  readonly relay: string;
  returned: number;
  readonly received: ReceiptRanges;
}

interface Relay {
  extraMs: number;
  extraUrgentMs: number;
  everyNth: number;
  passed: number;
  everyNthReceipt: number;
  passedReceipts: number;
}

const wellBehaved = (): Relay => ({
  extraMs: 0,
  extraUrgentMs: 0,
  everyNth: 0,
  passed: 0,
  everyNthReceipt: 0,
  passedReceipts: 0,
});

/** The logarithm of what it leaves of 1 is -1: every gap has its mean length. */
const EXPLORING = 1 - Math.exp(-1);

interface Event {
  readonly at: Instant;
  readonly order: number;
  readonly run: () => void;
}

class Transcript {
  readonly #flow: Flow<number>;
  readonly #lines = new Map<number, Line>();
  readonly #relays = new Map<string, Relay>();
  #events: Event[] = [];
  #order = 0;
  #now = instant(0);
  #message = 0;
  readonly #urgent = new Set<number>();
  #stalledUntil = instant(0);
  #settled = 0;
  /** Makes the next exploration infinitely far: what a transcript shows has a cause in it. */
  #chance = 1;
  #output: string[] = [];

  constructor() {
    const quarantine = new Quarantine(() => 0.5);
    const suspicion = new Suspicion();
    this.#flow = new Flow<number>({ destination: 'D' as PeerId, random: () => this.#chance, quarantine, suspicion });
  }

  command(text: string): string[] {
    this.#output = [];
    const [name, ...words] = text.split(' ');
    const number = (i: number): number => Number(words[i]);
    if (name === 'path') this.#pathUp(number(0), String(words[1]), number(3));
    else if (name === 'close') this.#apply(this.#flow.handle({ kind: 'path-down', path: number(0) }, this.#now));
    else if (name === 'send') this.#sendCommand(words);
    else if (name === 'explore') this.#chance = EXPLORING;
    else if (name === 'dropping-receipts') this.#relay(words[0]).everyNthReceipt = number(1);
    else if (name === 'drop') this.#relay(words[0]).everyNth = 1;
    else if (name === 'dropping') this.#relay(words[0]).everyNth = number(1);
    else if (name === 'heal') Object.assign(this.#relay(words[0]), wellBehaved());
    else if (name === 'delay' && words[2] === 'critical') this.#relay(words[0]).extraUrgentMs = number(1);
    else if (name === 'delay') this.#relay(words[0]).extraMs = number(1);
    else if (name === 'stall') this.#stall(number(0));
    else if (name === 'run') this.#runUntil(after(this.#now, number(0)));
    else throw new Error(`unknown command: ${text}`);
    return this.#output;
  }

  #pathUp(id: number, relay: string, rttMs: number): void {
    this.#lines.set(id, { rttMs, relay, returned: 0, received: new ReceiptRanges() });
    this.#relay(relay);
    const path = { id, route: [relay as PeerId], operators: [relay], rttHintMs: rttMs };
    this.#apply(this.#flow.handle({ kind: 'path-up', path }, this.#now));
  }

  #relay(name = ''): Relay {
    let relay = this.#relays.get(name);
    if (relay === undefined) {
      relay = wellBehaved();
      this.#relays.set(name, relay);
    }
    return relay;
  }

  #sendCommand(words: readonly string[]): void {
    const trafficClass = words.find(word => word === 'critical' || word === 'bulk') ?? 'normal';
    const paths = words.includes('paths') ? Number(words[words.indexOf('paths') + 1]) : undefined;
    this.#send(Number(words[0]), Number(words[2]), trafficClass as TrafficClass, paths);
  }

  #send(count: number, everyMs: number, trafficClass: TrafficClass, paths: number | undefined): void {
    this.#settled = 0;
    for (let i = 0; i < count; i++) {
      if (trafficClass === 'critical') this.#urgent.add(this.#message);
      const submit = { kind: 'submit', payload: this.#message++, bytes: 300, class: trafficClass, paths } as const;
      this.#apply(this.#flow.handle(submit, this.#now));
      this.#runUntil(after(this.#now, everyMs));
    }
    this.#say(`${this.#settled} receipted, ${this.#flow.unsettledCount} under way`);
  }

  #stall(ms: number): void {
    this.#stalledUntil = after(this.#now, ms);
    this.#now = this.#stalledUntil;
    this.#runUntil(this.#now);
  }

  #at(at: Instant, run: () => void): void {
    this.#events.push({ at, order: this.#order++, run });
    this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  /** As an event loop: timers first, then what is in the sockets. */
  #runUntil(end: Instant): void {
    for (;;) {
      const deadline = this.#flow.nextDeadline();
      const event = this.#events[0];
      const next = Math.min(deadline ?? Number.POSITIVE_INFINITY, event?.at ?? Number.POSITIVE_INFINITY);
      if (next > end) break;
      this.#now = instant(Math.max(this.#now, next));
      if (deadline !== undefined && deadline <= this.#now) {
        this.#apply(this.#flow.handle({ kind: 'tick' }, this.#now));
        const promised = this.#flow.nextDeadline();
        if (promised === undefined || promised > this.#now) continue;
      }
      if (event !== undefined && event.at <= this.#now) {
        this.#events.shift();
        event.run();
      }
    }
    this.#now = end;
  }

  #apply(effects: readonly FlowEffect<number>[]): void {
    for (const effect of effects) {
      if (effect.kind === 'transmit') this.#transmit(effect);
      else if (effect.kind === 'settled') this.#settled += 1;
      else if (effect.kind === 'abandon') {
        this.#say(`abandon path ${effect.path}`);
        this.#apply(this.#flow.handle({ kind: 'path-down', path: effect.path }, this.#now));
      } else {
        const { kind, from, to, trigger, measured, threshold, unit, ms, lastsMs, suspect } = effect.event;
        const numbers = `${Number(measured.toFixed(2))} of ${Number(threshold.toFixed(2))} ${unit}`;
        const change = `${describeRoute(from)} -> ${describeRoute(to)}`;
        if (suspect !== undefined) this.#say(`${kind} ${describeSuspect(suspect)}: ${trigger}, ${numbers}`);
        else if (kind === 'quarantine') this.#say(`quarantine ${describeRoute(from)} for ${lastsMs?.toFixed(0)} ms`);
        else this.#say(`${kind} ${change}: ${trigger}, ${numbers}, after ${ms.toFixed(1)} ms`);
      }
    }
  }

  #transmit(effect: Extract<FlowEffect<number>, { kind: 'transmit' }>): void {
    const line = this.#lines.get(effect.path);
    if (line === undefined) return;
    if (effect.copy !== 'first') this.#say(`${effect.copy} of #${effect.payload} over ${line.relay}`);
    const relay = this.#relay(line.relay);
    if (relay.everyNth > 0 && ++relay.passed % relay.everyNth === 0) return;
    const dwellMs = effect.receiptAtOnce ? 0 : MAX_RECEIPT_DELAY_MS;
    const { path, packet } = effect;
    const ms = line.rttMs + 2 * relay.extraMs + (this.#urgent.has(effect.payload) ? relay.extraUrgentMs : 0) + dwellMs;
    this.#at(after(this.#now, ms), () => {
      const returned = line.returned++;
      line.received.add(packet);
      if (relay.everyNthReceipt > 0 && ++relay.passedReceipts % relay.everyNthReceipt === 0) return;
      this.#flow.heard(path, returned, this.#now);
      const ranges = line.received.ranges.map(range => ({ ...range }));
      this.#apply(this.#flow.handle({ kind: 'receipt', path, ranges, delayMs: dwellMs }, this.#now));
    });
  }

  #say(what: string): void {
    this.#output.push(`${this.#now.toFixed(1).padStart(8)}  ${what}`);
  }
}

/** The transcript with the output that the flow gives now. */
export function replay(text: string): string {
  const transcript = new Transcript();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line.trim() === '') lines.push(line);
    else if (line.startsWith('> ')) lines.push(line, ...transcript.command(line.slice(2)));
  }
  return lines.join('\n');
}
