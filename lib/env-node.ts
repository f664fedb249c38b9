/** The surroundings of a Node process. */
import { type Env, type Logger, silentLogger } from './env.js';
import { platformEnv } from './env-platform.js';

/** Real time and randomness. Timers do not keep the process alive. */
export function nodeEnv(log: Logger = silentLogger): Env {
  return platformEnv(
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
}
