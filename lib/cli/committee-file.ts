/**
 * The committee descriptor as a file: the canonical bytes that its hash pins, or JSON for people to write:
 *
 *   { "networkId": "example", "epoch": 1, "delayBoundMs": 50, "members": ["hf1…", "hf1…", "hf1…", "hf1…"] }
 *
 * with any of the other parameters beside `delayBoundMs`; what is left out has its default.
 */
import { readFileSync } from 'node:fs';
import { fromUtf8, toUtf8 } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { parsePeerId } from '../identity/peer-id.js';
import { decodeCommittee, defaultParameters, PinnedCommittee } from '../order/committee.js';
import type { Committee } from '../order/types.js';

/** Longer than the largest committee, in either form. */
const MAX_FILE_BYTES = 65_536;
const OPENING_BRACE = fromUtf8('{')[0];

/** Throws CONFIG_INVALID, COMMITTEE_UNSOUND or DECODE_FAILED, each with what is wrong. */
export function readCommitteeFile(crypto: CryptoProvider, path: string): PinnedCommittee {
  const bytes = readBounded(path);
  const descriptor = bytes[0] === OPENING_BRACE ? fromJson(toUtf8(bytes)) : decodeCommittee(bytes);
  return new PinnedCommittee(crypto, descriptor);
}

function readBounded(path: string): Uint8Array {
  const bytes = readFileSync(path);
  if (bytes.length > MAX_FILE_BYTES) throw invalid(`${bytes.length} bytes are too many for a committee descriptor`);
  return bytes;
}

const invalid = (message: string): HopfairError => new HopfairError('CONFIG_INVALID', message);

function fromJson(text: string): Committee {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new HopfairError('CONFIG_INVALID', `the committee descriptor is not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  const { networkId, epoch, members, delayBoundMs, ...overrides } = value as Record<string, unknown>;
  if (typeof networkId !== 'string') throw invalid('"networkId" must be a text');
  if (typeof epoch !== 'number') throw invalid('"epoch" must be a number');
  if (typeof delayBoundMs !== 'number') throw invalid('"delayBoundMs" must be a number, in milliseconds');
  if (!Array.isArray(members)) throw invalid('"members" must be a list of peer ids');
  const defaults: Readonly<Record<string, unknown>> = { ...defaultParameters(delayBoundMs), openingThreshold: 0 };
  for (const [name, given] of Object.entries(overrides)) {
    if (!Object.hasOwn(defaults, name)) throw invalid(`"${name}" is no parameter of a committee`);
    if (typeof given !== typeof defaults[name]) throw invalid(`"${name}" must be a ${typeof defaults[name]}`);
  }
  return {
    networkId,
    epoch,
    members: members.map(member => ({ peer: parsePeerId(String(member)) })),
    parameters: defaultParameters(delayBoundMs, overrides),
  };
}
