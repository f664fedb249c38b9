/** The other end, a process of its own: @chainsafe/libp2p-noise over a socket, used as libp2p uses it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { publicKeyFromProtobuf } from '@libp2p/crypto/keys';
import type { MessageStream, StreamMessageEvent } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { AbstractMessageStream } from '@libp2p/utils';
import { fromHex, toHex } from '../../lib/bytes.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import type { Order } from './cases.js';
import { libp2pEncrypter, logger } from './libp2p-encrypter.js';
import { createLibp2pIdentity } from './libp2p-payload.js';
import { Inbox, MESSAGES, messageAt, otherRole } from './messages.js';
import { takeOrders } from './party.js';

/** What libp2p's own TCP transport gives to its encrypters, as far as they use it. */
class SocketStream extends AbstractMessageStream {
  readonly #socket: Socket;

  constructor(socket: Socket, direction: 'inbound' | 'outbound') {
    super({ log: logger.forComponent('interop'), direction });
    this.#socket = socket;
    socket.on('data', chunk => this.onData(chunk));
    socket.on('drain', () => this.safeDispatchEvent('drain'));
    socket.on('close', () => this.onTransportClosed());
  }

  override sendData(data: { readonly byteLength: number; subarray(): Uint8Array }) {
    return { sentBytes: data.byteLength, canSendMore: this.#socket.write(data.subarray()) };
  }

  override sendReset(): void {
    this.#socket.destroy();
  }

  override sendPause(): void {
    this.#socket.pause();
  }

  override sendResume(): void {
    this.#socket.resume();
  }

  override async close(): Promise<void> {
    this.#socket.end();
  }
}

const { privateKey, publicKey } = await createLibp2pIdentity();
const staticSecret = systemRandomBytes(32);
const encrypter = libp2pEncrypter(privateKey, staticSecret);

async function exchange(stream: MessageStream, { role }: Order): Promise<number> {
  const inbox = new Inbox(otherRole(role));
  const failed = new Promise<never>((_resolve, reject) => {
    stream.addEventListener('message', event => {
      try {
        inbox.takeBytes((event as StreamMessageEvent).data.subarray());
      } catch (error) {
        reject(error);
      }
    });
    stream.addEventListener('close', () => reject(new Error('the other end hung up')));
  });
  const sendAll = async (): Promise<void> => {
    for (let i = 0; i < MESSAGES; i++) if (!stream.send(messageAt(role, i))) await stream.onDrain();
  };
  await Promise.race([failed, Promise.all([sendAll(), inbox.done])]);
  return inbox.received;
}

async function meet(order: Order): Promise<number> {
  const isInitiator = order.role === 'initiator';
  const socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true });
  const hungUp = once(socket, 'close');
  try {
    await once(socket, 'connect'); // our end waits for it, whatever becomes of the case
    const raw = new SocketStream(socket, isInitiator ? 'outbound' : 'inbound');
    const remotePeer = peerIdFromPublicKey(publicKeyFromProtobuf(fromHex(order.remote.libp2p ?? '')));
    const secured = isInitiator
      ? await encrypter.secureOutbound(raw, { remotePeer })
      : await encrypter.secureInbound(raw, { remotePeer });
    return await exchange(secured.connection, order);
  } catch (error) {
    socket.destroy(); // the other end must not wait
    throw error;
  } finally {
    socket.end();
    await hungUp;
  }
}

const { publicKey: staticKey } = defaultCrypto().dhKeyPair(staticSecret);
takeOrders({ identity: { staticKey: toHex(staticKey), libp2p: publicKey }, port: 0 }, meet);
