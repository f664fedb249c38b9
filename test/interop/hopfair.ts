/** Our end, a process of its own: listens on loopback and meets every other implementation there. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { EMPTY, fromHex, fromUtf8, toHex } from '../../lib/bytes.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { type HandshakeResult, HandshakeState } from '../../lib/noise/index.js';
import type { Order } from './cases.js';
import { createLibp2pIdentity, libp2pPayloads } from './libp2p-payload.js';
import { type Handshake, plainPayloads, runParty, type Transport, takeOrders } from './party.js';

const crypto = defaultCrypto();
const staticKey = crypto.dhKeyPair(systemRandomBytes(32));
const libp2p = await createLibp2pIdentity();

function transportOf({ initiatorToResponder, responderToInitiator }: HandshakeResult, isInitiator: boolean): Transport {
  const tx = isInitiator ? initiatorToResponder : responderToInitiator;
  const rx = isInitiator ? responderToInitiator : initiatorToResponder;
  return {
    seal: plaintext => tx.encryptWithAd(EMPTY, plaintext),
    open: ciphertext => {
      const plaintext = rx.decryptWithAd(EMPTY, ciphertext);
      if (plaintext === undefined) throw new Error('a message does not authenticate');
      return plaintext;
    },
  };
}

function adapt(state: HandshakeState): Handshake {
  return {
    get action() {
      if (state.isFinished) return 'split';
      return state.isMyTurn ? 'write' : 'read';
    },
    write: payload => state.writeMessage(payload),
    read: message => state.readMessage(message),
    split: () => transportOf(state.split(), state.isInitiator),
  };
}

async function meet({ protocolName, role, party, remote }: Order, socket: Socket): Promise<number> {
  const initiator = role === 'initiator';
  const state = new HandshakeState({
    crypto,
    rng: systemRandomBytes,
    protocolName,
    initiator,
    staticKey,
    prologue: party === 'libp2p-noise' ? EMPTY : fromUtf8('interop'),
    ...(initiator && protocolName.includes('_IK_') && { remoteStatic: fromHex(remote.staticKey) }),
  });
  const payloads =
    party === 'libp2p-noise'
      ? libp2pPayloads(libp2p, staticKey.publicKey, () => state.remoteStatic, remote.libp2p)
      : plainPayloads;
  const received = await runParty(socket, role, adapt(state), payloads);
  if (toHex(state.remoteStatic ?? EMPTY) !== remote.staticKey) throw new Error('another static key');
  return received;
}

const server = createServer({ noDelay: true });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const identity = { staticKey: toHex(staticKey.publicKey), libp2p: libp2p.publicKey };
takeOrders({ identity, port }, async order => {
  const [socket] = (await once(server, 'connection')) as [Socket];
  const hungUp = once(socket, 'close');
  try {
    return await meet(order, socket);
  } catch (error) {
    socket.destroy(); // the other end must not wait
    throw error;
  } finally {
    socket.end();
    await hungUp;
  }
});
