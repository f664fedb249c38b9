/**
 * A relay hop for the side-by-side bench of peers, over the built package: the relay is a whole node; the two ends are
 * made by hand and speak the wire to it. 64 sources behind one neighbour of the relay send frames in turn, which that
 * neighbour puts together from the messages of a turn; nothing is sealed end to end, which a relay cannot tell. Frames of
 * different sources overtake one another in the relay, so the ends put them back into the order of their numbers.
 */
import { HandshakeGate, openChannel } from '../../dist/lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../dist/lib/crypto/index.js';
import { nodeEnv } from '../../dist/lib/env-node.js';
import { Identity, openMembership } from '../../dist/lib/identity/index.js';
import { createNode } from '../../dist/lib/index.js';
import { LIMITS } from '../../dist/lib/limits.js';
import {
  DATA_BACKWARD,
  DATA_FORWARD,
  DATA_HEADER_BYTES,
  dataHeader,
  dataLabel,
  dataPacket,
  decodeNeighbourFrame,
  encodeNeighbourFrame,
  encodePathSetup,
  isDataFrame,
  NO_TTL,
} from '../../dist/lib/wire/index.js';
import { tcpTransport } from '../../dist/transports/tcp.js';

const SOURCES = 64;
/** Where the AEAD's tag would be. */
const TAG_BYTES = 16;
/** What the ends let wait in their channel, as the other contenders do. */
const HIGH_WATER_BYTES = 262_144;
const networkId = 'bench';
const crypto = defaultCrypto();
const env = nodeEnv();
const transport = tcpTransport();
const identity = () => {
  const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
  return new Identity({ crypto, seeds, networkId, now: env.clock.unix() });
};
/** Messages in one frame at most; by default as many as fit. */
const perFrame = Number(process.env.HOPFAIR_BENCH_PER_FRAME ?? Number.POSITIVE_INFINITY);

/** One end of the 64 paths, as one ordered connection of the bench. */
class Wire {
  onMessage = null;
  onDrain = null;
  labels = [];
  #channel;
  #kind;
  #frame;
  #length = 0;
  #messages = 0;
  #next = 0;
  #sent = 0;
  #expected = 0;
  #early = new Map();
  #flushing = false;
  #closed;

  constructor(channel, kind) {
    this.#channel = channel;
    this.#kind = kind;
    this.#closed = new Promise(resolve => {
      channel.attach({
        onMessage: frame => this.#onFrame(frame),
        onDrain: () => this.onDrain?.(),
        onClose: resolve,
      });
    });
  }

  send(bytes) {
    if (this.#messages === perFrame || this.#length + 4 + bytes.length > LIMITS.maxFrameBytes - TAG_BYTES)
      this.#leave();
    if (this.#length === 0) {
      this.#frame = Buffer.allocUnsafe(LIMITS.maxFrameBytes);
      this.#length = DATA_HEADER_BYTES;
      if (!this.#flushing) {
        this.#flushing = true;
        queueMicrotask(this.#flush);
      }
    }
    this.#frame.writeUInt32BE(bytes.length, this.#length);
    this.#frame.set(bytes, this.#length + 4);
    this.#length += 4 + bytes.length;
    this.#messages += 1;
    if (this.#channel.queuedBytes < HIGH_WATER_BYTES) return true;
    this.#channel.requestRoom(-HIGH_WATER_BYTES / 2);
    return false;
  }

  #flush = () => {
    this.#flushing = false;
    this.#leave();
  };

  #leave() {
    if (this.#length === 0) return;
    const label = this.labels[this.#next];
    this.#next = (this.#next + 1) % this.labels.length;
    const fields = { kind: this.#kind, label, ttlMs: NO_TTL, urgent: false, phase: 0, path: 0, packet: this.#sent++ };
    this.#frame.set(dataHeader(fields));
    const frame = this.#frame.subarray(0, this.#length + TAG_BYTES);
    if (!this.#channel.send(frame)) throw new Error('the channel took no frame');
    this.#length = 0;
    this.#messages = 0;
  }

  #onFrame(frame) {
    if (!isDataFrame(frame)) {
      this.#onControl(decodeNeighbourFrame(frame));
      return;
    }
    if (this.#kind === DATA_BACKWARD && this.labels.length < SOURCES) this.#learn(dataLabel(frame));
    const number = dataPacket(frame);
    if (number !== this.#expected) {
      this.#early.set(number, frame);
      return;
    }
    for (let next = frame; next !== undefined; next = this.#early.get(this.#expected)) {
      this.#early.delete(this.#expected);
      this.#expected += 1;
      this.#deliver(next);
    }
  }

  #onControl(control) {
    if (control.kind === 'path-setup') this.#learn(control.label);
    if (control.kind === 'path-close') throw new Error(`the relay closed a path: ${control.reason}`);
  }

  #learn(label) {
    if (!this.labels.includes(label)) this.labels.push(label);
  }

  #deliver(frame) {
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    const end = bytes.length - TAG_BYTES;
    for (let at = DATA_HEADER_BYTES; at < end; ) {
      const start = at + 4;
      at = start + bytes.readUInt32BE(at);
      this.onMessage(bytes.subarray(start, at));
    }
  }

  close() {
    this.#channel.close();
    return this.#closed;
  }
}

function channelOptions(own) {
  return { env, crypto, networkId, postQuantum: 'off', identity: own };
}

/** The signed set-ups of as many sources, over the neighbour and the relay to the destination. */
function setUp(channel, self, { relay, destination }) {
  const message = new Uint8Array(32);
  const messageHash = crypto.hash('SHA256').digest(message);
  const labels = Array.from({ length: SOURCES }, (_, i) => i + 1);
  for (const label of relay === undefined ? [] : labels) {
    const source = identity();
    const body = encodePathSetup({
      source: source.peer,
      destination,
      relays: [self, relay],
      epoch: 1,
      nonce: systemRandomBytes(16),
      expiresAtUnixMs: env.clock.unix() + 5_000,
      purpose: 'handshake',
      messageHash,
    });
    const signature = source.sign('path-setup', 1, body);
    channel.send(encodeNeighbourFrame({ kind: 'path-setup', label, body, signature, message }));
  }
  return labels;
}

export default {
  name: 'hopfair-relay',
  letter: 'x',
  label: 'hopfair relay, classical',
  settings: `${SOURCES} sources behind one neighbour, frames of ${perFrame} messages at most`,
  needsCredit: true,
  async startServer({ onConn }) {
    const own = identity();
    const gate = new HandshakeGate(env.clock, { cpuShare: 1 });
    const listener = await transport.listen('tcp://127.0.0.1:0', LIMITS, connection => {
      openChannel(
        connection,
        { ...channelOptions(own), role: 'responder', gate },
        { onChannel: channel => onConn(new Wire(channel, DATA_BACKWARD)), onFailed: error => console.error(error) },
      );
    });
    return { addr: { address: listener.address, peer: own.peer }, close: () => listener.close() };
  },
  connect({ address, peer, relay }) {
    const own = identity();
    return new Promise((resolve, reject) => {
      transport.dial(address, LIMITS, {
        onConnection(connection) {
          openChannel(
            connection,
            { ...channelOptions(own), role: 'initiator' },
            {
              onChannel(channel) {
                const wire = new Wire(channel, DATA_FORWARD);
                wire.labels = setUp(channel, own.peer, { relay, destination: peer });
                resolve(wire);
              },
              onFailed: reject,
            },
          );
        },
        onError: reject,
      });
    });
  },
  relay: {
    label: '64 sources scheduled, AEAD per hop',
    async startRelay({ target }) {
      const node = await startNode([target]);
      const [address] = node.addresses;
      return { addr: { address, peer: target.peer, relay: node.peerId }, close: () => node.close() };
    },
  },
};

/** A relay that has channels to all of these. */
export async function startNode(targets) {
  const node = await createNode({
    identity: identity(),
    networkId,
    membership: openMembership({ mayRelay: true }),
    transports: [transport],
    postQuantum: 'off',
    relay: true,
    listen: ['tcp://127.0.0.1:0'],
    peers: targets,
  });
  const connected = () =>
    targets.every(target => node.peers().some(({ peer, connected }) => peer === target.peer && connected));
  await new Promise(resolve => {
    const check = () => {
      if (connected()) resolve();
    };
    node.on('peer', check);
    check();
  });
  return node;
}
