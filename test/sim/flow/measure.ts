/** Numbers of many runs of one scenario. */
import type { FlowRun } from './scenarios.js';
import type { Message } from './world.js';

export interface FlowMeasures {
  readonly runs: number;
  readonly messages: number;
  /** Never delivered, or never receipted. */
  readonly lost: number;
  /** From the fault until the active path is another one than over the hostile relay; runs where it never was: infinite. */
  readonly switchMsP50: number | undefined;
  readonly switchMsP95: number | undefined;
  readonly worstOneWayMs: number;
  /**
   * Of messages sent between the fault and the switch: how far the p99 of their one-way times beyond the PTO of their time
   * is above the p99 of one-way times over the alternate. Negative when it is below.
   */
  readonly p99ExcessMs: number | undefined;
  readonly switchesPerMinute: number;
  /** Switches of runs without a hostile relay. */
  readonly falseReroutesPerHour: number | undefined;
  /** Copies beyond the first of each message. */
  readonly copyShare: number;
  /** Of the frames of the whole run that went over the hostile relay. */
  readonly hostileShare: number | undefined;
  /** Median one-way time of the last second. */
  readonly settledOneWayMs: number;
  /** From the fault, in scenarios where it lasts a second: until half a second without more than 1.5 times the p99 of before. */
  readonly recoveredMsP95: number;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const oneWay = ({ deliveredAtMs, submittedAtMs }: Message): number =>
  deliveredAtMs === undefined ? Number.POSITIVE_INFINITY : deliveredAtMs - submittedAtMs;

/** Collects what the measures need of each run, so that no run is kept. */
export class FlowTally {
  #runs = 0;
  #messages = 0;
  #lost = 0;
  #copies = 0;
  #switches = 0;
  #minutes = 0;
  #falseReroutes = 0;
  #honestHours = 0;
  #worstOneWayMs = 0;
  #hostileFrames = 0;
  #frames = 0;
  readonly #switchMs: number[] = [];
  readonly #excessMs: number[] = [];
  readonly #alternateMs: number[] = [];
  readonly #settledMs: number[] = [];
  readonly #recoveredMs: number[] = [];

  add({ world, faultAtMs, endMs, hostile }: FlowRun): void {
    this.#runs += 1;
    this.#messages += world.messages.length;
    this.#copies += world.copies;
    for (const message of world.messages) {
      if (message.deliveredAtMs === undefined || !message.settled) this.#lost += 1;
      else this.#worstOneWayMs = Math.max(this.#worstOneWayMs, oneWay(message));
    }
    const switches = world.events.filter(event => event.kind === 'switch' && event.atMs >= faultAtMs);
    this.#switches += switches.length;
    this.#minutes += (endMs - faultAtMs) / 60_000;
    if (hostile === undefined) {
      const all = world.events.filter(event => event.kind === 'switch' && event.trigger !== 'first-path');
      this.#falseReroutes += all.length;
      this.#honestHours += endMs / 3_600_000;
    } else {
      const away = switches.find(({ to }) => to !== undefined && !to.some(relay => relay === hostile));
      const switchedAtMs = away?.atMs ?? Number.POSITIVE_INFINITY;
      this.#switchMs.push(switchedAtMs - faultAtMs);
      for (const message of world.messages) {
        if (message.submittedAtMs < faultAtMs) continue;
        if (message.submittedAtMs > switchedAtMs) this.#alternateMs.push(oneWay(message));
        else this.#excessMs.push(oneWay(message) - message.ptoMs);
      }
      for (const [route, frames] of world.sentOver) {
        this.#frames += frames;
        if (route.split('>').includes(hostile)) this.#hostileFrames += frames;
      }
    }
    this.#settledMs.push(...world.messages.filter(m => m.submittedAtMs > endMs - 1_000).map(oneWay));
    this.#recoveredMs.push(recoveredMs(world.messages, faultAtMs, endMs));
  }

  get measures(): FlowMeasures {
    const some = <T>(values: readonly T[], value: () => number): number | undefined =>
      values.length === 0 ? undefined : value();
    return {
      runs: this.#runs,
      messages: this.#messages,
      lost: this.#lost,
      switchMsP50: some(this.#switchMs, () => percentile(this.#switchMs, 0.5)),
      switchMsP95: some(this.#switchMs, () => percentile(this.#switchMs, 0.95)),
      worstOneWayMs: this.#worstOneWayMs,
      p99ExcessMs: some(this.#excessMs, () => percentile(this.#excessMs, 0.99) - percentile(this.#alternateMs, 0.99)),
      switchesPerMinute: this.#switches / this.#minutes,
      falseReroutesPerHour: this.#honestHours === 0 ? undefined : this.#falseReroutes / this.#honestHours,
      copyShare: this.#copies / this.#messages,
      hostileShare: this.#frames === 0 ? undefined : this.#hostileFrames / this.#frames,
      settledOneWayMs: percentile(this.#settledMs, 0.5),
      recoveredMsP95: percentile(this.#recoveredMs, 0.95),
    };
  }
}

const SLICE_MS = 250;

/** When the first two slices in a row begin, a second after the fault, that are no worse than 1.5 times the usual p99. */
function recoveredMs(messages: readonly Message[], faultAtMs: number, endMs: number): number {
  const usual = percentile(messages.filter(message => message.submittedAtMs < faultAtMs).map(oneWay), 0.99);
  const worst: number[] = [];
  for (const message of messages) {
    if (message.submittedAtMs < faultAtMs || message.submittedAtMs > endMs) continue;
    const slice = Math.floor((message.submittedAtMs - faultAtMs) / SLICE_MS);
    worst[slice] = Math.max(worst[slice] ?? 0, oneWay(message));
  }
  for (let slice = 1_000 / SLICE_MS; slice + 1 < worst.length; slice++) {
    if (Math.max(worst[slice] ?? 0, worst[slice + 1] ?? 0) <= 1.5 * usual) return slice * SLICE_MS;
  }
  return Number.POSITIVE_INFINITY;
}
