/**
 * The file that holds the two secrets of a peer. Only its owner may read it; it is written once, whole or not at all,
 * and never overwritten: a lost identity cannot be made again.
 */
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromHex, toHex } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { createIdentitySeeds, type IdentitySeeds } from '../identity/identity.js';
import { peerIdOf } from '../identity/peer-id.js';

const FORMAT = 'hopfair-identity-1';
const OWNER_ONLY = 0o600;
const GROUP_BITS = 0o070;
const OTHERS_BITS = 0o007;
const MAX_BYTES = 4_096;

/** The public keys are there to be checked against the secrets: a damaged file does not become another identity. */
interface IdentityFile {
  readonly format: typeof FORMAT;
  readonly peer: string;
  readonly staticKey: string;
  readonly identitySeed: string;
  readonly staticSeed: string;
}

export interface LoadIdentityOptions {
  /**
   * The file lies in a credentials directory of the service manager, where the group bits are the mask of an access
   * list and not a permission. Others must still not be able to read it.
   */
  readonly isCredential?: boolean;
}

const unsafe = (path: string, why: string): HopfairError => new HopfairError('IDENTITY_FILE_UNSAFE', `${path}: ${why}`);

/** What the file's functions take from their surroundings. */
export interface IdentityFileTools {
  readonly crypto: CryptoProvider;
  /** Cryptographically secure random bytes, from `env.rng`. */
  readonly rng: (length: number) => Uint8Array;
}

/**
 * Writes the secrets to a new file of mode 0600. Throws INVALID_STATE, and leaves the file alone, when one exists, and
 * STORAGE_FAILED when the disk refuses.
 */
export async function writeIdentityFile(
  path: string,
  seeds: IdentitySeeds,
  { crypto, rng }: IdentityFileTools,
): Promise<void> {
  const content: IdentityFile = {
    format: FORMAT,
    ...publicKeys(seeds, crypto),
    identitySeed: toHex(seeds.identity),
    staticSeed: toHex(seeds.static),
  };
  const temporary = `${path}.${toHex(rng(8))}.tmp`;
  try {
    await writeDurably(temporary, `${JSON.stringify(content, undefined, 2)}\n`);
    try {
      await link(temporary, path); // unlike rename, it fails where a file exists
    } finally {
      await unlink(temporary);
    }
    await syncFolder(dirname(path));
  } catch (cause) {
    if (errorCode(cause) === 'EEXIST') throw new HopfairError('INVALID_STATE', `${path} exists already`, { cause });
    throw new HopfairError('STORAGE_FAILED', `${path} could not be written`, { cause });
  }
}

/**
 * Reads the secrets back. Throws IDENTITY_FILE_UNSAFE when group or others may read or write the file, or when its
 * content is damaged; STORAGE_FAILED when it cannot be read at all.
 */
export async function readIdentityFile(
  path: string,
  crypto: CryptoProvider,
  { isCredential = false }: LoadIdentityOptions = {},
): Promise<IdentitySeeds> {
  const text = await readPrivate(path, isCredential ? OTHERS_BITS : GROUP_BITS | OTHERS_BITS);
  const content = parse(path, text);
  const seeds = { identity: fromHex(content.identitySeed), static: fromHex(content.staticSeed) };
  const { peer, staticKey } = publicKeys(seeds, crypto);
  if (peer !== content.peer || staticKey !== content.staticKey) {
    throw unsafe(path, 'it is damaged: the secrets do not belong to its public keys');
  }
  return seeds;
}

/** Reads the file, or writes a new one with new secrets where there is none. */
export async function readOrCreateIdentityFile(path: string, tools: IdentityFileTools): Promise<IdentitySeeds> {
  try {
    return await readIdentityFile(path, tools.crypto);
  } catch (error) {
    if (!(error instanceof HopfairError && errorCode(error.cause) === 'ENOENT')) throw error;
  }
  const seeds = createIdentitySeeds(tools.rng);
  await writeIdentityFile(path, seeds, tools);
  return seeds;
}

function publicKeys(seeds: IdentitySeeds, crypto: CryptoProvider): Pick<IdentityFile, 'peer' | 'staticKey'> {
  const signer = crypto.signer(seeds.identity);
  const staticKey = crypto.dhKeyPair(seeds.static);
  signer.destroy();
  staticKey.destroy();
  return { peer: peerIdOf(signer.publicKey), staticKey: toHex(staticKey.publicKey) };
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', OWNER_ONLY);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A name is durable when its folder is. Windows has no such thing, and no way to open a folder. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readPrivate(path: string, forbiddenBits: number): Promise<string> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    // The open file is examined, not its name, which could come to mean another file in between.
    const stats = await file.stat();
    const { mode, size } = stats;
    if (!stats.isFile()) throw unsafe(path, 'it is not a file');
    // Windows answers with mode bits that mean nothing there.
    if (process.platform !== 'win32' && (mode & forbiddenBits) !== 0) {
      throw unsafe(path, `others than its owner have access (mode ${(mode & 0o777).toString(8)}): chmod 600 it`);
    }
    if (size > MAX_BYTES) throw unsafe(path, `it is damaged: ${size} bytes are too many`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof HopfairError) throw cause;
    throw new HopfairError('STORAGE_FAILED', `${path} could not be read`, { cause });
  } finally {
    await file?.close();
  }
}

function parse(path: string, text: string): IdentityFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unsafe(path, 'it is damaged: not JSON'); // without the cause, which quotes what stands in the file
  }
  if (!isIdentityFile(value)) throw unsafe(path, `it is damaged, or not a file of format ${FORMAT}`);
  return value;
}

function isIdentityFile(value: unknown): value is IdentityFile {
  const { format, peer, staticKey, identitySeed, staticSeed } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isHex32 = (text: unknown): boolean => typeof text === 'string' && /^[0-9a-f]{64}$/.test(text);
  return format === FORMAT && typeof peer === 'string' && [staticKey, identitySeed, staticSeed].every(isHex32);
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
