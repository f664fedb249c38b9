/**
 * The roster as a file that people write:
 *
 *   {
 *     "networkId": "example", "version": 7, "expiry": "2027-01-31T00:00:00Z",
 *     "members": [{ "peer": "hf1…", "operator": "desk", "region": "zrh", "mayRelay": true }],
 *     "revoked": ["hf1…"],
 *     "edges": [{ "between": ["hf1…", "hf1…"], "floorMs": 4.5 }],
 *     "aliases": { "prices": "hf1…/book.BTC-PERP" },
 *     "rotations": ["rotation-7.hfrot"]
 *   }
 *
 * Members may leave out operator, region (unknown) and mayRelay (false); of the lists all but `members` may be left out.
 * Rotations are files beside this one, the oldest first.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { toUtf8 } from '../bytes.js';
import { unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { parsePeerId } from '../identity/peer-id.js';
import type { EdgeFloor, Roster, RosterMember, TopicAlias } from '../identity/roster.js';
import { LIMITS } from '../limits.js';

/** JSON of the largest roster, generously; drafts hold its body in hexadecimal. */
const MAX_FILE_BYTES = 4 * LIMITS.maxRosterBytes;

type Fields = Readonly<Record<string, unknown>>;

const invalid = (why: string, cause?: unknown): HopfairError => new HopfairError('CONFIG_INVALID', why, { cause });

/** Throws CONFIG_INVALID above any size that a file of rosters can have. */
export function readBounded(path: string): Uint8Array {
  const { size } = statSync(path);
  if (size > MAX_FILE_BYTES) throw invalid(`${path}: ${size} bytes are more than anything about rosters has`);
  return readFileSync(path);
}

/** Throws CONFIG_INVALID, with the file and what is wrong. */
export function readJson(path: string): Fields {
  try {
    const value: unknown = JSON.parse(toUtf8(readBounded(path)));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('it is no object');
    return value as Fields;
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code === 'ENOENT') throw cause;
    throw invalid(`${path}: ${(cause as Error).message}`, cause);
  }
}

/** Throws CONFIG_INVALID, naming the field. */
export function readRosterFile(path: string): Roster {
  const { networkId, version, expiry, members, revoked, edges, aliases, rotations, ...others } = readJson(path);
  refuseOthers(others, 'a roster');
  const expiryMs = Date.parse(String(expiry));
  if (Number.isNaN(expiryMs)) throw invalid('"expiry" must be a time as 2027-01-31T00:00:00Z');
  if (!Number.isSafeInteger(version) || (version as number) < 1) throw invalid('"version" must be a number from 1 on');
  return {
    networkId: text(networkId, '"networkId"'),
    version: version as number,
    expiry: unixMs(expiryMs),
    members: list(members, '"members"').map(memberOf),
    revoked: list(revoked ?? [], '"revoked"').map((peer, i) => peerOf(peer, `"revoked" ${i}`)),
    edges: list(edges ?? [], '"edges"').map(edgeOf),
    aliases: Object.entries(fields(aliases ?? {}, '"aliases"')).map(aliasOf),
    rotations: list(rotations ?? [], '"rotations"').map((file, i) => {
      return readBounded(resolve(dirname(path), text(file, `"rotations" ${i}`)));
    }),
  };
}

function memberOf(value: unknown, index: number): RosterMember {
  const where = `"members" ${index}`;
  const { peer, operator, region, mayRelay = false, ...others } = fields(value, where);
  refuseOthers(others, where);
  if (typeof mayRelay !== 'boolean') throw invalid(`${where}: "mayRelay" must be true or false`);
  return {
    peer: peerOf(peer, where),
    operator: operator === undefined ? undefined : text(operator, `${where}: "operator"`),
    region: region === undefined ? undefined : text(region, `${where}: "region"`),
    mayRelay,
  };
}

function edgeOf(value: unknown, index: number): EdgeFloor {
  const where = `"edges" ${index}`;
  const { between, floorMs, ...others } = fields(value, where);
  refuseOthers(others, where);
  const [a, b, ...more] = list(between, `${where}: "between"`);
  if (more.length > 0) throw invalid(`${where}: an edge is between two peers`);
  if (typeof floorMs !== 'number' || !(floorMs >= 0)) throw invalid(`${where}: "floorMs" must be a number, in ms`);
  return { between: [peerOf(a, where), peerOf(b, where)], floorMs };
}

function aliasOf([alias, topic]: [string, unknown]): TopicAlias {
  const where = `"aliases" ${alias}`;
  const full = text(topic, where);
  const slash = full.indexOf('/');
  if (slash < 0) throw invalid(`${where}: a topic is the id of its publisher, "/" and a name`);
  return { alias, publisher: peerOf(full.slice(0, slash), where), name: full.slice(slash + 1) };
}

function refuseOthers(others: Fields, where: string): void {
  const [name] = Object.keys(others);
  if (name !== undefined) throw invalid(`"${name}" is nothing that ${where} has`);
}

function fields(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${where} must be an object`);
  return value as Fields;
}

function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${where} must be a list`);
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string') throw invalid(`${where} must be a text`);
  return value;
}

function peerOf(value: unknown, where: string): ReturnType<typeof parsePeerId> {
  try {
    return parsePeerId(text(value, where));
  } catch (cause) {
    throw invalid(`${where}: ${(cause as Error).message}`, cause);
  }
}
