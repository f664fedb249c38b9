/** The surroundings of a browser tab or worker. */
import { type Env, type Logger, silentLogger } from './env.js';
import { platformEnv } from './env-platform.js';

/** What is used of the platform: this file is checked without DOM types. */
declare class MessageChannel {
  readonly port1: { onmessage: (() => void) | null };
  readonly port2: { postMessage(message: undefined): void };
}
declare const document: unknown;
declare const queueMicrotask: (fn: () => void) => void;
declare const setTimeout: (fn: () => void, delayMs: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;

/** Browsers have no setImmediate, and clamp timers to 4 ms: a message to oneself arrives in the next turn. */
function afterTurn(): (fn: () => void) => void {
  let port: MessageChannel['port2'] | undefined;
  let waiting: (() => void)[] = [];
  const open = (): MessageChannel['port2'] => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      const due = waiting;
      waiting = [];
      for (const fn of due) fn();
    };
    return port2;
  };
  return fn => {
    port ??= open();
    if (waiting.push(fn) === 1) port.postMessage(undefined);
  };
}

/** Real time and randomness. Browsers throttle the timers of hidden tabs; those of workers keep time. */
export function browserEnv(log: Logger = silentLogger): Env {
  const schedule = (delayMs: number, fn: () => void) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  };
  const throttledTimers = typeof document !== 'undefined';
  const soon = (fn: () => void) => queueMicrotask(fn);
  return platformEnv({ soon, afterTurn: afterTurn(), schedule, throttledTimers }, log);
}
