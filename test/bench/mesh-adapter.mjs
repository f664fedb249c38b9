/**
 * The whole path of a mesh for the side-by-side bench of peers, over the built package: three nodes, a session between the
 * two outer ones over the one between them, reliable and in order, with receipts. Without a relay the two are neighbours.
 */
import { openMembership } from '../../dist/lib/identity/index.js';
import { createIdentity, createNode } from '../../dist/lib/index.js';

const SERVICE = 'bench';
const networkId = 'bench';
const membership = openMembership({ mayRelay: true });

/** One peer's messages as a connection of the bench: what the node refuses waits here for its room. */
class Connection {
  onMessage = null;
  onDrain = null;
  #node;
  #peer;
  #refused = [];
  #close;

  constructor(node, peer, close) {
    this.#node = node;
    this.#peer = peer;
    this.#close = close;
  }

  send(bytes) {
    if (this.#refused.length === 0 && this.#node.send(this.#peer, SERVICE, bytes)) return true;
    this.#refused.push(bytes);
    return false;
  }

  onRoom() {
    while (this.#refused.length > 0) {
      if (!this.#node.send(this.#peer, SERVICE, this.#refused[0])) return;
      this.#refused.shift();
    }
    this.onDrain?.();
  }

  close() {
    return this.#close();
  }
}

/** A node, its connections by peer, and how to learn of new ones. */
async function startNode(transport, options, onConn) {
  const identity = createIdentity({ networkId });
  const node = await createNode({ identity, networkId, membership, transports: [transport], ...options });
  const connections = new Map();
  const connectionTo = (peer, close = () => undefined) => {
    let connection = connections.get(peer);
    if (connection === undefined) {
      connection = new Connection(node, peer, close);
      connections.set(peer, connection);
      onConn?.(connection);
    }
    return connection;
  };
  node.on('room', peer => connections.get(peer)?.onRoom());
  node.serve(SERVICE, (from, bytes) => connectionTo(from).onMessage(bytes));
  return { node, connectionTo };
}

/** @param {{ name: string, transport: object }} form */
export function makeMeshAdapter({ name, transport }) {
  const listen = [`${transport.schemes[0]}://127.0.0.1:0`];
  const addressOf = node => ({ address: node.addresses[0], peer: node.peerId });
  return {
    name,
    letter: 'x',
    label: `hopfair mesh over ${transport.schemes[0]}`,
    settings: 'sessions over one relay, reliable, in order, receipts; channels Noise XX 25519+MLKEM768',
    async startServer({ onConn, relayAddr }) {
      const place = relayAddr === undefined ? { listen } : { peers: [relayAddr] };
      const { node } = await startNode(transport, place, onConn);
      const neighbour = relayAddr ?? addressOf(node);
      return { addr: { neighbour, peer: node.peerId }, close: () => node.close() };
    },
    async connect({ neighbour, peer }) {
      const { node, connectionTo } = await startNode(transport, { peers: [neighbour] });
      await node.session(peer);
      return connectionTo(peer, () => node.close());
    },
    relay: {
      relayFirst: true,
      label: 'sessions end to end, AEAD per hop',
      async startRelay() {
        const { node } = await startNode(transport, { relay: true, listen });
        return { addr: addressOf(node), close: () => node.close() };
      },
    },
  };
}
