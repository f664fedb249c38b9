/**
 * What the members say of one sealed order, and what follows from it when f of them may lie: f+1 equal statements hold
 * an honest one; after 2f+1 refusals f+1 honest lanes never list the order, so that it can never be solid.
 */
import type { OpenedItem } from '../order/client-messages.js';
import type { RejectReason } from '../order/member-io.js';
import type { SignedPromise } from '../order/promise.js';
import type { Tolerance, ValidatorIndex } from '../order/types.js';

/** Refusals that may pass: the member may still list the same envelope later. */
const PASSING: ReadonlySet<RejectReason> = new Set(['predecessor', 'quota', 'abstaining']);

/** Not what a member thinks of the order, but what the final cuts say. */
const DECIDED: ReadonlySet<RejectReason> = new Set(['gone', 'double']);

export interface Opened extends OpenedItem {
  readonly height: number;
}

export class OrderTally {
  readonly #tolerance: Tolerance;
  readonly #promises = new Map<ValidatorIndex, SignedPromise>();
  readonly #ordered = new Map<ValidatorIndex, number>();
  readonly #opened = new Map<ValidatorIndex, { readonly statement: string; readonly opened: Opened }>();
  readonly #refusals = new Map<ValidatorIndex, RejectReason>();

  constructor(tolerance: Tolerance) {
    this.#tolerance = tolerance;
  }

  /** One of each member that has promised. */
  get promises(): readonly SignedPromise[] {
    return [...this.#promises.values()];
  }

  /** True when this member has told how the order came out: it has nothing more to say. */
  hasOpened(member: ValidatorIndex): boolean {
    return this.#opened.has(member);
  }

  /** Takes a promise whose signature was checked. True when f+1 members have promised. */
  promise(promise: SignedPromise): boolean {
    this.#refusals.delete(promise.validator);
    return this.#promises.set(promise.validator, promise).size > this.#tolerance.f;
  }

  /** True when f+1 members say that the order was selected at this height. */
  order(from: ValidatorIndex, height: number): boolean {
    this.#ordered.set(from, height);
    return [...this.#ordered.values()].filter(said => said === height).length > this.#tolerance.f;
  }

  /** True when f+1 members say the same of how and where the order came out. */
  open(from: ValidatorIndex, opened: Opened): boolean {
    const statement = JSON.stringify([opened.height, opened.index, opened.void ?? '', opened.laneTimes]);
    this.#opened.set(from, { statement, opened });
    return [...this.#opened.values()].filter(said => said.statement === statement).length > this.#tolerance.f;
  }

  /**
   * Why the order can never be emitted any more: f+1 members read it in the final cuts, or 2f+1 have refused it for good,
   * and this is what most of them say. Undefined as long as it still may be emitted.
   */
  refuse(from: ValidatorIndex, reason: RejectReason): RejectReason | undefined {
    this.#refusals.set(from, reason);
    const { f } = this.#tolerance;
    if (DECIDED.has(reason) && this.#countRefusals(reason) > f) return reason;
    const final = [...this.#refusals.values()].filter(refusal => !PASSING.has(refusal));
    if (final.length < 2 * f + 1) return undefined;
    return final.reduce((most, next) => (this.#countRefusals(next) > this.#countRefusals(most) ? next : most));
  }

  #countRefusals(reason: RejectReason): number {
    return [...this.#refusals.values()].filter(refusal => refusal === reason).length;
  }
}
