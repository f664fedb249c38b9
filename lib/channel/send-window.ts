/**
 * How much may be under way: the credit that the receiver granted, and a window that keeps the queue of the path short.
 * A socket hides how much waits in the kernel, so what is bounded is what the peer has not acknowledged.
 */
import { INITIAL_CREDIT_BYTES, MIN_CUT_BYTES } from './record.js';
import type { Priority } from './types.js';

const INITIAL_BYTES = INITIAL_CREDIT_BYTES;
const MIN_BYTES = 32_768;
const MAX_BYTES = 16_777_216;
/** Normal messages are not slowed below this: a path whose delay is not ours must not starve them. */
const MIN_NORMAL_BYTES = 262_144;
/** Room that bulk leaves for normal messages, so that a full window of bulk never delays them by a round trip. */
const NORMAL_EXTRA_BYTES = 65_536;
/** Urgent messages may exceed the window by this, for the same reason. */
const URGENT_EXTRA_BYTES = 16_384;
/** The queue that bulk may build somewhere on the path, as time, or as a share of the base round trip if that is more. */
const BULK_QUEUE_MS = 0.25;
const QUEUE_SHARE = 0.25;
/** The queue that normal messages may build: enough to ride out the pauses of two busy event loops. */
const NORMAL_QUEUE_MS = 5;
/** By which the window grows in one round trip at most. */
const GROWTH = 2;
/** A window is used in pieces, so a little of it always lies idle. */
const SLACK_BYTES = 2 * MIN_CUT_BYTES;
/** The base round trip is the lowest of this time: two halves, the older of which is forgotten as a whole. */
const HALF_MEMORY_MS = 5_000;
/** The rate of the path is the highest of so many rounds and so much time, in two halves likewise. */
const HALF_RATE_ROUNDS = 16;
const HALF_RATE_MS = 500;
/** After each half of the memory the queue is let run dry for so many rounds, or the base would creep up with it. */
const DRAIN_ROUNDS = 2;
const DRAIN_SHARE = 0.5;
const PROBES = 16;
/** The offset asked for, the instant, what had been acknowledged by then, when that was, and when it had been sent. */
const PROBE_FIELDS = 5;
/** The receiver grants credit when it answers, so it must be asked often enough for that, too. */
const MAX_ASK_BYTES = 524_288;

/** The highest of the last one to two halves of a memory. */
class RecentMax {
  value = 0;
  #older = 0;
  #newer = 0;

  add(value: number): void {
    this.#newer = Math.max(this.#newer, value);
    this.value = Math.max(this.#older, this.#newer);
  }

  forgetOlder(): void {
    this.#older = this.#newer;
    this.#newer = 0;
    this.value = this.#older;
  }
}

export class SendWindow {
  #bytes = INITIAL_BYTES;
  #normalBytes = MIN_NORMAL_BYTES;
  #sent = 0;
  #acked = 0;
  #credit = INITIAL_CREDIT_BYTES;
  #asked = 0;
  #askBytes = INITIAL_BYTES / 4;
  #normalAskBytes = MIN_NORMAL_BYTES / 4;
  /** When the latest ack came, or when sending began anew with nothing under way. */
  #ackedAt = 0;
  /** When the latest ask that was answered had left, or likewise. */
  #answeredAskAt = 0;
  /** Asks that are not answered yet, oldest first, in four fields each. */
  readonly #asks = new Float64Array(PROBES * PROBE_FIELDS);
  #firstProbe = 0;
  #probes = 0;
  /** A round begins when the one before it is acknowledged, and ends when what was sent by then is. */
  #roundEnd = 0;
  #wasLimiting = false;
  #rtt = Number.POSITIVE_INFINITY;
  #olderRtt = Number.POSITIVE_INFINITY;
  #halfEnds = 0;
  /** Bytes per ms that the path has carried. */
  readonly #rate: RecentMax = new RecentMax();
  #rateRounds = 0;
  #rateSince = 0;
  #drainRounds = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get unacknowledged(): number {
    return this.#sent - this.#acked;
  }

  get creditLeft(): number {
    return this.#credit - this.#sent;
  }

  /** The lowest round trip of the last five to ten seconds; Infinity before the first. */
  get minRttMs(): number {
    return Math.min(this.#rtt, this.#olderRtt);
  }

  /** Bytes of this priority that may be sent now. */
  room(priority: Priority): number {
    let bytes = priority === 'bulk' ? this.#bytes : this.#normalBytes;
    if (this.#drainRounds > 0) bytes = Math.min(bytes, this.#drainBytes());
    if (priority === 'urgent') bytes += URGENT_EXTRA_BYTES;
    return Math.min(this.#acked + bytes, this.#credit) - this.#sent;
  }

  onSent(bytes: number, now: number): void {
    if (this.#sent === this.#acked) {
      this.#ackedAt = now;
      this.#answeredAskAt = now;
    }
    this.#sent += bytes;
  }

  /** What waits is held back by the window alone: only then may it grow. */
  onLimited(): void {
    this.#wasLimiting = true;
  }

  /**
   * Whether it is time to ask for an ack: twice while the tolerated queue drains, so that the window never runs dry before
   * the answer. What is blocked must always have an ask on its way.
   */
  shouldAsk(isBlocked: boolean, isBulk: boolean): boolean {
    const interval = isBlocked ? 1 : isBulk ? this.#askBytes : this.#normalAskBytes;
    return this.#sent - this.#asked >= interval;
  }

  onAsk(now: number): void {
    this.#asked = this.#sent;
    if (this.#probes === PROBES) return;
    const at = (this.#firstProbe + this.#probes++) % PROBES;
    this.#asks.set([this.#sent, now, this.#acked, this.#ackedAt, this.#answeredAskAt], at * PROBE_FIELDS);
  }

  /** Takes an ack. False when it claims what cannot be: bytes never sent, or credit taken back. */
  onAck(received: number, credit: number, now: number): boolean {
    if (received < this.#acked || received > this.#sent || credit < this.#credit) return false;
    this.#acked = received;
    this.#credit = credit;
    while (this.#probes > 0 && (this.#asks[this.#firstProbe * PROBE_FIELDS] as number) <= received) {
      this.#onAnswer(this.#firstProbe, now);
      this.#firstProbe = (this.#firstProbe + 1) % PROBES;
      this.#probes--;
    }
    this.#ackedAt = now;
    if (received >= this.#roundEnd) this.#endRound(now);
    return true;
  }

  /**
   * One round trip, and a sample of the rate as in BBR (draft-ietf-ccwg-bbr, section 4.1): what lay between the ack before
   * the ask and the ask itself, over the time that its sending took or its acknowledging, whichever was longer. So neither
   * acks that are few nor acks that come in a bunch after a pause look like a fast path.
   */
  #onAnswer(probe: number, now: number): void {
    const at = probe * PROBE_FIELDS;
    const asks = this.#asks;
    const askedAt = asks[at + 1] as number;
    const rtt = now - askedAt;
    const interval = Math.max(now - (asks[at + 3] as number), askedAt - (asks[at + 4] as number));
    if (interval > 0) this.#rate.add(((asks[at] as number) - (asks[at + 2] as number)) / interval);
    this.#answeredAskAt = askedAt;
    if (now >= this.#halfEnds) {
      this.#olderRtt = this.#rtt;
      this.#rtt = Number.POSITIVE_INFINITY;
      this.#halfEnds = now + HALF_MEMORY_MS;
      if (this.#wasLimiting) this.#drainRounds = DRAIN_ROUNDS + 1;
    }
    this.#rtt = Math.min(this.#rtt, rtt);
  }

  #endRound(now: number): void {
    // A window that nobody has used up has no part in the delay, and proves nothing about more room.
    if (this.#drainRounds > 0) this.#drainRounds--;
    else if (this.#wasLimiting && this.#rate.value > 0) this.#resize(now);
    this.#roundEnd = this.#sent;
    this.#wasLimiting = false;
  }

  /** To what the path carries in a round trip with no more of a queue than is tolerated. */
  #resize(now: number): void {
    const { minRttMs } = this;
    const queueMs = minRttMs * QUEUE_SHARE;
    const base = this.#rate.value * minRttMs;
    const bulk = base + this.#rate.value * Math.max(BULK_QUEUE_MS, queueMs);
    const normal = base + this.#rate.value * Math.max(NORMAL_QUEUE_MS, queueMs);
    this.#bytes = clamp(Math.min(bulk + SLACK_BYTES, this.#bytes * GROWTH), MIN_BYTES);
    this.#normalBytes = clamp(
      Math.max(Math.min(normal, this.#normalBytes * GROWTH), this.#bytes + NORMAL_EXTRA_BYTES),
      MIN_NORMAL_BYTES,
    );
    this.#askBytes = askInterval(this.#bytes, base);
    this.#normalAskBytes = askInterval(this.#normalBytes, base);
    if (++this.#rateRounds < HALF_RATE_ROUNDS || now - this.#rateSince < HALF_RATE_MS) return;
    this.#rate.forgetOlder();
    this.#rateRounds = 0;
    this.#rateSince = now;
  }

  #drainBytes(): number {
    return clamp(this.#rate.value * this.minRttMs * DRAIN_SHARE, MIN_BYTES);
  }
}

/** Half of what a window holds beyond one round trip, within reason. */
function askInterval(window: number, base: number): number {
  return Math.min(Math.max((window - base) / 2, window / 16), MAX_ASK_BYTES);
}

function clamp(bytes: number, min: number): number {
  return Math.min(Math.max(Math.floor(bytes), min), MAX_BYTES);
}
