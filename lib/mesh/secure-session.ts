/**
 * One end-to-end session: the keys of one handshake, the paths that carry it, and the flow that chooses among them
 * (overlay.md points 5 and 6). How one session takes over from another is in succession.ts.
 */
import type { HandshakeResult } from '../channel/types.js';
import type { Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { Flow, type FlowEffect, type FlowInput, MAX_PATHS, type Quarantine, type RouteEvent } from '../route/index.js';
import {
  type Chunk,
  type Credit,
  DATA_HEADER_BYTES,
  dataPacket,
  dataPath,
  dataUrgent,
  decodePacket,
  type Packet,
  type PathCloseReason,
  type Receipt,
  type Run,
} from '../wire/index.js';
import { Alarm } from './alarm.js';
import type { MeshContext } from './context.js';
import type { Reception } from './inbox.js';
import { emptyParcel, type Parcel } from './out-message.js';
import type { Outbox } from './outbox.js';
import { OwedReceipts } from './owed-receipts.js';
import { PacketSealer, type SealerHost } from './packet-sealer.js';
import type { PathEnd } from './path-end.js';
import { SessionKeys } from './session-keys.js';
import { count } from './session-traffic.js';

/** The owner of a session: it outlives it. */
export interface SessionHost extends SealerHost {
  readonly outbox: Outbox;
  /** Whether this one, of all sessions of its owner, takes what is new. */
  carries(session: SecureSession): boolean;
  /** The peer said who it is in this session: from now on chunks may be sent, and will come. */
  onHello(session: SecureSession, runId: Uint8Array): void;
  onChunk(chunk: Chunk, now: Instant): Reception;
  onRun(run: Run, now: Instant): Reception;
  /** The peer takes more of a service. */
  onCredit(credit: Credit): void;
  /** Room was made in the outbox. */
  onSettled(): void;
  onRoute(event: RouteEvent): void;
  onPathUp(session: SecureSession): void;
  onPathLost(session: SecureSession): void;
  onEnd(session: SecureSession): void;
}

export interface SessionOptions {
  readonly context: MeshContext;
  readonly peer: PeerId;
  readonly result: HandshakeResult;
  readonly role: 'initiator' | 'responder';
  readonly host: SessionHost;
  readonly quarantine: Quarantine;
}

interface SessionPath {
  readonly id: number;
  readonly end: PathEnd;
  lastHeardAt: Instant;
  /** Bytes sent since a receipt was asked for at once. */
  unaskedBytes: number;
}

export const SESSION_TAG_BYTES = 8;
const NOTHING: readonly Receipt[] = [];
/** Receipts of a full window are asked for so often, or it would open only when the other end has waited long enough. */
const ASKS_PER_WINDOW = 4;
/** A path without traffic is probed before relays forget its label. */
const PROBE_AFTER_MS = 20_000;
/** Packets sealed before a rekey may come this much later. */
const PTOS_OF_OLD_KEYS = 3;

export class SecureSession {
  readonly peer: PeerId;
  readonly role: 'initiator' | 'responder';
  /** When its handshake was done. */
  readonly since: Instant;
  /** Public: names the session in the set-up of further paths. */
  readonly tag: Uint8Array;
  readonly flow: Flow<Parcel>;
  readonly #context: MeshContext;
  readonly #keys: SessionKeys;
  readonly #host: SessionHost;
  readonly #paths = new Map<number, SessionPath>();
  readonly #sealer: PacketSealer;
  readonly #receipts: OwedReceipts;
  readonly #alarm: Alarm;
  #nextPathId = 0;
  #helloHeard = false;
  #closed = false;
  #flushing = false;
  #pumping = false;

  constructor({ context, peer, result, role, host, quarantine }: SessionOptions) {
    this.peer = peer;
    this.role = role;
    this.tag = result.handshakeHash.slice(0, SESSION_TAG_BYTES);
    this.since = context.env.clock.now();
    this.#context = context;
    this.#keys = new SessionKeys(result, this.since, () => PTOS_OF_OLD_KEYS * this.slowestPtoMs);
    this.#host = host;
    this.flow = new Flow<Parcel>({
      destination: peer,
      random: () => context.env.rng.float(),
      quarantine,
      suspicion: context.suspicion,
    });
    this.#sealer = new PacketSealer(this.#keys, context.env.clock, host, this.#submitEmpty);
    this.#receipts = new OwedReceipts(path => this.#otherPath(path));
    this.#alarm = new Alarm(context.env.clock, () => this.#onAlarm());
  }

  get established(): boolean {
    return this.#helloHeard;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get overused(): boolean {
    return this.#keys.overused;
  }

  get paths(): readonly PathEnd[] {
    return [...this.#paths.values()].map(path => path.end);
  }

  exportSecret(label: string, length: number): Uint8Array {
    return this.#keys.exportSecret(label, length);
  }

  /** Of all paths; 0 while there is none. */
  get slowestPtoMs(): number {
    let slowest = 0;
    for (const { rtt } of this.flow.paths) slowest = Math.max(slowest, rtt.ptoMs);
    return slowest;
  }

  // ---------------------------------------------------------------- paths

  /** A number for the next path; only the initiator hands them out. Undefined while all are taken. */
  allotPathId(): number | undefined {
    for (let tried = 0; tried < MAX_PATHS; tried++) {
      const id = this.#nextPathId;
      this.#nextPathId = (id + 1) % MAX_PATHS;
      if (!this.#paths.has(id)) return id;
    }
    return undefined;
  }

  addPath(id: number, end: PathEnd, rttHintMs: number): void {
    if (this.#closed || !end.open) return;
    this.#paths.get(id)?.end.close('superseded');
    this.dropPath(id);
    const now = this.#context.env.clock.now();
    const path: SessionPath = { id, end, lastHeardAt: now, unaskedBytes: 0 };
    this.#paths.set(id, path);
    this.#receipts.addPath(id, this.#keys.history(id).received, now);
    end.attach({
      onData: frame => this.#onData(path, frame),
      onMessage: () => undefined, // the set-up is over; a repetition means nothing
      onClose: () => {
        this.dropPath(id);
        this.#host.onPathLost(this);
      },
    });
    const { membership } = this.#context;
    const operators = end.route.map(relay => membership.labels(relay).operator ?? '');
    this.#drive({ kind: 'path-up', path: { id, route: end.route, operators, rttHintMs } });
    // The first packet tells the other end who we are; it is repeated until it is receipted.
    if (this.#paths.size === 1 && !this.#sealer.helloReceipted) this.#submitEmpty();
    this.#host.onPathUp(this);
    this.pump();
  }

  dropPath(id: number): void {
    if (!this.#paths.delete(id)) return;
    this.#receipts.dropPath(id);
    this.#drive({ kind: 'path-down', path: id });
  }

  /** Closes the path over this route, if nothing that was sent on it is awaited and no traffic needs it. */
  releasePath(routeKey: string): boolean {
    for (const { id, end } of this.#paths.values()) {
      if (end.route.join('>') !== routeKey || !this.flow.mayClose(id, this.#context.env.clock.now())) continue;
      end.close('idle');
      this.dropPath(id);
      return true;
    }
    return false;
  }

  /** A sealed packet that proves, in the set-up of a path, that its sender has the keys of this session. */
  sealJoin(id: number, end: PathEnd): Uint8Array {
    return this.#sealer.seal(end, id, this.flow.allotPacket(id), NOTHING, false);
  }

  /** Opens what `sealJoin` made; the path number that it names, or undefined when it proves nothing. */
  openJoin(frame: Uint8Array): number | undefined {
    const id = dataPath(frame);
    return this.#open(frame) === undefined ? undefined : id;
  }

  // ---------------------------------------------------------------- sending

  /** Sends what the outbox holds, as far as the windows allow. */
  pump(): void {
    if (this.#closed || !this.#helloHeard || this.#pumping || !this.#host.carries(this)) return;
    this.#pumping = true;
    const { outbox } = this.#host;
    for (let lane = outbox.waiting; lane !== undefined; lane = outbox.waiting) {
      if (!this.flow.hasRoom(lane.class)) break;
      const parcel = outbox.take(lane, this.#context.env.clock.now());
      if (parcel !== undefined) this.#submit(parcel);
    }
    this.#pumping = false;
  }

  /** Tells the peer the present credit of these services, until it is receipted. */
  tellCredits(services: readonly string[]): void {
    if (!this.#closed) this.#submit(emptyParcel(services));
  }

  /** A packet that says nothing, and is repeated until it is receipted. */
  readonly #submitEmpty = (): void => {
    if (!this.#closed) this.#submit(emptyParcel());
  };

  #submit(payload: Parcel): void {
    const { bytes, expiresAt, paths } = payload;
    this.#drive({
      kind: 'submit',
      payload,
      bytes,
      class: payload.class,
      expiresAt,
      paths: paths > 1 ? paths : undefined,
    });
  }

  #drive(input: FlowInput<Parcel>): void {
    this.#driveAt(input, this.#context.env.clock.now());
  }

  #driveAt(input: FlowInput<Parcel>, now: Instant): void {
    const effects = this.flow.handle(input, now);
    let settled = false;
    for (const effect of effects) settled = this.#apply(effect, now) || settled;
    this.#alarm.set(this.flow.nextDeadline());
    if (settled) {
      this.#host.onSettled();
      this.pump();
    }
  }

  /** True when something was settled. */
  #apply(effect: FlowEffect<Parcel>, now: Instant): boolean {
    switch (effect.kind) {
      case 'transmit':
        this.#transmit(effect, now);
        return false;
      case 'settled':
        this.#host.outbox.settle(effect.payload);
        return true;
      case 'explain':
        this.#host.onRoute(effect.event);
        return false;
      case 'abandon':
        this.#abandon(effect.path);
        return false;
    }
  }

  #abandon(id: number): void {
    const path = this.#paths.get(id);
    if (path === undefined) return;
    path.end.close('idle');
    this.dropPath(id);
    this.#host.onPathLost(this);
  }

  #transmit(effect: Extract<FlowEffect<Parcel>, { kind: 'transmit' }>, now: Instant): void {
    const path = this.#paths.get(effect.path);
    if (path === undefined) return;
    const atOnce = this.#asksAtOnce(path, effect.payload.bytes) || effect.receiptAtOnce;
    this.#sealer.send(path.end, effect, this.#receipts.take(path.id, now), atOnce, now);
  }

  /** A window that is full opens only with receipts. */
  #asksAtOnce(path: SessionPath, bytes: number): boolean {
    path.unaskedBytes += bytes;
    const window = this.flow.windowBytes(path.id);
    if (window === undefined || path.unaskedBytes < window / ASKS_PER_WINDOW) return false;
    path.unaskedBytes = 0;
    return true;
  }

  // ---------------------------------------------------------------- receiving

  /** Undefined when it does not open, came before, or says what no session packet says. */
  #open(frame: Uint8Array): Packet | undefined {
    const plaintext = this.#keys.open(frame, this.#context.env.clock.now());
    if (plaintext === undefined) return undefined;
    this.#alarm.set(this.#keys.nextDeadline);
    try {
      return decodePacket(plaintext);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      this.#context.env.log.warn('session-packet-malformed', { peer: this.peer, cause: error.message });
      return undefined;
    }
  }

  #onData(path: SessionPath, frame: Uint8Array): void {
    // A frame that a relay moved to another of our paths says nothing about either of them.
    if (this.#closed || dataPath(frame) !== path.id || this.#paths.get(path.id) !== path) return;
    const packet = this.#open(frame);
    if (packet === undefined) return;
    const now = this.#context.env.clock.now();
    path.lastHeardAt = now;
    this.flow.heard(path.id, dataPacket(frame), now);
    if (packet.hello !== undefined && !this.#helloHeard) {
      this.#helloHeard = true;
      this.#host.onHello(this, packet.hello);
    }
    if (!this.#helloHeard || this.#closed) return; // closed: another session stands
    count(this.#host.traffic.received, frame.length);
    for (const receipt of packet.receipts) this.#onReceipt(receipt, path.id, now);
    for (const credit of packet.credits) this.#host.onCredit(credit);
    const reception = this.#deliver(packet, now);
    if (this.#closed) return; // the application closed it while it was given a message
    if (packet.close) {
      this.#host.onEnd(this);
      return;
    }
    if (packet.elicits && reception !== 'refused') {
      const { atOnce } = packet;
      const critical = dataUrgent(frame);
      const asked = { packet: dataPacket(frame), bytes: frame.length, atOnce, critical, isNew: reception === 'new' };
      this.#receipts.owe(path.id, asked, now);
      this.#sendReceiptsLater(now);
    }
    this.pump();
  }

  /** Everything that the packet carries; what is refused must come again, and the rest of its packet with it. */
  #deliver(packet: Packet, now: Instant): Reception {
    let [refused, isNew] = [false, false];
    for (const chunk of packet.chunks) {
      const reception = this.#host.onChunk(chunk, now);
      if (reception === 'refused') refused = true;
      else if (reception === 'new') isNew = true;
    }
    for (const run of packet.runs) {
      const reception = this.#host.onRun(run, now);
      if (reception === 'refused') refused = true;
      else if (reception === 'new') isNew = true;
    }
    return refused ? 'refused' : isNew ? 'new' : 'seen';
  }

  /** A receipt that came over another path settles what it names, and says nothing about the path itself. */
  #onReceipt({ path, ranges, delayMs }: Receipt, over: number, now: Instant): void {
    this.#sealer.helloReceipted = true;
    this.#keys.onReceipt(path, ranges[0]?.last ?? 0);
    this.#driveAt(path === over ? { kind: 'receipt', path, ranges, delayMs } : { kind: 'arrived', path, ranges }, now);
  }

  // ---------------------------------------------------------------- receipts

  #sendReceiptsLater(now: Instant): void {
    const { deadline } = this.#receipts;
    if (deadline !== undefined && deadline > now) this.#alarm.set(deadline);
    else if (!this.#flushing) {
      this.#flushing = true;
      this.#context.env.clock.defer(this.#flushReceipts);
    }
  }

  /** At the end of the turn: all packets of one poll are receipted together. */
  readonly #flushReceipts = (): void => {
    this.#flushing = false;
    this.#sendDueReceipts();
  };

  #sendDueReceipts(): void {
    if (this.#closed) return;
    const now = this.#context.env.clock.now();
    for (let id = this.#receipts.nextPath(now); id !== undefined; id = this.#receipts.nextPath(now)) {
      const path = this.#paths.get(id);
      const receipts = this.#receipts.take(id, now);
      if (path !== undefined) count(this.#host.traffic.receipts, this.#sendUntracked(path, receipts, false));
    }
    this.#alarm.set(this.#receipts.deadline);
  }

  /** Over which path receipts of this one travel too. */
  #otherPath(path: number): number | undefined {
    const { active, standby } = this.flow;
    if (active !== undefined && active.id !== path) return active.id;
    return standby?.id;
  }

  /** The length of the frame. */
  #sendUntracked({ id, end }: SessionPath, receipts: readonly Receipt[], close: boolean): number {
    const frame = this.#sealer.seal(end, id, this.flow.allotPacket(id), receipts, close);
    end.send(frame.subarray(0, DATA_HEADER_BYTES), frame.subarray(DATA_HEADER_BYTES), 'urgent');
    return frame.length;
  }

  #onAlarm(): void {
    if (this.#closed) return;
    const now = this.#context.env.clock.now();
    this.#keys.expire(now);
    this.#alarm.set(this.#keys.nextDeadline);
    const due = this.flow.nextDeadline();
    if (due !== undefined && due <= now) this.#drive({ kind: 'tick' });
    else this.#alarm.set(due);
    this.#sendDueReceipts();
  }

  // ---------------------------------------------------------------- life

  /** Asks paths that were silent for long whether they still work, which also keeps their labels alive. */
  probeIdlePaths(now: Instant): void {
    for (const path of this.#paths.values()) {
      if (now - path.lastHeardAt > PROBE_AFTER_MS) this.#probe(path.id);
    }
  }

  #probe(path: number): void {
    const payload = emptyParcel();
    this.#drive({ kind: 'probe', path, payload, bytes: payload.bytes });
  }

  /** Ends the session and returns what was under way. With `tell`, the peer is told over every path. */
  end(reason: PathCloseReason, tell: boolean): Parcel[] {
    if (this.#closed) return [];
    if (tell) {
      for (const path of this.#paths.values()) this.#sendUntracked(path, NOTHING, true);
    }
    this.#closed = true;
    this.#alarm.stop();
    const underWay = this.flow.drain();
    for (const path of this.#paths.values()) path.end.close(reason);
    this.#paths.clear();
    this.#keys.destroy();
    return underWay;
  }
}
