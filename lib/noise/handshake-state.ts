/** HandshakeState, Noise spec section 5.3, with psk (section 9), fallback (section 10.2) and hfs (HFS extension). */
import { concat, copyOf, EMPTY, Reader } from '../bytes.js';
import type { CryptoProvider, DhKeyPair, Kem } from '../crypto/interface.js';
import { HopfairError, invariant, requireArgument } from '../errors.js';
import { type CipherState, TAG_LENGTH } from './cipher-state.js';
import type { Exporter } from './exporter.js';
import type { MessagePattern, PublicKeyToken, Token } from './patterns.js';
import { type NoiseProtocol, parseProtocolName } from './protocol-name.js';
import { SymmetricState } from './symmetric-state.js';

const DH_LENGTH = 32;
const PSK_LENGTH = 32;
const KEM_SEED_LENGTH = 64;
const ENCAPSULATION_SEED_LENGTH = 32;
/** Section 3. */
export const MAX_MESSAGE_LENGTH = 65_535;

/** For test vectors only: values in the place of random ones. Never reuse one outside a test. */
export interface FixedEphemerals {
  /** 32-byte X25519 secret. */
  readonly dh?: Uint8Array;
  /** 64 bytes d || z of the KEM key pair. */
  readonly kemSeed?: Uint8Array;
  /** 32 bytes m of the encapsulation. */
  readonly encapsulationSeed?: Uint8Array;
}

export interface HandshakeOptions {
  readonly crypto: CryptoProvider;
  /** Uniformly random bytes of the wanted length, from `env.rng`. */
  readonly rng: (length: number) => Uint8Array;
  /** E.g. `Noise_XX_25519_ChaChaPoly_SHA256`. */
  readonly protocolName: string;
  readonly initiator: boolean;
  /** What both ends must agree on beforehand. Empty by default. */
  readonly prologue?: Uint8Array;
  /** Our static key pair; it stays the caller's, who destroys it. */
  readonly staticKey?: DhKeyPair;
  /** The other end's static public key, where the pattern has it known beforehand. */
  readonly remoteStatic?: Uint8Array;
  /** 32 bytes for each psk modifier, in the order of their use; they are copied. */
  readonly psks?: readonly Uint8Array[];
  readonly fixedEphemerals?: FixedEphemerals;
}

/** What falling back takes from the new handshake's options; the rest goes on from the failed one. */
export type FallbackOptions = Pick<
  HandshakeOptions,
  'protocolName' | 'prologue' | 'psks' | 'staticKey' | 'fixedEphemerals'
>;

/** Everything that comes out of a handshake. Whoever takes it answers for destroying it. */
export interface HandshakeResult {
  readonly initiatorToResponder: CipherState;
  /** Destroyed from the beginning in one-way patterns. */
  readonly responderToInitiator: CipherState;
  readonly exporter: Exporter;
  /** Public; binds what is sent later to this handshake. */
  readonly handshakeHash: Uint8Array;
  /** Undefined in patterns in which the other end has no static key. */
  readonly remoteStatic: Uint8Array | undefined;
}

interface Ephemerals {
  readonly local?: DhKeyPair | undefined;
  readonly remote?: Uint8Array | undefined;
}

const failed = (message: string, cause?: unknown): HopfairError =>
  new HopfairError('HANDSHAKE_FAILED', message, cause === undefined ? {} : { cause });

/**
 * One side of one handshake. Call `writeMessage` and `readMessage` in turns, as `isMyTurn` says, until `isFinished`,
 * then `split` once. A message that cannot be read ends the handshake with HANDSHAKE_FAILED; what is left to do then
 * is `destroy`, or `fallback` where the protocol has it.
 *
 * @example
 * const alice = new HandshakeState({ crypto, rng, protocolName, initiator: true, staticKey });
 * connection.send([alice.writeMessage(EMPTY)]);
 */
export class HandshakeState {
  readonly #options: HandshakeOptions;
  readonly #protocol: NoiseProtocol;
  readonly #symmetric: SymmetricState;
  readonly #isPsk: boolean;
  readonly #psks: Uint8Array[];
  #status: 'running' | 'failed' | 'done' = 'running';
  #nextMessage = 0;
  #nextPsk = 0;
  #e: DhKeyPair | undefined;
  #rs: Uint8Array | undefined;
  #re: Uint8Array | undefined;
  #kemSecretKey: Uint8Array | undefined;
  /** The other end's KEM public key. */
  #re1: Uint8Array | undefined;

  constructor(options: HandshakeOptions, ephemerals: Ephemerals = {}) {
    const { crypto, protocolName, psks = [], remoteStatic, prologue = EMPTY } = options;
    const protocol = parseProtocolName(protocolName);
    checkKeys(protocol, options);
    this.#options = options;
    this.#protocol = protocol;
    this.#isPsk = psks.length > 0;
    this.#psks = psks.map(copyOf);
    this.#rs = remoteStatic && copyOf(remoteStatic);
    this.#e = ephemerals.local;
    this.#re = ephemerals.remote;
    this.#symmetric = new SymmetricState(protocol.name, crypto.aead(protocol.cipher), crypto.hash(protocol.hash));
    this.#symmetric.mixHash(prologue);
    this.#mixPreMessages();
  }

  get isInitiator(): boolean {
    return this.#options.initiator;
  }

  get protocolName(): string {
    return this.#protocol.name;
  }

  /** True when all messages of the pattern were written and read. */
  get isFinished(): boolean {
    return this.#nextMessage === this.#protocol.pattern.messages.length;
  }

  /** True when `writeMessage` is next, false when `readMessage` is, or nothing. */
  get isMyTurn(): boolean {
    return this.#protocol.pattern.messages[this.#nextMessage]?.fromInitiator === this.isInitiator;
  }

  /** The other end's static public key, as soon as it is known. It is proven only when the handshake is finished. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#rs;
  }

  /** h so far; the handshake hash of section 11.2 once finished. */
  get handshakeHash(): Uint8Array {
    return this.#symmetric.handshakeHash;
  }

  /** The next message, carrying `payload`. Throws INVALID_ARGUMENT when it would be longer than 65,535 bytes. */
  writeMessage(payload: Uint8Array): Uint8Array {
    const { tokens } = this.#begin(true);
    requireArgument(payload.length <= MAX_MESSAGE_LENGTH, 'the payload is too long');
    return this.#orFail(() => {
      const parts = tokens.map(token => this.#writeToken(token));
      parts.push(this.#symmetric.encryptAndHash(payload));
      const message = concat(...parts);
      requireArgument(message.length <= MAX_MESSAGE_LENGTH, 'the payload is too long');
      this.#advance();
      return message;
    });
  }

  /** The payload of the other end's next message, possibly a view of it. Throws HANDSHAKE_FAILED, whatever is wrong with it. */
  readMessage(message: Uint8Array): Uint8Array {
    const { tokens } = this.#begin(false);
    return this.#orFail(() => {
      if (message.length > MAX_MESSAGE_LENGTH) throw failed('the message is too long');
      const reader = new Reader(message);
      for (const token of tokens) this.#readToken(token, reader);
      const payload = this.#symmetric.decryptAndHash(reader.rest());
      if (payload === undefined) throw failed('the payload does not authenticate');
      this.#advance();
      return payload;
    });
  }

  /** Ends a finished handshake, once: transport keys and exporter. */
  split(): HandshakeResult {
    if (!this.isFinished || this.#status !== 'running') {
      throw new HopfairError('INVALID_STATE', 'only a finished handshake can be split, and only once');
    }
    const { handshakeHash } = this;
    const [initiatorToResponder, responderToInitiator, exporter] = this.#symmetric.split();
    if (this.#protocol.pattern.messages.every(m => m.fromInitiator)) responderToInitiator.destroy();
    this.#status = 'done';
    this.#forget();
    return { initiatorToResponder, responderToInitiator, exporter, handshakeHash, remoteStatic: this.#rs };
  }

  /**
   * Section 10.2: begins the fallback handshake from the first message of this one, which its responder could not read.
   * The responder becomes the initiator. This state is destroyed; its ephemeral key goes over to the new one.
   */
  fallback(options: FallbackOptions): HandshakeState {
    const { crypto, rng, initiator } = this.#options;
    const [local, remote] = [initiator ? this.#e : undefined, initiator ? undefined : this.#re];
    if (local === undefined && remote === undefined) {
      throw new HopfairError('INVALID_STATE', 'there is no ephemeral key to fall back from');
    }
    this.#e = undefined; // goes over: not to be destroyed here
    this.destroy();
    return new HandshakeState({ crypto, rng, initiator: !initiator, ...options }, { local, remote });
  }

  /** Zeroes everything secret. Safe to call at any time, and more than once. */
  destroy(): void {
    this.#status = 'done';
    this.#symmetric.destroy();
    this.#forget();
  }

  #begin(writing: boolean): MessagePattern {
    const pattern = this.#protocol.pattern.messages[this.#nextMessage];
    if (this.#status !== 'running' || pattern === undefined || this.isMyTurn !== writing) {
      throw new HopfairError('INVALID_STATE', `it is not the turn to ${writing ? 'write' : 'read'} a message`);
    }
    return pattern;
  }

  #orFail<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.#status = 'failed';
      if (error instanceof HopfairError && error.code !== 'DECODE_FAILED') throw error;
      throw failed('the message is malformed', error);
    }
  }

  #advance(): void {
    this.#nextMessage++;
  }

  /** Section 5.3, Initialize(): the initiator's public keys are hashed first. */
  #mixPreMessages(): void {
    for (const { fromInitiator, tokens } of this.#protocol.pattern.preMessages) {
      const isOurs = fromInitiator === this.isInitiator;
      for (const token of tokens) {
        const key = isOurs ? this.#localKey(token).publicKey : this.#remoteKey(token);
        this.#symmetric.mixHash(key);
        if (token === 'e' && this.#isPsk) this.#symmetric.mixKey(key);
      }
    }
  }

  #writeToken(token: Token): Uint8Array {
    switch (token) {
      case 'e':
        return this.#writeEphemeral();
      case 's':
        return this.#symmetric.encryptAndHash(this.#localKey('s').publicKey);
      case 'e1':
        return this.#symmetric.encryptAndHash(this.#generateKemKeyPair());
      case 'ekem1':
        return this.#encapsulate();
      default:
        this.#mixSecret(token);
        return EMPTY;
    }
  }

  #readToken(token: Token, reader: Reader): void {
    const { mlKem768 } = this.#options.crypto;
    switch (token) {
      case 'e':
        this.#re = copyOf(reader.raw(DH_LENGTH));
        this.#symmetric.mixHash(this.#re);
        if (this.#isPsk) this.#symmetric.mixKey(this.#re);
        return;
      case 's':
        this.#rs = copyOf(this.#readSealed(reader, DH_LENGTH));
        return;
      case 'e1':
        this.#re1 = copyOf(this.#readSealed(reader, mlKem768.publicKeyLength));
        return;
      case 'ekem1':
        this.#decapsulate(this.#readSealed(reader, mlKem768.ciphertextLength));
        return;
      default:
        this.#mixSecret(token);
    }
  }

  #readSealed(reader: Reader, length: number): Uint8Array {
    const sealed = reader.raw(this.#symmetric.hasKey() ? length + TAG_LENGTH : length);
    const opened = this.#symmetric.decryptAndHash(sealed);
    if (opened === undefined) throw failed('a key does not authenticate');
    return opened;
  }

  #writeEphemeral(): Uint8Array {
    const { crypto, fixedEphemerals } = this.#options;
    invariant(this.#e === undefined, 'an ephemeral key is written once');
    const secret = this.#random(DH_LENGTH, fixedEphemerals?.dh);
    this.#e = crypto.dhKeyPair(secret);
    secret.fill(0);
    this.#symmetric.mixHash(this.#e.publicKey);
    if (this.#isPsk) this.#symmetric.mixKey(this.#e.publicKey);
    return this.#e.publicKey;
  }

  #generateKemKeyPair(): Uint8Array {
    const { crypto, fixedEphemerals } = this.#options;
    const seed = this.#random(KEM_SEED_LENGTH, fixedEphemerals?.kemSeed);
    const { publicKey, secretKey } = crypto.mlKem768.keyPair(seed);
    seed.fill(0);
    this.#kemSecretKey = secretKey;
    return publicKey;
  }

  /** The ciphertext is hashed under the keys so far, and only then the shared secret is mixed in. */
  #encapsulate(): Uint8Array {
    invariant(this.#re1 !== undefined, 'ekem1 follows e1');
    const { ciphertext, sharedSecret } = this.#encapsulateTo(this.#re1);
    const sealed = this.#symmetric.encryptAndHash(ciphertext);
    this.#symmetric.mixKey(sharedSecret);
    sharedSecret.fill(0);
    return sealed;
  }

  #encapsulateTo(publicKey: Uint8Array): ReturnType<Kem['encapsulate']> {
    const { crypto, fixedEphemerals } = this.#options;
    const fixed = fixedEphemerals?.encapsulationSeed;
    if (fixed === undefined && crypto.mlKem768.encapsulateRandomly !== undefined) {
      return crypto.mlKem768.encapsulateRandomly(publicKey);
    }
    const seed = this.#random(ENCAPSULATION_SEED_LENGTH, fixed);
    try {
      return crypto.mlKem768.encapsulate(publicKey, seed);
    } finally {
      seed.fill(0); // also where the peer's key is refused
    }
  }

  #decapsulate(ciphertext: Uint8Array): void {
    invariant(this.#kemSecretKey !== undefined, 'ekem1 follows e1');
    const sharedSecret = this.#options.crypto.mlKem768.decapsulate(ciphertext, this.#kemSecretKey);
    this.#kemSecretKey.fill(0);
    this.#symmetric.mixKey(sharedSecret);
    sharedSecret.fill(0);
  }

  /** A psk or a DH. In `es` and `se` the initiator's key stands first (section 7.1). */
  #mixSecret(token: Exclude<Token, 'e' | 's' | 'e1' | 'ekem1'>): void {
    if (token === 'psk') {
      const psk = this.#psks[this.#nextPsk++];
      invariant(psk !== undefined, 'there is a key for each psk token');
      this.#symmetric.mixKeyAndHash(psk);
      return;
    }
    const [first, second] = [token[0], token[1]] as [PublicKeyToken, PublicKeyToken];
    const [local, remote] = this.isInitiator ? [first, second] : [second, first];
    const secret = this.#localKey(local).dh(this.#remoteKey(remote));
    this.#symmetric.mixKey(secret);
    secret.fill(0);
  }

  /** A secret that the caller of this zeroes. */
  #random(length: number, fixed: Uint8Array | undefined): Uint8Array {
    const bytes = fixed === undefined ? this.#options.rng(length) : copyOf(fixed);
    invariant(bytes.length === length, 'the source of randomness gives as many bytes as it is asked for');
    return bytes;
  }

  #localKey(token: PublicKeyToken): DhKeyPair {
    const key = token === 'e' ? this.#e : this.#options.staticKey;
    invariant(key !== undefined, `no local ${token}`);
    return key;
  }

  #remoteKey(token: PublicKeyToken): Uint8Array {
    const key = token === 'e' ? this.#re : this.#rs;
    invariant(key !== undefined, `no remote ${token}`);
    return key;
  }

  #forget(): void {
    this.#e?.destroy();
    this.#e = undefined;
    this.#kemSecretKey?.fill(0);
    for (const psk of this.#psks) psk.fill(0);
  }
}

/** The caller's mistakes, found before the first message. */
function checkKeys({ pattern, keys, pskCount }: NoiseProtocol, options: HandshakeOptions): void {
  const { initiator, staticKey, remoteStatic, psks = [] } = options;
  const { needsStatic, knowsRemote } = initiator ? keys.initiator : keys.responder;
  const { name } = pattern;
  requireArgument(!needsStatic || staticKey !== undefined, `${name} needs a static key pair on this side`);
  requireArgument(knowsRemote === (remoteStatic !== undefined), `${name}: remoteStatic missing or not expected`);
  requireArgument(remoteStatic === undefined || remoteStatic.length === DH_LENGTH, 'remoteStatic is 32 bytes');
  requireArgument(psks.length === pskCount, `${name} takes ${pskCount} pre-shared keys`);
  for (const psk of psks) requireArgument(psk.length === PSK_LENGTH, 'a pre-shared key is 32 bytes');
}
