/**
 * The certificate of a static key: the Ed25519 identity of a peer says that an X25519 key is its own, in one network and
 * for at most a week. Its binary form is canonical: one certificate, one string of bytes.
 */
import { copyOf, equalBytes, Reader, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type PeerId, PUBLIC_KEY_LENGTH, peerIdOf } from './peer-id.js';
import { signingBytes } from './signing.js';

const VERSION = 1;
const SIGNATURE_LENGTH = 64;

/** What a certificate states. */
export interface CertificateClaims {
  /** 32-byte X25519 public key. */
  readonly staticKey: Uint8Array;
  /** 1 to 64 bytes of UTF-8. */
  readonly networkId: string;
  /** The highest epoch of a peer wins over all its older ones. */
  readonly epoch: number;
  readonly notBefore: UnixMs;
  readonly expiry: UnixMs;
}

/** A certificate that was issued here or has been verified: there is no other way to get one. */
export interface Certificate extends CertificateClaims {
  readonly peer: PeerId;
  /** As sent and received. */
  readonly bytes: Uint8Array;
}

export interface CertificateExpectations {
  readonly networkId: string;
  readonly now: UnixMs;
  /** The static key that the peer has shown; any by default. */
  readonly staticKey?: Uint8Array;
  /** Tolerated difference of clocks, 5 min by default. */
  readonly clockSkewMs?: number;
}

const invalid = (why: string, cause?: unknown): HopfairError =>
  new HopfairError('CERTIFICATE_INVALID', why, cause === undefined ? {} : { cause });

function encodeBody(publicKey: Uint8Array, claims: CertificateClaims): Uint8Array {
  return new Writer()
    .u8(VERSION)
    .raw(publicKey)
    .raw(claims.staticKey)
    .text(claims.networkId)
    .u64(claims.epoch)
    .u64(claims.notBefore)
    .u64(claims.expiry)
    .finish();
}

/** Throws INVALID_ARGUMENT for claims that no peer would accept. */
export function issueCertificate(signer: Signer, claims: CertificateClaims): Certificate {
  const { staticKey, networkId, epoch, notBefore, expiry } = claims;
  requireArgument(staticKey.length === 32, 'a static key is 32 bytes');
  requireArgument(isNetworkId(networkId), `a network id has 1 to ${LIMITS.maxNetworkIdBytes} bytes`);
  requireArgument(Number.isSafeInteger(epoch) && epoch >= 0, 'an epoch is an integer');
  requireArgument(isLifetime(notBefore, expiry), 'a certificate lives at most seven days');
  const body = encodeBody(signer.publicKey, claims);
  const signature = signer.sign(signingBytes('certificate', networkId, epoch, body));
  const bytes = new Writer(body.length + SIGNATURE_LENGTH).raw(body).raw(signature).finish();
  return { peer: peerIdOf(signer.publicKey), staticKey, networkId, epoch, notBefore, expiry, bytes };
}

/**
 * Decodes and verifies the bytes of a certificate. Throws CERTIFICATE_INVALID for whatever is wrong with it: form,
 * network, time, lifetime, static key or signature. Says nothing about admission. What it returns is shared: do not
 * change it.
 */
export function verifyCertificate(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  { networkId, now, staticKey, clockSkewMs = LIMITS.clockSkewMs }: CertificateExpectations,
): Certificate {
  const { publicKey, claims, body, signature } = decode(bytes);
  const { notBefore, expiry, epoch } = claims;
  if (claims.networkId !== networkId) throw invalid('it is for another network');
  if (!isLifetime(notBefore, expiry)) throw invalid('its lifetime is not between zero and seven days');
  if (now < notBefore - clockSkewMs) throw invalid('it is not valid yet');
  if (now > expiry + clockSkewMs) throw invalid('it is expired');
  // Before the signature: whoever has not got the static key learns nothing from how long the rest takes.
  if (staticKey !== undefined && !equalBytes(claims.staticKey, staticKey))
    throw invalid('it is for another static key');
  const known = verifiedBy(crypto);
  const remembered = known.get(publicKey, bytes);
  if (remembered !== undefined) return remembered;
  if (!crypto.verify(publicKey, signingBytes('certificate', networkId, epoch, body), signature)) {
    throw invalid('its signature does not verify');
  }
  const certificate = { ...claims, peer: peerIdOf(publicKey), bytes: copyOf(bytes) };
  known.add(publicKey, certificate);
  return certificate;
}

/**
 * The last certificate of each peer whose signature verified, byte by byte as it was shown: a peer that reconnects, and
 * one that sets up sessions over its channels, is verified once. Half of a handshake is the price of a verification.
 */
class VerifiedCertificates {
  readonly #byPublicKey = new Map<string, Certificate>();

  get(publicKey: Uint8Array, bytes: Uint8Array): Certificate | undefined {
    const certificate = this.#byPublicKey.get(nameOf(publicKey));
    return certificate !== undefined && equalBytes(certificate.bytes, bytes) ? certificate : undefined;
  }

  /** The one that was added first goes when they are too many. */
  add(publicKey: Uint8Array, certificate: Certificate): void {
    const name = nameOf(publicKey);
    this.#byPublicKey.delete(name);
    this.#byPublicKey.set(name, certificate);
    if (this.#byPublicKey.size <= LIMITS.maxVerifiedCertificates) return;
    for (const oldest of this.#byPublicKey.keys()) {
      this.#byPublicKey.delete(oldest);
      return;
    }
  }
}

const nameOf = (publicKey: Uint8Array): string => String.fromCharCode(...publicKey);

/** What one provider has verified says nothing about another: that of simulations believes more. */
const verifiedCertificates = new WeakMap<CryptoProvider, VerifiedCertificates>();

function verifiedBy(crypto: CryptoProvider): VerifiedCertificates {
  let known = verifiedCertificates.get(crypto);
  if (known === undefined) {
    known = new VerifiedCertificates();
    verifiedCertificates.set(crypto, known);
  }
  return known;
}

interface Decoded {
  readonly publicKey: Uint8Array;
  readonly claims: CertificateClaims;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

function decode(bytes: Uint8Array): Decoded {
  try {
    const reader = new Reader(bytes);
    if (reader.u8() !== VERSION) throw invalid('its version is not known');
    const publicKey = reader.raw(PUBLIC_KEY_LENGTH);
    const claims = {
      staticKey: copyOf(reader.raw(32)),
      networkId: reader.text(LIMITS.maxNetworkIdBytes),
      epoch: reader.u64(),
      notBefore: unixMs(reader.u64()),
      expiry: unixMs(reader.u64()),
    };
    const body = bytes.subarray(0, bytes.length - reader.remaining);
    const signature = reader.raw(SIGNATURE_LENGTH);
    reader.end();
    return { publicKey, claims, body, signature };
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') throw invalid('it is malformed', error);
    throw error;
  }
}

const isLifetime = (notBefore: UnixMs, expiry: UnixMs): boolean =>
  expiry > notBefore && expiry - notBefore <= LIMITS.maxCertificateLifetimeMs;

function isNetworkId(networkId: string): boolean {
  const { length } = new Writer().text(networkId);
  return length > 2 && length <= LIMITS.maxNetworkIdBytes + 2;
}
