/** The other end, a process of its own: noise-c, compiled to WebAssembly. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { EMPTY, fromHex, fromUtf8, toHex } from '../../lib/bytes.js';
import type { Order } from './cases.js';
import { type Handshake, plainPayloads, runParty, takeOrders } from './party.js';

interface CipherState {
  EncryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  DecryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

interface HandshakeState {
  Initialize(prologue: Uint8Array, s: Uint8Array, rs: Uint8Array | null): void;
  GetAction(): number;
  WriteMessage(payload: Uint8Array): Uint8Array;
  ReadMessage(message: Uint8Array, payloadNeeded: true): Uint8Array;
  Split(): [send: CipherState, receive: CipherState];
}

interface NoiseC {
  readonly constants: Readonly<Record<string, number>>;
  CreateKeyPair(curve: number | undefined): [secret: Uint8Array, publicKey: Uint8Array];
  HandshakeState(protocolName: string, role: number | undefined): HandshakeState;
}

/** A CommonJS package without types, older than `fetch` in Node, with which it would look for its binary in vain. */
const require = createRequire(import.meta.url);
const wasmBinary = readFileSync(require.resolve('noise-c.wasm/src/noise-c.wasm'));
const load = require('noise-c.wasm') as (options: object, onLoaded: (noise: NoiseC) => void) => void;
const noise = await new Promise<NoiseC>(resolve => load({ wasmBinary }, resolve));
const { constants } = noise;
const [secret, publicKey] = noise.CreateKeyPair(constants['NOISE_DH_CURVE25519']);

function adapt(state: HandshakeState): Handshake {
  return {
    get action() {
      const action = state.GetAction();
      if (action === constants['NOISE_ACTION_SPLIT']) return 'split';
      return action === constants['NOISE_ACTION_WRITE_MESSAGE'] ? 'write' : 'read';
    },
    write: payload => state.WriteMessage(payload),
    read: message => state.ReadMessage(message, true),
    split: () => {
      const [send, receive] = state.Split();
      return {
        seal: plaintext => send.EncryptWithAd(EMPTY, plaintext),
        open: ciphertext => receive.DecryptWithAd(EMPTY, ciphertext),
      };
    },
  };
}

async function meet({ protocolName, role, port, remote }: Order): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const hungUp = once(socket, 'close');
  try {
    await once(socket, 'connect'); // our end waits for it, whatever becomes of the case
    const isInitiator = role === 'initiator';
    const roleId = constants[isInitiator ? 'NOISE_ROLE_INITIATOR' : 'NOISE_ROLE_RESPONDER'];
    const state = noise.HandshakeState(protocolName, roleId);
    const known = isInitiator && protocolName.includes('_IK_') ? fromHex(remote.staticKey) : null;
    state.Initialize(fromUtf8('interop'), secret, known);
    return await runParty(socket, role, adapt(state), plainPayloads);
  } catch (error) {
    socket.destroy(); // the other end must not wait
    throw error;
  } finally {
    socket.end();
    await hungUp;
  }
}

takeOrders({ identity: { staticKey: toHex(publicKey) }, port: 0 }, meet);
