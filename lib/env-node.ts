/** The surroundings of a Node process. */
import { type Cancel, type Env, type Logger, silentLogger } from './env.js';
import { platformEnv } from './env-platform.js';

export interface NodeEnvOptions {
  /** Default: everything is dropped. */
  readonly log?: Logger;
  /**
   * While a channel is open, the event loop polls instead of sleeping until something arrives: a lone message is not kept
   * waiting by a core that has to wake up first. It costs one whole core for as long, and keeps the process alive until
   * the last channel is closed. Default: false.
   */
  readonly spin?: boolean;
}

/**
 * Real time and randomness. Timers do not keep the process alive.
 *
 * @example
 * createNode({ env: nodeEnv({ spin: true }), identity, networkId, membership, transports })
 */
export function nodeEnv({ log = silentLogger, spin = false }: NodeEnvOptions = {}): Env {
  const env = platformEnv(
    {
      soon: fn => process.nextTick(fn),
      afterTurn: fn => setImmediate(fn),
      schedule: (delayMs, fn) => {
        const timer = setTimeout(fn, delayMs);
        timer.unref();
        return () => clearTimeout(timer);
      },
      throttledTimers: false,
    },
    log,
  );
  return spin ? { ...env, attend: spinner() } : env;
}

/** A loop with an immediate pending never blocks in its poll: one is kept pending while anybody attends. */
function spinner(): () => Cancel {
  let attending = 0;
  let turning = false;
  const turn = (): void => {
    turning = attending > 0;
    if (turning) setImmediate(turn);
  };
  return () => {
    attending++;
    if (!turning) turn();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      attending--;
    };
  };
}
