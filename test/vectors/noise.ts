/** Runs the vectors of Noise handshakes: cacophony, noise-c's fallback, and XXhfs with ML-KEM-768. */
import assert from 'node:assert/strict';
import { EMPTY, fromHex, toHex } from '../../lib/bytes.js';
import type { CryptoProvider } from '../../lib/crypto/interface.js';
import { type CipherState, type HandshakeResult, HandshakeState, parseProtocolName } from '../../lib/noise/index.js';
import type { Suite, Vector } from './suite.js';

interface VectorMessage {
  readonly payload: string;
  readonly ciphertext: string;
}

interface HandshakeVector {
  readonly init_prologue?: string;
  readonly init_static?: string;
  readonly init_ephemeral?: string;
  readonly init_remote_static?: string;
  readonly init_psks?: readonly string[];
  readonly resp_prologue?: string;
  readonly resp_static?: string;
  readonly resp_ephemeral?: string;
  readonly resp_remote_static?: string;
  readonly resp_psks?: readonly string[];
  readonly handshake_hash?: string;
  readonly messages: readonly VectorMessage[];
}

export interface CacophonyVector extends HandshakeVector {
  readonly protocol_name?: string;
}

export interface FallbackVector extends HandshakeVector {
  readonly name?: string;
  readonly pattern: string;
}

export interface HybridVector {
  readonly vector_index: number;
  readonly static_i_private: string;
  readonly static_r_private: string;
  readonly ephemeral_dh_i_private: string;
  readonly ephemeral_dh_r_private: string;
  readonly ephemeral_kem_i_seed: string;
  readonly encap_seed_hex: string;
  readonly prologue: string;
  readonly msg_a: string;
  readonly msg_b: string;
  readonly msg_c: string;
  readonly handshake_hash: string;
  readonly cs1_k: string;
  readonly cs2_k: string;
}

interface Pair {
  readonly initiator: HandshakeState;
  readonly responder: HandshakeState;
}

/** Every random byte of a vector is given by it. */
const noRandomness = (): never => assert.fail('the vector does not fix all that is random');
const optionalBytes = (hex: string | undefined): Uint8Array | undefined =>
  hex === undefined ? undefined : fromHex(hex);

/** Leaves out what is undefined: an absent option and one that is undefined are not the same. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function handshake(crypto: CryptoProvider, protocolName: string, vector: HandshakeVector): Pair {
  const side = (initiator: boolean): HandshakeState => {
    const own = <K extends 'prologue' | 'static' | 'ephemeral' | 'remote_static' | 'psks'>(key: K) =>
      initiator ? vector[`init_${key}`] : vector[`resp_${key}`];
    const secret = optionalBytes(own('static'));
    const ephemeral = optionalBytes(own('ephemeral'));
    return new HandshakeState({
      crypto,
      protocolName,
      initiator,
      rng: noRandomness,
      ...defined({
        prologue: optionalBytes(own('prologue')),
        staticKey: secret && crypto.dhKeyPair(secret),
        remoteStatic: optionalBytes(own('remote_static')),
        psks: own('psks')?.map(fromHex),
        fixedEphemerals: ephemeral && { dh: ephemeral },
      }),
    });
  };
  return { initiator: side(true), responder: side(false) };
}

function exchange(sender: HandshakeState, receiver: HandshakeState, { payload, ciphertext }: VectorMessage): void {
  assert.equal(toHex(sender.writeMessage(fromHex(payload))), ciphertext);
  assert.equal(toHex(receiver.readMessage(fromHex(ciphertext))), payload);
}

function transport(sending: CipherState, receiving: CipherState, { payload, ciphertext }: VectorMessage): void {
  assert.equal(toHex(sending.encryptWithAd(EMPTY, fromHex(payload))), ciphertext);
  const opened = receiving.decryptWithAd(EMPTY, fromHex(ciphertext));
  assert.equal(opened && toHex(opened), payload);
}

function finish({ initiator, responder }: Pair, hash: string | undefined): [HandshakeResult, HandshakeResult] {
  assert.ok(initiator.isFinished && responder.isFinished);
  const results: [HandshakeResult, HandshakeResult] = [initiator.split(), responder.split()];
  for (const { handshakeHash } of results) assert.equal(toHex(handshakeHash), hash ?? toHex(handshakeHash));
  assert.deepEqual(results[0].exporter.export('test', 48), results[1].exporter.export('test', 48));
  return results;
}

function runCacophony(crypto: CryptoProvider, vector: CacophonyVector): void {
  const { protocol_name = '' } = vector;
  const pair = handshake(crypto, protocol_name, vector);
  const { messages } = parseProtocolName(protocol_name).pattern;
  const isOneWay = messages.every(message => message.fromInitiator);
  const fromInitiator = (index: number): boolean => isOneWay || index % 2 === 0;
  for (const [index, message] of vector.messages.slice(0, messages.length).entries()) {
    if (fromInitiator(index)) exchange(pair.initiator, pair.responder, message);
    else exchange(pair.responder, pair.initiator, message);
  }
  const [initiator, responder] = finish(pair, vector.handshake_hash);
  for (const [at, message] of vector.messages.slice(messages.length).entries()) {
    const direction = fromInitiator(at + messages.length) ? 'initiatorToResponder' : 'responderToInitiator';
    const [sender, receiver] = direction === 'initiatorToResponder' ? [initiator, responder] : [responder, initiator];
    transport(sender[direction], receiver[direction], message);
  }
}

/** Alice's IK message cannot be read by Bob, who answers with the first message of XXfallback and is its initiator. */
function runFallback(crypto: CryptoProvider, vector: FallbackVector): void {
  const { name = '' } = vector;
  const ik = name.replace('XXfallback', vector.pattern);
  const { initiator: aliceIk, responder: bobIk } = handshake(crypto, ik, vector);
  const [first, second, third, ...rest] = vector.messages;
  assert.ok(first && second && third);
  assert.equal(toHex(aliceIk.writeMessage(fromHex(first.payload))), first.ciphertext);
  assert.throws(() => bobIk.readMessage(fromHex(first.ciphertext)), { code: 'HANDSHAKE_FAILED' });

  const ownKeys = (secret = '', prologue = '') => ({
    protocolName: name,
    staticKey: crypto.dhKeyPair(fromHex(secret)),
    prologue: fromHex(prologue),
  });
  const fixedEphemerals = { dh: fromHex(vector.resp_ephemeral ?? '') };
  const bob = bobIk.fallback({ ...ownKeys(vector.resp_static, vector.resp_prologue), fixedEphemerals });
  const alice = aliceIk.fallback(ownKeys(vector.init_static, vector.init_prologue));
  exchange(bob, alice, second);
  exchange(alice, bob, third);
  const [ofBob, ofAlice] = finish({ initiator: bob, responder: alice }, vector.handshake_hash);
  for (const [index, message] of rest.entries()) {
    if (index % 2 === 0) transport(ofBob.initiatorToResponder, ofAlice.initiatorToResponder, message);
    else transport(ofAlice.responderToInitiator, ofBob.responderToInitiator, message);
  }
}

function runHybrid(crypto: CryptoProvider, protocolName: string, vector: HybridVector): void {
  const common = { crypto, protocolName, rng: noRandomness, prologue: fromHex(vector.prologue) };
  const initiator = new HandshakeState({
    ...common,
    initiator: true,
    staticKey: crypto.dhKeyPair(fromHex(vector.static_i_private)),
    fixedEphemerals: { dh: fromHex(vector.ephemeral_dh_i_private), kemSeed: fromHex(vector.ephemeral_kem_i_seed) },
  });
  const responder = new HandshakeState({
    ...common,
    initiator: false,
    staticKey: crypto.dhKeyPair(fromHex(vector.static_r_private)),
    fixedEphemerals: {
      dh: fromHex(vector.ephemeral_dh_r_private),
      encapsulationSeed: fromHex(vector.encap_seed_hex),
    },
  });
  exchange(initiator, responder, { payload: '', ciphertext: vector.msg_a });
  exchange(responder, initiator, { payload: '', ciphertext: vector.msg_b });
  exchange(initiator, responder, { payload: '', ciphertext: vector.msg_c });
  const [result] = finish({ initiator, responder }, vector.handshake_hash);
  const aead = crypto.aead(parseProtocolName(protocolName).cipher);
  const sealedByKey = (key: string): Uint8Array => aead.key(fromHex(key)).seal(new Uint8Array(12), EMPTY, EMPTY);
  // A cipher state does not tell its key: what it seals first does.
  assert.deepEqual(result.initiatorToResponder.encryptWithAd(EMPTY, EMPTY), sealedByKey(vector.cs1_k));
  assert.deepEqual(result.responderToInitiator.encryptWithAd(EMPTY, EMPTY), sealedByKey(vector.cs2_k));
}

const OFFERED_DH: readonly string[] = ['25519', '25519+MLKEM768'];

/** Other curves and KEMs, and the psk syntax of before revision 33, are not offered. Everything else must pass. */
function isOffered(protocolName: string): boolean {
  const [prefix, , dh = ''] = protocolName.split('_');
  return prefix !== 'NoisePSK' && (OFFERED_DH.includes(dh) || dh === '');
}

type RunVector<T> = (crypto: CryptoProvider, vector: T) => void;

function suite<T>(name: string, all: readonly T[], nameOf: (vector: T) => string, run: RunVector<T>): Suite {
  const offered = all.filter(vector => isOffered(nameOf(vector)));
  const vectors = offered.map((vector, i): Vector => ({ name: `${nameOf(vector)} #${i}`, run: c => run(c, vector) }));
  return { name, vectors, excluded: all.length - offered.length };
}

export const cacophonySuite = (vectors: readonly CacophonyVector[]): Suite =>
  suite('cacophony25519', vectors, ({ protocol_name = '' }) => protocol_name, runCacophony);

export const fallbackSuite = (vectors: readonly FallbackVector[]): Suite =>
  suite('fallback', vectors, ({ name = '' }) => name, runFallback);

export const hybridSuite = (protocolName: string, vectors: readonly HybridVector[]): Suite =>
  suite(
    'xxhfs',
    vectors,
    () => protocolName,
    (crypto, vector) => runHybrid(crypto, protocolName, vector),
  );
