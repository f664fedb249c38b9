/**
 * The root keys of a network: who must have signed a roster, and how they are replaced. A rotation is signed by m of the
 * present keys and names the next ones; a roster holds the rotations that lead to its signers, so that whoever knows any
 * of the earlier sets follows them, however long it was away.
 */
import { compareBytes, copyOf, equalBytes, Reader, toHex, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type SignatureKind, signingBytes } from './signing.js';

const FORMAT = 1;
const KEY_LENGTH = 32;
const SIGNATURE_LENGTH = 64;

/** k root keys, of which m must have signed. */
export interface RootKeys {
  /** 32-byte Ed25519 public keys, different ones, in any order. */
  readonly rootKeys: readonly Uint8Array[];
  readonly threshold: number;
}

/** From a version of the roster on, these keys count instead of the ones before. */
export interface RootRotation extends RootKeys {
  readonly networkId: string;
  /** The first version that the new keys sign. */
  readonly fromVersion: number;
}

export interface RootSignature {
  readonly rootKey: Uint8Array;
  readonly signature: Uint8Array;
}

const invalid = (why: string): HopfairError => new HopfairError('ROSTER_INVALID', why);
const malformed = (why: string): HopfairError => new HopfairError('DECODE_FAILED', why);

/** Throws INVALID_ARGUMENT for keys that no peer would accept. */
export function requireRootKeys({ rootKeys, threshold }: RootKeys): void {
  requireArgument(rootKeys.length <= LIMITS.maxRootKeys, `at most ${LIMITS.maxRootKeys} root keys`);
  requireArgument(
    rootKeys.every(
      (key, i) => key.length === KEY_LENGTH && !rootKeys.slice(0, i).some(other => equalBytes(key, other)),
    ),
    'root keys are 32 bytes and all different',
  );
  requireArgument(
    Number.isInteger(threshold) && threshold >= 1 && threshold <= rootKeys.length,
    'the threshold is between 1 and the number of root keys',
  );
}

// ---------------------------------------------------------------- signatures

export function writeSignatures(writer: Writer, signatures: readonly RootSignature[]): Writer {
  requireArgument(signatures.length <= LIMITS.maxRootKeys, `at most ${LIMITS.maxRootKeys} signatures`);
  writer.u8(signatures.length);
  for (const { rootKey, signature } of signatures.toSorted((a, b) => compareBytes(a.rootKey, b.rootKey))) {
    requireArgument(rootKey.length === KEY_LENGTH, 'a root key is 32 bytes');
    requireArgument(signature.length === SIGNATURE_LENGTH, 'a signature is 64 bytes');
    writer.raw(rootKey).raw(signature);
  }
  return writer;
}

export function readSignatures(reader: Reader): readonly RootSignature[] {
  const count = reader.u8();
  if (count > LIMITS.maxRootKeys) throw malformed(`${count} signatures, ${LIMITS.maxRootKeys} at most`);
  const signatures: RootSignature[] = [];
  for (let i = 0; i < count; i++) {
    const next = { rootKey: copyOf(reader.raw(KEY_LENGTH)), signature: copyOf(reader.raw(SIGNATURE_LENGTH)) };
    const previous = signatures.at(-1);
    if (previous !== undefined && compareBytes(previous.rootKey, next.rootKey) >= 0) {
      throw malformed('signatures out of order');
    }
    signatures.push(next);
  }
  return signatures;
}

export interface Signed {
  readonly kind: SignatureKind;
  readonly networkId: string;
  /** The version of the roster that they sign for. */
  readonly version: number;
  readonly body: Uint8Array;
  /** By different keys. */
  readonly signatures: readonly RootSignature[];
}

/** Throws ROSTER_INVALID unless m of these keys signed, and everybody who signed is one of them. */
export function requireSigned(crypto: CryptoProvider, { rootKeys, threshold }: RootKeys, signed: Signed): void {
  const { kind, networkId, version, body, signatures } = signed;
  if (signatures.length < threshold) throw invalid(`${signatures.length} of ${threshold} root keys signed`);
  const unknown = signatures.find(({ rootKey }) => !rootKeys.some(key => equalBytes(key, rootKey)));
  if (unknown !== undefined) throw invalid(`${toHex(unknown.rootKey)} is no root key at version ${version}`);
  const message = signingBytes(kind, networkId, version, body);
  for (const { rootKey, signature } of signatures) {
    if (!crypto.verify(rootKey, message, signature)) throw invalid(`the signature by ${toHex(rootKey)} is wrong`);
  }
}

// ---------------------------------------------------------------- rotations

/** The body that the present root keys sign. Throws INVALID_ARGUMENT for what no peer would accept. */
export function encodeRotationBody(rotation: RootRotation): Uint8Array {
  requireRootKeys(rotation);
  const { networkId, fromVersion, rootKeys, threshold } = rotation;
  requireArgument(Number.isSafeInteger(fromVersion) && fromVersion >= 0, 'a version is an integer');
  const writer = new Writer().u8(FORMAT).text(networkId).u64(fromVersion).u8(threshold).u8(rootKeys.length);
  for (const key of rootKeys.toSorted(compareBytes)) writer.raw(key);
  const body = writer.finish();
  decodeRotationBody(body);
  return body;
}

/** Throws DECODE_FAILED. */
export function decodeRotationBody(body: Uint8Array): RootRotation {
  const reader = new Reader(body);
  if (reader.u8() !== FORMAT) throw malformed('unknown format of a rotation');
  const networkId = reader.text(LIMITS.maxNetworkIdBytes);
  const fromVersion = reader.u64();
  const threshold = reader.u8();
  const count = reader.u8();
  if (count > LIMITS.maxRootKeys || threshold < 1 || threshold > count)
    throw malformed(`${threshold} of ${count} keys`);
  const rootKeys: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const key = copyOf(reader.raw(KEY_LENGTH));
    const previous = rootKeys.at(-1);
    if (previous !== undefined && compareBytes(previous, key) >= 0) throw malformed('root keys out of order');
    rootKeys.push(key);
  }
  reader.end();
  return { networkId, fromVersion, rootKeys, threshold };
}

/** One present root key's signature over the body of a rotation. */
export function signRotationBody(signer: Signer, body: Uint8Array): RootSignature {
  const { networkId, fromVersion } = decodeRotationBody(body);
  return {
    rootKey: copyOf(signer.publicKey),
    signature: signer.sign(signingBytes('root-rotation', networkId, fromVersion, body)),
  };
}

/** Body and signatures, as they travel with rosters. */
export const assembleRotation = (body: Uint8Array, signatures: readonly RootSignature[]): Uint8Array =>
  writeSignatures(new Writer(body.length + 128).bytes16(body), signatures).finish();

export interface DecodedRotation extends RootRotation {
  readonly body: Uint8Array;
  readonly signatures: readonly RootSignature[];
}

/** Throws DECODE_FAILED on anything but one whole rotation. Verifies nothing. */
export function decodeRotation(bytes: Uint8Array): DecodedRotation {
  const reader = new Reader(bytes);
  const body = copyOf(reader.bytes16());
  const signatures = readSignatures(reader);
  reader.end();
  return { ...decodeRotationBody(body), body, signatures };
}

/**
 * The root keys that sign a roster of this version, for somebody who trusts `trusted`: the last rotation that names them
 * leads nowhere new, and each one behind it must be signed by the keys before. Throws ROSTER_INVALID.
 */
export function rootKeysAt(
  crypto: CryptoProvider,
  trusted: RootKeys,
  rotations: readonly DecodedRotation[],
  { networkId, version }: { readonly networkId: string; readonly version: number },
): RootKeys {
  let present = trusted;
  for (const rotation of rotations.slice(rotations.findLastIndex(next => isSame(next, trusted)) + 1)) {
    const { body, signatures, fromVersion } = rotation;
    if (rotation.networkId !== networkId) throw invalid('it rotates the root keys of another network');
    if (fromVersion > version) throw invalid(`its root keys count from version ${fromVersion} on only`);
    requireSigned(crypto, present, { kind: 'root-rotation', networkId, version: fromVersion, body, signatures });
    present = { rootKeys: rotation.rootKeys, threshold: rotation.threshold };
  }
  return present;
}

export function isSame(a: RootKeys, b: RootKeys): boolean {
  const isAmong = (key: Uint8Array): boolean => b.rootKeys.some(other => equalBytes(key, other));
  return a.threshold === b.threshold && a.rootKeys.length === b.rootKeys.length && a.rootKeys.every(isAmong);
}
