/** What a peer pins, as the text that people hand to one another. */
import { HopfairError } from '../errors.js';
import { parsePeerId, publicKeyOf } from './peer-id.js';
import { requireRootKeys } from './root-keys.js';
import type { RosterTrust } from './roster.js';

const invalid = (why: string, cause?: unknown): HopfairError =>
  new HopfairError('CONFIG_INVALID', `the trust: ${why}`, { cause });

/**
 * Reads the JSON of a trust file; root keys are written as peer ids. Throws CONFIG_INVALID that says what is wrong.
 *
 * @example
 * const trust = parseRosterTrust('{ "networkId": "example", "rootKeys": ["hf1…", "hf1…", "hf1…"], "threshold": 2 }');
 */
export function parseRosterTrust(text: string): RosterTrust {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(`it is not JSON: ${(cause as Error).message}`, cause);
  }
  const { networkId, rootKeys, threshold, ...others } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalid(`"${other}" is nothing that it has`);
  if (typeof networkId !== 'string') throw invalid('"networkId" must be a text');
  if (!Array.isArray(rootKeys))
    throw invalid('"rootKeys" must be a list of ids as `hopfair identity show` prints them');
  if (typeof threshold !== 'number') throw invalid('"threshold" must be a number');
  try {
    const trust = { networkId, rootKeys: rootKeys.map(key => publicKeyOf(parsePeerId(String(key)))), threshold };
    requireRootKeys(trust);
    return trust;
  } catch (cause) {
    throw invalid((cause as Error).message, cause);
  }
}
