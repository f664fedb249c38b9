/** The handshakes of sessions that other peers begin with this node, until there is a session or none will come. */
import { HandshakeDriver, type HandshakeResult } from '../channel/index.js';
import type { Cancel, Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { MeshContext } from './context.js';
import type { PathEnd } from './path-end.js';
import { admitSession } from './session-admission.js';
import { provesKeys } from './session-keys.js';

/** The peer is there, has the keys, and is let in. */
type OnSession = (result: HandshakeResult, end: PathEnd, rttMs: number) => void;

const TIMEOUT_MS = 5_000;
const MAX_UNDER_WAY = 256;
const MAX_OF_ONE_PEER = 4;

export class SessionResponder {
  readonly #context: MeshContext;
  readonly #onSession: OnSession;
  readonly #underWay = new Map<PeerId, Set<HalfOpen>>();
  #count = 0;

  constructor(context: MeshContext, onSession: OnSession) {
    this.#context = context;
    this.#onSession = onSession;
  }

  hasRoomFor(peer: PeerId): boolean {
    return (this.#underWay.get(peer)?.size ?? 0) < MAX_OF_ONE_PEER && this.#count < MAX_UNDER_WAY;
  }

  /** The first message of a handshake that `peer` began. */
  respond(peer: PeerId, end: PathEnd, message: Uint8Array): void {
    const halfOpen: HalfOpen = new HalfOpen(this.#context, peer, end, {
      onSession: this.#onSession,
      onGone: () => this.#forget(peer, halfOpen),
    });
    const ofPeer = this.#underWay.get(peer) ?? new Set();
    this.#underWay.set(peer, ofPeer.add(halfOpen));
    this.#count += 1;
    halfOpen.onMessage(message);
  }

  #forget(peer: PeerId, halfOpen: HalfOpen): void {
    const ofPeer = this.#underWay.get(peer);
    if (!ofPeer?.delete(halfOpen)) return;
    this.#count -= 1;
    if (ofPeer.size === 0) this.#underWay.delete(peer);
  }

  close(): void {
    for (const ofPeer of [...this.#underWay.values()]) for (const halfOpen of [...ofPeer]) halfOpen.refuse();
  }
}

interface HalfOpenHost {
  readonly onSession: OnSession;
  onGone(): void;
}

class HalfOpen {
  readonly #context: MeshContext;
  readonly #peer: PeerId;
  readonly #end: PathEnd;
  readonly #host: HalfOpenHost;
  readonly #driver: HandshakeDriver;
  readonly #stopTimer: Cancel;
  #repliedAt: Instant;
  #result: HandshakeResult | undefined;
  #stopAdmission: Cancel | undefined;
  #isGone = false;

  constructor(context: MeshContext, peer: PeerId, end: PathEnd, host: HalfOpenHost) {
    const { env, handshakePolicy } = context;
    this.#context = context;
    this.#peer = peer;
    this.#end = end;
    this.#host = host;
    this.#repliedAt = env.clock.now();
    this.#driver = new HandshakeDriver({
      ...handshakePolicy(),
      role: 'responder',
      context: 'session',
      random: length => env.rng.bytes(length),
      now: env.clock.unix(),
    });
    this.#stopTimer = env.clock.schedule(TIMEOUT_MS, () => this.refuse());
    end.attach({
      onData: frame => this.#onData(frame),
      onMessage: message => this.onMessage(message),
      onClose: () => this.refuse(),
    });
  }

  onMessage(message: Uint8Array): void {
    if (this.#isGone || this.#result !== undefined) return;
    const { env, gate } = this.#context;
    const begunAt = env.clock.now();
    const step = this.#driver.receive(message);
    gate.charge(env.clock.now() - begunAt);
    if (step.reply !== undefined && step.reply.length > 0) this.#end.sendMessage(step.reply);
    if (step.kind === 'failed') {
      this.refuse();
      return;
    }
    if (step.kind === 'continue') {
      this.#repliedAt = this.#context.env.clock.now();
      return;
    }
    this.#result = step.result;
    if (step.result.peer !== this.#peer) this.refuse();
    else if (step.result.confirmed) this.#admit(step.result);
    else this.#repliedAt = this.#context.env.clock.now();
  }

  /** After IK's first message anybody may have repeated it: nothing is acted on until a packet opens. */
  #onData(frame: Uint8Array): void {
    const result = this.#result;
    if (result === undefined || this.#stopAdmission !== undefined || !provesKeys(result, frame)) return;
    this.#admit(result);
    // Only while the verdict is awaited does the packet have to come again.
    if (this.#isGone) this.#end.deliverData(frame);
  }

  #admit(result: HandshakeResult): void {
    const rttMs = this.#context.env.clock.now() - this.#repliedAt;
    this.#stopTimer();
    this.#stopAdmission = () => undefined;
    this.#stopAdmission = admitSession(this.#context, this.#end, result, refusal => {
      if (refusal !== undefined) {
        this.#context.env.log.info('session-refused', { peer: this.#peer, code: refusal.code });
        this.refuse();
        return;
      }
      this.#result = undefined;
      this.#leave();
      this.#host.onSession(result, this.#end, rttMs);
    });
  }

  /** Ends it without a session. */
  refuse(): void {
    if (this.#isGone) return;
    this.#leave();
    this.#result?.destroy();
    this.#end.close('refused');
  }

  #leave(): void {
    this.#isGone = true;
    this.#stopTimer();
    this.#stopAdmission?.();
    this.#driver.destroy();
    this.#host.onGone();
  }
}
