/**
 * Path set-up (overlay.md point 4): the source signs the route together with the hash of the message that travels on it;
 * every relay, and the destination, checks it before it gives a label away.
 */
import { equalBytes, toHex } from '../bytes.js';
import type { UnixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { type PeerId, verifySignature } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import { RateLimit, type Route } from '../route/index.js';
import { decodePathSetup, encodePathSetup, type NeighbourFrame, type PathSetup } from '../wire/index.js';
import type { MeshContext } from './context.js';
import type { PathEnd, PathHandler } from './path-end.js';
import type { PathSwitch } from './path-switch.js';

type SetupFrame = Extract<NeighbourFrame, { kind: 'path-setup' }>;

/** A set-up that ends here, checked. */
export interface ArrivedSetup {
  readonly setup: PathSetup;
  readonly end: PathEnd;
  readonly message: Uint8Array;
}

const LIFETIME_MS = 10_000;
/** Nonces are remembered until their set-up expires, at most this many of one source. */
const MAX_NONCES = 1_024;
const NONCE_BYTES = 16;

export class PathSetups {
  readonly #context: MeshContext;
  readonly #switch: PathSwitch;
  readonly #isNeighbour: (peer: PeerId) => boolean;
  readonly #onArrival: (arrived: ArrivedSetup) => void;
  readonly #rates = new Map<PeerId, RateLimit>();
  /** Per source: when each nonce may be forgotten. */
  readonly #nonces = new Map<PeerId, Map<string, number>>();
  readonly #epoch: number;
  /** Set-ups that were refused here, by reason. */
  readonly refusals: Map<string, number> = new Map();

  constructor(
    context: MeshContext,
    pathSwitch: PathSwitch,
    isNeighbour: (peer: PeerId) => boolean,
    onArrival: (arrived: ArrivedSetup) => void,
  ) {
    this.#context = context;
    this.#switch = pathSwitch;
    this.#isNeighbour = isNeighbour;
    this.#onArrival = onArrival;
    this.#epoch = context.env.clock.unix();
  }

  /** Sends a set-up along the route. `makeMessage` gets the end first, since a joining packet is sealed for its label. */
  open(
    destination: PeerId,
    route: Route,
    purpose: PathSetup['purpose'],
    makeMessage: (end: PathEnd) => Uint8Array,
    handler: PathHandler,
  ): PathEnd {
    const { self, crypto, env, identity } = this.#context;
    const end = this.#switch.addSource(destination, route, handler);
    const message = makeMessage(end);
    const body = encodePathSetup({
      source: self,
      destination,
      relays: route,
      epoch: this.#epoch,
      nonce: env.rng.bytes(NONCE_BYTES),
      expiresAtUnixMs: env.clock.unix() + LIFETIME_MS,
      purpose,
      messageHash: crypto.hash('SHA256').digest(message),
    });
    const signature = identity.sign('path-setup', this.#epoch, body);
    this.#switch.sendControl(end.neighbour, { kind: 'path-setup', label: end.label, body, signature, message });
    return end;
  }

  neighbourLost(peer: PeerId): void {
    this.#rates.delete(peer);
  }

  /** A set-up came from a neighbour: it ends here, goes on, or is refused upstream. */
  onFrame(from: PeerId, frame: SetupFrame): void {
    const setup = this.#check(from, frame);
    if (typeof setup === 'string') {
      this.refusals.set(setup, (this.refusals.get(setup) ?? 0) + 1);
      this.#context.env.log.debug('path-setup-refused', { from, why: setup });
      const reason = setup === 'limit' ? 'limit' : 'refused';
      this.#switch.sendControl(from, { kind: 'path-close', label: frame.label, forward: false, reason });
      return;
    }
    const { self } = this.#context;
    if (setup.destination === self) {
      const route = [...setup.relays].reverse();
      const end = this.#switch.addDestination(setup.source, route, from, frame.label);
      if (end === undefined) this.#refuseForLimit(from, frame.label);
      else this.#onArrival({ setup, end, message: frame.message });
      return;
    }
    const next = setup.relays[setup.relays.indexOf(self) + 1] ?? setup.destination;
    const label = this.#isNeighbour(next) ? this.#switch.addTransit(setup.source, from, frame.label, next) : undefined;
    if (label === undefined) this.#refuseForLimit(from, frame.label);
    else this.#switch.sendControl(next, { ...frame, label });
  }

  #refuseForLimit(from: PeerId, label: number): void {
    this.#switch.sendControl(from, { kind: 'path-close', label, forward: false, reason: 'limit' });
  }

  /** The set-up, or the reason to refuse it. Cheap checks stand before the signature. */
  #check(from: PeerId, frame: SetupFrame): PathSetup | string {
    const { self, membership, crypto, env, networkId, relay } = this.#context;
    const now = env.clock.now();
    let rate = this.#rates.get(from);
    if (rate === undefined) {
      rate = new RateLimit(LIMITS.pathSetupsPerSecond, LIMITS.pathSetupBurst);
      this.#rates.set(from, rate);
    }
    if (!rate.take(now)) return 'limit';
    let setup: PathSetup;
    try {
      setup = decodePathSetup(frame.body);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      return 'malformed';
    }
    const { source, destination, relays } = setup;
    const hops = [source, ...relays, destination];
    const here = hops.indexOf(self);
    if (here < 1) return 'not on the route';
    if (hops[here - 1] !== from) return 'previous hop is another peer';
    if (destination !== self && relay === undefined) return 'not a relay';
    const unix = env.clock.unix();
    if (!membership.isAdmitted(source, unix)) return 'source not admitted';
    if (!membership.isAdmitted(destination, unix)) return 'destination not admitted';
    if (setup.expiresAtUnixMs < unix - LIMITS.clockSkewMs) return 'expired';
    if (setup.expiresAtUnixMs > unix + LIMITS.clockSkewMs + LIFETIME_MS) return 'expires too late';
    if (!equalBytes(crypto.hash('SHA256').digest(frame.message), setup.messageHash)) return 'another message';
    const nonce = toHex(setup.nonce);
    if (this.#nonces.get(source)?.has(nonce)) return 'replayed';
    const signed = { kind: 'path-setup', networkId, epoch: setup.epoch } as const;
    if (!verifySignature(crypto, source, signed, frame.body, frame.signature)) return 'bad signature';
    if (!this.#remember(source, nonce, setup.expiresAtUnixMs + LIMITS.clockSkewMs, unix)) return 'limit';
    return setup;
  }

  #remember(source: PeerId, nonce: string, untilUnixMs: number, unix: UnixMs): boolean {
    let nonces = this.#nonces.get(source);
    if (nonces === undefined) {
      nonces = new Map();
      this.#nonces.set(source, nonces);
    }
    if (nonces.size >= MAX_NONCES) for (const [old, until] of nonces) if (until < unix) nonces.delete(old);
    if (nonces.size >= MAX_NONCES) return false;
    nonces.set(nonce, untilUnixMs);
    return true;
  }
}
