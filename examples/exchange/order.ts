/**
 * The orders of the example exchange, as bots put them into envelopes: JSON with decimal strings, because that is what
 * exchanges speak; inside the engine everything is an integer, so that every replica computes the same.
 */

export type Side = 'buy' | 'sell';

/** A limit order; what it does not match at once rests in the book. */
export interface LimitOrder {
  readonly account: string;
  readonly side: Side;
  /** In ticks of 0.01. */
  readonly price: number;
  /** In lots of 0.001. */
  readonly quantity: number;
  /** Chosen by the account; the engine gives it back in every fill. */
  readonly reference: number;
}

const TICKS_PER_UNIT = 100;
const LOTS_PER_UNIT = 1000;
const MAX_INTEGER = 1e12;

/** Made once: each costs as much as reading a hundred orders. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Decimal text to an integral number of steps; undefined unless it is a positive multiple of a step, below 10^12 steps. */
export function parseSteps(text: unknown, stepsPerUnit: number): number | undefined {
  if (typeof text !== 'string' || !/^\d{1,12}(\.\d{1,12})?$/.test(text)) return undefined;
  const steps = Math.round(Number(text) * stepsPerUnit);
  if (
    steps < 1 ||
    steps > MAX_INTEGER ||
    Math.abs(steps / stepsPerUnit - Number(text)) > 1e-9 * Math.max(1, Number(text))
  )
    return undefined;
  return steps;
}

export const parsePrice = (text: unknown): number | undefined => parseSteps(text, TICKS_PER_UNIT);
export const parseQuantity = (text: unknown): number | undefined => parseSteps(text, LOTS_PER_UNIT);

export function encodeOrder(order: LimitOrder): Uint8Array {
  const { account, side, reference } = order;
  const price = (order.price / TICKS_PER_UNIT).toFixed(2);
  const quantity = (order.quantity / LOTS_PER_UNIT).toFixed(3);
  return new TextEncoder().encode(JSON.stringify({ account, side, price, quantity, reference }));
}

/** Undefined for anything that is no order: the log orders bytes, and any sender can submit nonsense. */
export function decodeOrder(payload: Uint8Array): LimitOrder | undefined {
  let value: unknown;
  try {
    value = JSON.parse(strictUtf8.decode(payload));
  } catch {
    return undefined; // neither JSON nor UTF-8
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { account, side, price, quantity, reference } = value as Record<string, unknown>;
  const ticks = parsePrice(price);
  const lots = parseQuantity(quantity);
  if (typeof account !== 'string' || account.length === 0 || account.length > 64) return undefined;
  if ((side !== 'buy' && side !== 'sell') || ticks === undefined || lots === undefined) return undefined;
  if (typeof reference !== 'number' || !Number.isSafeInteger(reference) || reference < 0) return undefined;
  return { account, side, price: ticks, quantity: lots, reference };
}
