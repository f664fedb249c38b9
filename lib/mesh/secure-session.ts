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
  dataPacket,
  dataPath,
  decodePacket,
  encodePacket,
  NO_TTL,
  type Packet,
  type PathCloseReason,
  type Receipt,
} from '../wire/index.js';
import { Alarm } from './alarm.js';
import type { MeshContext } from './context.js';
import { type ChunkRef, chunkOf, frameTtlMs, type Outbox, submissionOf } from './outbox.js';
import { OwedReceipts } from './owed-receipts.js';
import type { PathEnd } from './path-end.js';
import { SessionKeys } from './session-keys.js';

/** The owner of a session: it outlives it. */
export interface SessionHost {
  readonly outbox: Outbox;
  readonly runId: Uint8Array;
  /** Whether this one, of all sessions of its owner, takes what is new. */
  carries(session: SecureSession): boolean;
  /** The peer said who it is in this session: from now on chunks may be sent, and will come. */
  onHello(session: SecureSession, runId: Uint8Array): void;
  /** False when there was no room for it. */
  onChunk(chunk: Packet['chunks'][number], now: Instant): boolean;
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

type Payload = readonly ChunkRef[];

interface SessionPath {
  readonly id: number;
  readonly end: PathEnd;
  readonly owed: OwedReceipts;
  lastHeardAt: Instant;
}

export const SESSION_TAG_BYTES = 8;
/** What an empty packet counts in a window. */
const EMPTY_PACKET_BYTES = 16;
/** A frame as large as this comes from a full window, which opens only with the receipt. */
const LARGE_FRAME_BYTES = 8_192;
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
  readonly flow: Flow<Payload>;
  readonly #context: MeshContext;
  readonly #keys: SessionKeys;
  readonly #host: SessionHost;
  readonly #paths = new Map<number, SessionPath>();
  readonly #alarm: Alarm;
  #nextPathId = 0;
  #helloHeard = false;
  #helloReceipted = false;
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
    this.flow = new Flow<Payload>({ destination: peer, random: () => context.env.rng.float(), quarantine });
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
    const owed = new OwedReceipts(id, this.#keys.history(id).received, now);
    const path: SessionPath = { id, end, owed, lastHeardAt: now };
    this.#paths.set(id, path);
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
    if (this.#paths.size === 1 && !this.#helloReceipted) this.#submitEmpty();
    this.#host.onPathUp(this);
    this.pump();
  }

  dropPath(id: number): void {
    if (!this.#paths.delete(id)) return;
    this.#drive({ kind: 'path-down', path: id });
  }

  /** A sealed packet that proves, in the set-up of a path, that its sender has the keys of this session. */
  sealJoin(id: number, end: PathEnd): Uint8Array {
    const packet = this.#packet({ elicits: false, atOnce: false, receipts: [], chunks: [] });
    return this.#seal(id, end, packet, false, NO_TTL);
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
    for (let waiting = outbox.waiting; waiting !== undefined; waiting = outbox.waiting) {
      if (!this.flow.hasRoom(waiting)) break;
      const chunks = outbox.take(waiting, this.#context.env.clock.now());
      if (chunks.length > 0) this.#drive(submissionOf(chunks));
    }
    this.#pumping = false;
  }

  /** A packet that says nothing, and is repeated until it is receipted. */
  readonly #submitEmpty = (): void => {
    if (!this.#closed) this.#drive({ kind: 'submit', payload: [], bytes: EMPTY_PACKET_BYTES, class: 'normal' });
  };

  #drive(input: FlowInput<Payload>): void {
    const now = this.#context.env.clock.now();
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
  #apply(effect: FlowEffect<Payload>, now: Instant): boolean {
    switch (effect.kind) {
      case 'transmit':
        this.#transmit(effect, now);
        return false;
      case 'settled':
        for (const chunk of effect.payload) this.#host.outbox.settle(chunk);
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

  #transmit(effect: Extract<FlowEffect<Payload>, { kind: 'transmit' }>, now: Instant): void {
    const path = this.#paths.get(effect.path);
    if (path === undefined) return;
    const live = effect.payload.filter(({ message }) => message.expiresAt === undefined || now < message.expiresAt);
    const packet = this.#packet({
      elicits: true,
      atOnce: effect.receiptAtOnce,
      receipts: path.owed.take(now, true),
      chunks: live.map(chunk => chunkOf(chunk, now)),
    });
    const trafficClass = live[0]?.message.class ?? 'normal';
    const urgent = trafficClass === 'critical';
    const header = this.#header(path.end, path.id, effect.packet, urgent, frameTtlMs(live, now), now);
    const sealed = this.#keys.seal(path.id, effect.packet, header, encodePacket(packet));
    path.end.send(header, sealed, urgent ? 'urgent' : trafficClass);
  }

  /** Takes the next key first, when that is due: the header names the phase. */
  #header(end: PathEnd, id: number, packet: number, urgent: boolean, ttlMs: number, now: Instant): Uint8Array {
    // The peer must receipt something of the new phase before the next; most often that is data, but not always.
    if (this.#keys.rekeyIfDue(now)) this.#context.env.clock.defer(this.#submitEmpty);
    return end.header(id, packet, urgent, this.#keys.phase, ttlMs);
  }

  #packet(fields: Pick<Packet, 'elicits' | 'atOnce' | 'receipts' | 'chunks'>, close = false): Packet {
    return { ...fields, hello: this.#helloReceipted ? undefined : this.#host.runId, close };
  }

  /** Seals a packet that asks for no receipt. */
  #seal(id: number, end: PathEnd, packet: Packet, urgent: boolean, ttlMs: number): Uint8Array {
    const number = this.flow.allotPacket(id);
    const header = this.#header(end, id, number, urgent, ttlMs, this.#context.env.clock.now());
    const sealed = this.#keys.seal(id, number, header, encodePacket(packet));
    const frame = new Uint8Array(header.length + sealed.length);
    frame.set(header);
    frame.set(sealed, header.length);
    return frame;
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
    if (packet.hello !== undefined && !this.#helloHeard) {
      this.#helloHeard = true;
      this.#host.onHello(this, packet.hello);
    }
    if (!this.#helloHeard || this.#closed) return; // closed: another session stands
    for (const receipt of packet.receipts) this.#onReceipt(receipt);
    let taken = true;
    for (const chunk of packet.chunks) taken = this.#host.onChunk(chunk, now) && taken;
    if (this.#closed) return; // the application closed it while it was given a message
    if (packet.close) {
      this.#host.onEnd(this);
      return;
    }
    if (packet.elicits && taken) {
      this.#owe(path, dataPacket(frame), packet.atOnce || frame.length >= LARGE_FRAME_BYTES, now);
    }
    this.pump();
  }

  #onReceipt(receipt: Receipt): void {
    this.#helloReceipted = true;
    this.#keys.onReceipt(receipt.path, receipt.ranges[0]?.last ?? 0);
    this.#drive({ kind: 'receipt', path: receipt.path, ranges: receipt.ranges, delayMs: receipt.delayMs });
  }

  // ---------------------------------------------------------------- receipts

  #owe(path: SessionPath, number: number, atOnce: boolean, now: Instant): void {
    path.owed.owe(number, atOnce, now);
    const { due } = path.owed;
    if (due !== undefined && due > now) this.#alarm.set(due);
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
    for (const path of this.#paths.values()) {
      const receipts = path.owed.take(now, false);
      if (receipts.length > 0) this.#sendUntracked(path, { elicits: false, atOnce: false, receipts, chunks: [] });
      this.#alarm.set(path.owed.due);
    }
  }

  #sendUntracked(path: SessionPath, fields: Pick<Packet, 'elicits' | 'atOnce' | 'receipts' | 'chunks'>, close = false) {
    const frame = this.#seal(path.id, path.end, this.#packet(fields, close), true, NO_TTL);
    path.end.send(frame.subarray(0, 16), frame.subarray(16), 'urgent');
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
      if (now - path.lastHeardAt > PROBE_AFTER_MS)
        this.#drive({ kind: 'probe', path: path.id, payload: [], bytes: EMPTY_PACKET_BYTES });
    }
  }

  /** Ends the session and returns what was under way. With `tell`, the peer is told over every path. */
  end(reason: PathCloseReason, tell: boolean): ChunkRef[] {
    if (this.#closed) return [];
    if (tell) {
      const nothing = { elicits: false, atOnce: false, receipts: [], chunks: [] };
      for (const path of this.#paths.values()) this.#sendUntracked(path, nothing, true);
    }
    this.#closed = true;
    this.#alarm.stop();
    const underWay = this.flow.drain().flat();
    for (const path of this.#paths.values()) path.end.close(reason);
    this.#paths.clear();
    this.#keys.destroy();
    return underWay;
  }
}
