/** The surroundings of whatever runs this: a Node process, a browser tab, a worker. */
import { type Env, type Logger, silentLogger } from './env.js';
import { browserEnv } from './env-browser.js';
import { nodeEnv } from './env-node.js';

/**
 * Real time and randomness of this platform: what `createNode` and `joinBroadcast` take by default. Found at run time, by
 * the same sign as the backend of cryptography (docs/decisions/012), so that one build serves Node and browsers.
 *
 * @example
 * openChannel(connection, { env: systemEnv(), crypto: defaultCrypto(), identity, networkId, role: 'initiator' }, events);
 */
export function systemEnv(log: Logger = silentLogger): Env {
  const isNode = typeof globalThis.process?.getBuiltinModule === 'function';
  return isNode ? nodeEnv({ log }) : browserEnv(log);
}
