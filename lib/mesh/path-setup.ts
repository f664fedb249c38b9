/**
 * Path set-up (overlay.md point 4): the source signs the route together with the hash of the message that travels on it;
 * every relay, and the destination, checks it before it gives a label away.
 */
import { equalBytes } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { type PeerId, verifySignature } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import type { Route } from '../route/index.js';
import { decodePathSetup, encodePathSetup, type NeighbourFrame, type PathSetup } from '../wire/index.js';
import type { MeshContext } from './context.js';
import { Nonces } from './nonces.js';
import type { PathEnd, PathHandler } from './path-end.js';
import type { PathSwitch } from './path-switch.js';
import { type Refusal, Refusals } from './refusals.js';
import { SetupRate } from './setup-rate.js';
import type { RefusedEvent } from './types.js';

type SetupFrame = Extract<NeighbourFrame, { kind: 'path-setup' }>;

/** A set-up that ends here, checked. */
export interface ArrivedSetup {
  readonly setup: PathSetup;
  readonly end: PathEnd;
  readonly message: Uint8Array;
}

const LIFETIME_MS = 10_000;
const NONCE_BYTES = 16;

export class PathSetups {
  readonly #context: MeshContext;
  readonly #switch: PathSwitch;
  readonly #onArrival: (arrived: ArrivedSetup) => void;
  readonly #rates = new Map<PeerId, SetupRate>();
  readonly #nonces = new Nonces();
  readonly #refusals: Refusals;
  readonly #epoch: number;

  constructor(
    context: MeshContext,
    pathSwitch: PathSwitch,
    onArrival: (arrived: ArrivedSetup) => void,
    onRefused: (event: RefusedEvent) => void,
  ) {
    this.#context = context;
    this.#switch = pathSwitch;
    this.#onArrival = onArrival;
    this.#refusals = new Refusals(onRefused);
    this.#epoch = context.runEpoch;
  }

  /** Set-ups that were refused here, by reason. */
  get refusals(): ReadonlyMap<string, number> {
    return this.#refusals.byReason;
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
    this.#refusals.neighbourLost(peer);
  }

  expireIdle(): void {
    this.#nonces.expire(this.#context.env.clock.unix());
  }

  /** A set-up came from a neighbour: it ends here, goes on, or is refused upstream. */
  onFrame(from: PeerId, frame: SetupFrame): void {
    const refusal = this.#take(from, frame);
    if (refusal === undefined) return;
    const reason = refusal.limit === undefined ? 'refused' : 'limit';
    this.#switch.sendControl(from, { kind: 'path-close', label: frame.label, forward: false, reason });
    this.#context.env.log.debug('path-setup-refused', { from, why: refusal.reason });
    this.#refusals.add(from, refusal, this.#context.env.clock.now());
  }

  #take(from: PeerId, frame: SetupFrame): Refusal | undefined {
    const checked = this.#check(from, frame);
    if ('reason' in checked) return checked;
    const { setup } = checked;
    const { source, relays, destination } = setup;
    const { self } = this.#context;
    if (destination === self) {
      const given = this.#switch.addDestination(source, [...relays].reverse(), from, frame.label);
      if ('reason' in given) return { ...given, source };
      this.#onArrival({ setup, end: given.end, message: frame.message });
      return undefined;
    }
    const next = relays[relays.indexOf(self) + 1] ?? destination;
    const given = this.#switch.addTransit(source, from, frame.label, next);
    if ('reason' in given) return { ...given, source };
    this.#switch.sendControl(next, { ...frame, label: given.downstreamLabel }, from, source);
    return undefined;
  }

  /** The set-up, or why to refuse it. Cheap checks stand before the signature. */
  #check(from: PeerId, frame: SetupFrame): { readonly setup: PathSetup } | Refusal {
    const { self, membership, crypto, env, networkId, relay } = this.#context;
    const now = env.clock.now();
    let rate = this.#rates.get(from);
    if (rate === undefined) {
      rate = new SetupRate(now);
      this.#rates.set(from, rate);
    }
    if (rate.isExhausted(now)) return TOO_MANY;
    let setup: PathSetup;
    try {
      setup = decodePathSetup(frame.body);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      rate.take(from, now);
      return { reason: 'malformed' };
    }
    const { source, destination, relays } = setup;
    if (!rate.take(source, now)) return { ...TOO_MANY, source };
    const unix = env.clock.unix();
    const refuse = (reason: string): Refusal => ({ reason, source });
    const hops = [source, ...relays, destination];
    const here = hops.indexOf(self);
    if (here < 1) return refuse('not on the route');
    if (hops[here - 1] !== from) return refuse('previous hop is another peer');
    if (destination !== self && relay === undefined) return refuse('not a relay');
    if (!membership.isAdmitted(source, unix)) return refuse('source not admitted');
    if (!membership.isAdmitted(destination, unix)) return refuse('destination not admitted');
    if (!relays.every(relay => membership.isAdmitted(relay, unix))) return refuse('relay not admitted');
    if (setup.expiresAtUnixMs < unix - LIMITS.clockSkewMs) return refuse('expired');
    if (setup.expiresAtUnixMs > unix + LIMITS.clockSkewMs + LIFETIME_MS) return refuse('expires too late');
    if (!equalBytes(crypto.hash('SHA256').digest(frame.message), setup.messageHash)) return refuse('another message');
    if (this.#nonces.has(source, setup.nonce)) return refuse('replayed');
    const signed = { kind: 'path-setup', networkId, epoch: setup.epoch } as const;
    if (!verifySignature(crypto, source, signed, frame.body, frame.signature)) return refuse('bad signature');
    if (!this.#nonces.add(source, setup.nonce, setup.expiresAtUnixMs + LIMITS.clockSkewMs, unix)) {
      return { reason: 'too many nonces', source, limit: LIMITS.maxNoncesPerSource };
    }
    return { setup };
  }
}

const TOO_MANY: Refusal = { reason: 'too many set-ups', limit: LIMITS.pathSetupsPerSecond };
