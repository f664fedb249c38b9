/** What relays do to frames: honest ones pass them on, hostile ones choose by what a relay can see. */

export interface Frame {
  /** Towards the destination of the flow; otherwise it carries receipts. */
  readonly toDestination: boolean;
  readonly urgent: boolean;
  readonly destination: string;
}

/** How long the relay keeps the frame, in ms, or `drop`. */
export type Behaviour = (frame: Frame, nowMs: number) => number | 'drop';

export const honest: Behaviour = () => 0;

export function dropping(share: number, random: () => number): Behaviour {
  return ({ toDestination }) => (toDestination && random() < share ? 'drop' : 0);
}

export function droppingReceipts(share: number, random: () => number): Behaviour {
  return ({ toDestination }) => (!toDestination && random() < share ? 'drop' : 0);
}

/** Each way by half. */
export function delaying(roundTripMs: number, concerns: (frame: Frame) => boolean = () => true): Behaviour {
  return frame => (concerns(frame) ? roundTripMs / 2 : 0);
}

/** Bad in the first half of each period. */
export function onAndOff(periodMs: number, bad: Behaviour): Behaviour {
  return (frame, nowMs) => (nowMs % periodMs < periodMs / 2 ? bad(frame, nowMs) : 0);
}
