/**
 * The shipping flows of one source over a simulated network of paths, in virtual time: relays with behaviours, a
 * destination that owes receipts by the shipping rule, and an event loop at the source that may stall.
 */
import { type Instant, instant } from '../../../lib/env.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import {
  Flow,
  type FlowEffect,
  MAX_RECEIPT_DELAY_MS,
  ReceiptRanges,
  type RouteEvent,
  Suspicion,
  type TrafficClass,
} from '../../../lib/route/index.js';
import type { SeededRng } from '../../../lib/sim/rng.js';
import { EventHeap } from './heap.js';
import { type Behaviour, type Frame, honest } from './relays.js';

export interface PathSpec {
  readonly destination: string;
  readonly relays: readonly string[];
  readonly operators: readonly string[];
  readonly rttMs: number;
}

export interface WorldOptions {
  readonly rng: SeededRng;
  readonly paths: readonly PathSpec[];
  /** Mean of an exponential extra delay of each frame, each way. */
  readonly jitterMs: number;
  /** What honest networks lose, each way. */
  readonly lossShare: number;
  /** Time that the destination spends on each frame; frames queue for it. */
  readonly serviceMs?: (nowMs: number) => number;
}

export interface Message {
  readonly id: number;
  readonly destination: string;
  readonly class: TrafficClass;
  readonly submittedAtMs: number;
  /** The PTO of the active path then. */
  readonly ptoMs: number;
  deliveredAtMs: number | undefined;
  settled: boolean;
}

interface LivePath {
  readonly spec: PathSpec;
  readonly id: number;
  /** What the destination received, and since when it owes a receipt for how much of it. */
  readonly received: ReceiptRanges;
  owed: number;
  newestAtMs: number;
  returned: number;
  /** Frames of one direction and lane stay in order, as on channels. */
  readonly lastAtMs: Float64Array;
}

interface End {
  readonly destination: string;
  readonly flow: Flow<Message>;
  readonly live: Map<number, LivePath>;
  nextId: number;
  alarmAtMs: number;
  destinationBusyUntilMs: number;
}

const TIMER_LATENESS_MS = 1;
/** So many packets are receipted without waiting for more. */
const MAX_OWED = 8;
/** The path keeper sets up again what was given up. */
const SET_UP_AGAIN_MS = 300;
const IDS = 16;

export class FlowWorld {
  nowMs = 0;
  readonly rng: SeededRng;
  readonly messages: Message[] = [];
  readonly events: RouteEvent[] = [];
  readonly suspicion: Suspicion = new Suspicion();
  readonly sentOver: Map<string, number> = new Map();
  copies = 0;
  readonly #options: WorldOptions;
  readonly #heap = new EventHeap();
  readonly #behaviours = new Map<string, Behaviour>();
  readonly #crashed = new Set<string>();
  readonly #ends = new Map<string, End>();
  #stalledUntilMs = 0;
  #waitingTimers: (() => void)[] = [];
  #waitingFrames: (() => void)[] = [];

  constructor(options: WorldOptions) {
    this.#options = options;
    this.rng = options.rng;
    for (const spec of options.paths) this.#pathUp(this.#end(spec.destination), spec);
  }

  #end(destination: string): End {
    let end = this.#ends.get(destination);
    if (end === undefined) {
      const random = this.rng.fork(destination);
      const flow = new Flow<Message>({
        destination: destination as PeerId,
        random: () => random.float(),
        suspicion: this.suspicion,
      });
      const alarmAtMs = Number.POSITIVE_INFINITY;
      end = { destination, flow, live: new Map(), nextId: 0, alarmAtMs, destinationBusyUntilMs: 0 };
      this.#ends.set(destination, end);
    }
    return end;
  }

  flow(destination: string): Flow<Message> {
    return this.#end(destination).flow;
  }

  // ---------------------------------------------------------------- commands

  behave(relay: string, behaviour: Behaviour): void {
    this.#behaviours.set(relay, behaviour);
  }

  /** A crash nobody is told of. */
  crash(relay: string): void {
    this.#crashed.add(relay);
  }

  at(atMs: number, run: () => void): void {
    this.#heap.push(atMs, run);
  }

  submit(destination: string, trafficClass: TrafficClass, paths?: number): void {
    this.#inLoop(this.#waitingTimers, () => {
      const end = this.#end(destination);
      const { flow } = end;
      const message: Message = {
        id: this.messages.length,
        destination,
        class: trafficClass,
        submittedAtMs: this.nowMs,
        ptoMs: flow.active?.rtt.ptoMs ?? 0,
        deliveredAtMs: undefined,
        settled: false,
      };
      this.messages.push(message);
      const input = { kind: 'submit', payload: message, bytes: 300, class: trafficClass, paths } as const;
      this.#apply(end, flow.handle(input, this.#instant));
    });
  }

  /** The source's process does nothing for this long. */
  stall(ms: number): void {
    if (this.nowMs < this.#stalledUntilMs) return;
    this.#stalledUntilMs = this.nowMs + ms;
    this.#heap.push(this.#stalledUntilMs, () => {
      const timers = this.#waitingTimers;
      const frames = this.#waitingFrames;
      this.#waitingTimers = [];
      this.#waitingFrames = [];
      for (const run of timers) run();
      for (const run of frames) run();
    });
  }

  run(untilMs: number): void {
    while (this.#heap.nextAtMs <= untilMs) {
      const event = this.#heap.pop();
      if (event === undefined) break;
      this.nowMs = event.atMs;
      event.run();
    }
    this.nowMs = untilMs;
  }

  // ---------------------------------------------------------------- the source

  get #instant(): Instant {
    return instant(this.nowMs);
  }

  #inLoop(queue: (() => void)[], run: () => void): void {
    if (this.nowMs < this.#stalledUntilMs) queue.push(run);
    else run();
  }

  #pathUp(end: End, spec: PathSpec): void {
    let id = end.nextId;
    while (end.live.has(id)) id = (id + 1) % IDS;
    end.nextId = (id + 1) % IDS;
    const received = new ReceiptRanges();
    end.live.set(id, { spec, id, received, owed: 0, newestAtMs: 0, returned: 0, lastAtMs: new Float64Array(4) });
    const route = spec.relays as readonly PeerId[];
    const path = { id, route, operators: spec.operators, rttHintMs: spec.rttMs };
    this.#apply(end, end.flow.handle({ kind: 'path-up', path }, this.#instant));
  }

  #abandon(end: End, id: number): void {
    const path = end.live.get(id);
    if (path === undefined) return;
    end.live.delete(id);
    this.#apply(end, end.flow.handle({ kind: 'path-down', path: id }, this.#instant));
    const again = (): void => {
      const dead = path.spec.relays.some(relay => this.#crashed.has(relay));
      if (dead) this.at(this.nowMs + SET_UP_AGAIN_MS, again);
      else this.#pathUp(end, path.spec);
    };
    this.at(this.nowMs + SET_UP_AGAIN_MS, again);
  }

  #apply(end: End, effects: readonly FlowEffect<Message>[]): void {
    for (const effect of effects) {
      if (effect.kind === 'transmit') this.#transmit(end, effect);
      else if (effect.kind === 'settled') effect.payload.settled = true;
      else if (effect.kind === 'abandon') this.#abandon(end, effect.path);
      else this.events.push(effect.event);
    }
    this.#setAlarm(end);
  }

  #setAlarm(end: End): void {
    const due = end.flow.nextDeadline();
    if (due === undefined || end.alarmAtMs <= due) return;
    const atMs = Math.max(due, this.nowMs) + this.rng.float() * TIMER_LATENESS_MS;
    end.alarmAtMs = due;
    this.#heap.push(atMs, () =>
      this.#inLoop(this.#waitingTimers, () => {
        if (end.alarmAtMs !== due) return; // an earlier one took its place
        end.alarmAtMs = Number.POSITIVE_INFINITY;
        const promised = end.flow.nextDeadline();
        if (promised === undefined || promised > this.nowMs) this.#setAlarm(end);
        else this.#apply(end, end.flow.handle({ kind: 'tick' }, this.#instant));
      }),
    );
  }

  // ---------------------------------------------------------------- the network

  /** When the frame arrives, or undefined when it is lost. */
  #travel(path: LivePath, frame: Frame): number | undefined {
    const { jitterMs, lossShare } = this.#options;
    if (this.rng.float() < lossShare) return undefined;
    let ms = path.spec.rttMs / 2 - jitterMs * Math.log(1 - this.rng.float());
    for (const relay of path.spec.relays) {
      if (this.#crashed.has(relay)) return undefined;
      const verdict = (this.#behaviours.get(relay) ?? honest)(frame, this.nowMs);
      if (verdict === 'drop') return undefined;
      ms += verdict;
    }
    const lane = (frame.toDestination ? 0 : 2) + (frame.urgent ? 0 : 1);
    const atMs = Math.max(this.nowMs + ms, path.lastAtMs[lane] ?? 0);
    path.lastAtMs[lane] = atMs;
    return atMs;
  }

  #transmit(end: End, effect: Extract<FlowEffect<Message>, { kind: 'transmit' }>): void {
    const path = end.live.get(effect.path);
    if (path === undefined) return;
    if (effect.copy !== 'first') this.copies += 1;
    const name = path.spec.relays.join('>');
    this.sentOver.set(name, (this.sentOver.get(name) ?? 0) + 1);
    const message = effect.payload;
    const urgent = message.class === 'critical';
    const arrival = this.#travel(path, { toDestination: true, urgent, destination: end.destination });
    if (arrival === undefined) return;
    const serviceMs = this.#options.serviceMs;
    this.at(arrival, () => {
      if (serviceMs === undefined) {
        this.#arrive(end, path, message, effect.packet, effect.receiptAtOnce);
        return;
      }
      end.destinationBusyUntilMs = Math.max(end.destinationBusyUntilMs, this.nowMs) + serviceMs(this.nowMs);
      this.at(end.destinationBusyUntilMs, () => this.#arrive(end, path, message, effect.packet, effect.receiptAtOnce));
    });
  }

  #arrive(end: End, path: LivePath, message: Message, packet: number, atOnce: boolean): void {
    message.deliveredAtMs ??= this.nowMs;
    path.received.add(packet);
    path.newestAtMs = this.nowMs;
    path.owed += 1;
    if (atOnce || path.owed >= MAX_OWED) this.#sendReceipt(end, path);
    else if (path.owed === 1) this.at(this.nowMs + MAX_RECEIPT_DELAY_MS, () => this.#sendReceipt(end, path));
  }

  #sendReceipt(end: End, path: LivePath): void {
    if (path.owed === 0) return;
    path.owed = 0;
    const delayMs = this.nowMs - path.newestAtMs;
    const ranges = path.received.ranges.map(range => ({ ...range }));
    const packet = path.returned++;
    const arrival = this.#travel(path, { toDestination: false, urgent: true, destination: end.destination });
    if (arrival === undefined) return;
    this.at(arrival, () =>
      this.#inLoop(this.#waitingFrames, () => {
        if (end.live.get(path.id) !== path) return;
        end.flow.heard(path.id, packet, this.#instant);
        const input = { kind: 'receipt', path: path.id, ranges, delayMs } as const;
        this.#apply(end, end.flow.handle(input, this.#instant));
      }),
    );
  }
}
