/**
 * Relays made by hand that speak the wire to real nodes and work together: one brain behind several identities. They keep
 * the protocol of link state and of set-ups, so that traffic comes to them, and do to data frames whatever a test likes.
 */
import type { Channel } from '../../lib/channel/index.js';
import { Identity, type PeerId } from '../../lib/identity/index.js';
import {
  DATA_FORWARD,
  dataLabel,
  decodeLinkState,
  decodeNeighbourFrame,
  decodePathSetup,
  encodeLinkState,
  encodeNeighbourFrame,
  isDataFrame,
  type LinkStateName,
  type NeighbourFrame,
  setDataLabel,
} from '../../lib/wire/index.js';
import type { MeshWorld } from './mesh-world.js';

type LinkStateFrame = Extract<NeighbourFrame, { kind: 'link-state' }>;

/** One direction of one path through one of the relays: where a frame with this label goes, and as what. */
export interface Way {
  readonly relay: PeerId;
  readonly from: PeerId;
  readonly to: PeerId;
  readonly forward: boolean;
  readonly label: number;
}

interface Relay {
  readonly identity: Identity;
  readonly channels: Map<PeerId, Channel>;
  readonly lists: Map<PeerId, { readonly name: LinkStateName; readonly frame: LinkStateFrame }>;
  readonly ways: Map<string, Way>;
}

export class HostileRelays {
  readonly #mesh: MeshWorld;
  readonly #relays: Relay[] = [];
  #nextLabel = 1;
  /** What becomes of a data frame: it goes on only if this sends it. */
  onData: (frame: Uint8Array, way: Way) => void = (frame, way) => this.send(frame, way);
  /** Set-ups that passed, as they came, for who likes to send them again. */
  readonly setUps: { readonly frame: NeighbourFrame; readonly relay: PeerId; readonly to: PeerId }[] = [];

  constructor(mesh: MeshWorld) {
    this.#mesh = mesh;
  }

  get ways(): readonly Way[] {
    return this.#relays.flatMap(({ ways }) => [...ways.values()]);
  }

  /** One more relay, with channels to these nodes. */
  async join(name: string, targets: readonly string[]): Promise<PeerId> {
    const rng = this.#mesh.world.rng.fork(`hostile/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    const now = this.#mesh.unixMs(targets[0] as string);
    const identity = new Identity({ crypto: this.#mesh.crypto, seeds, networkId: 'test', now });
    this.#mesh.membership.allow(identity.peer);
    const relay: Relay = { identity, channels: new Map(), lists: new Map(), ways: new Map() };
    this.#relays.push(relay);
    for (const target of targets) await this.connect(identity.peer, target);
    return identity.peer;
  }

  /** A channel to the node at present: after its restart there is another. */
  async connect(relay: PeerId, target: string): Promise<void> {
    const of = this.#of(relay);
    await this.#mesh.rawChannel(target, of.identity, channel => {
      of.channels.set(channel.peer, channel);
      return {
        onMessage: message => this.#onMessage(of, channel.peer, message),
        onDrain: () => undefined,
        onClose: () => {
          if (of.channels.get(channel.peer) === channel) of.channels.delete(channel.peer);
        },
      };
    });
    this.#announceSelf(of);
    for (const peer of of.channels.keys())
      for (const { name } of of.lists.values()) this.#control(of, peer, { kind: 'link-announce', names: [name] });
    await this.#mesh.run(200);
  }

  /** Sends a frame that way, under its label. */
  send(frame: Uint8Array, { relay, to, label }: Way): void {
    const copy = new Uint8Array(frame);
    if (copy.length >= 5) setDataLabel(copy, label);
    this.#of(relay).channels.get(to)?.send(copy);
  }

  sendControl(relay: PeerId, to: PeerId, frame: NeighbourFrame): void {
    this.#control(this.#of(relay), to, frame);
  }

  #of(peer: PeerId): Relay {
    const relay = this.#relays.find(({ identity }) => identity.peer === peer);
    if (relay === undefined) throw new Error('no such relay');
    return relay;
  }

  #control(relay: Relay, to: PeerId, frame: NeighbourFrame): void {
    relay.channels.get(to)?.send(encodeNeighbourFrame(frame), { priority: 'urgent' });
  }

  #announceSelf(relay: Relay): void {
    const { identity, channels } = relay;
    const epoch = this.#mesh.world.scheduler.nowMs * 1_000 + this.#nextLabel;
    const origin = identity.peer;
    const edges = [...channels.keys()].sort().map(peer => ({ peer, costMs: 1 }));
    const name = { origin, epoch, sequence: 1 };
    const body = encodeLinkState({ ...name, relay: true, edges });
    const signature = identity.sign('link-state', epoch, body);
    this.#store(relay, name, { kind: 'link-state', body, signature }, origin);
  }

  #store(relay: Relay, name: LinkStateName, frame: LinkStateFrame, from: PeerId): void {
    relay.lists.set(name.origin, { name, frame });
    for (const peer of relay.channels.keys())
      if (peer !== from) this.#control(relay, peer, { kind: 'link-announce', names: [name] });
  }

  #onMessage(relay: Relay, from: PeerId, message: Uint8Array): void {
    if (isDataFrame(message)) {
      const way = relay.ways.get(wayKey(from, message[0] === DATA_FORWARD, dataLabel(message)));
      if (way !== undefined) this.onData(message, way);
      return;
    }
    const frame = decodeNeighbourFrame(message);
    switch (frame.kind) {
      case 'link-announce':
        this.#control(relay, from, { kind: 'link-pull', names: frame.names });
        break;
      case 'link-pull':
        for (const { origin } of frame.names) {
          const list = relay.lists.get(origin);
          if (list !== undefined) this.#control(relay, from, list.frame);
        }
        break;
      case 'link-state': {
        const { origin, epoch, sequence } = decodeLinkState(frame.body);
        const known = relay.lists.get(origin)?.name;
        const isNew =
          known === undefined || epoch > known.epoch || (epoch === known.epoch && sequence > known.sequence);
        if (isNew) this.#store(relay, { origin, epoch, sequence }, frame, from);
        break;
      }
      case 'path-setup':
        this.#onSetUp(relay, from, frame);
        break;
      case 'path-reply':
      case 'path-continue':
      case 'path-close': {
        const forward = frame.kind === 'path-continue' || (frame.kind === 'path-close' && frame.forward);
        const way = relay.ways.get(wayKey(from, forward, frame.label));
        if (way !== undefined) this.#control(relay, way.to, { ...frame, label: way.label });
        break;
      }
      default:
        break;
    }
  }

  #onSetUp(relay: Relay, from: PeerId, frame: Extract<NeighbourFrame, { kind: 'path-setup' }>): void {
    const { relays, destination } = decodePathSetup(frame.body);
    const to = relays[relays.indexOf(relay.identity.peer) + 1] ?? destination;
    const label = this.#nextLabel++;
    const peer = relay.identity.peer;
    relay.ways.set(wayKey(from, true, frame.label), { relay: peer, from, to, forward: true, label });
    relay.ways.set(wayKey(to, false, label), { relay: peer, from: to, to: from, forward: false, label: frame.label });
    const next = { ...frame, label };
    this.setUps.push({ frame: next, relay: peer, to });
    this.#control(relay, to, next);
  }
}

const wayKey = (from: PeerId, forward: boolean, label: number): string => `${from} ${forward} ${label}`;
