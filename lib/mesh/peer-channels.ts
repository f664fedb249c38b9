/**
 * The channels with one peer: one, and while two were dialled at once, how one follows the other without a message lost
 * or overtaken (channel.md, "One channel per peer").
 *
 * The responder of the channel that stays ends the other, once it knows that both ends have this one. Nothing is sent on
 * the one that stays before the other is closed here, and what arrives on it is held until then; neither for more than a
 * second.
 */
import type { Channel, ChannelHandler, Priority } from '../channel/index.js';
import type { Cancel, Clock } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { ChannelHello } from '../wire/index.js';
import { type ChannelFacts, judge, lostByPeer } from './duplicate-channels.js';

export interface PeerChannelsHost {
  onUp(): void;
  /** What the peer had, and what was under way to it, is gone. */
  onDown(cause: HopfairError): void;
  onMessage(message: Uint8Array, priority: Priority): void;
  onDrain(): void;
  /** Nothing is open, and nothing is ending any more. */
  onEmpty(): void;
}

interface Member extends ChannelFacts {
  readonly channel: Channel;
  /** It follows the present one because the peer had lost that. */
  replacesLost: boolean;
  cancelOverdue: Cancel | undefined;
}

/** The longest that messages wait for another channel to end. */
const HOLD_MS = 1_000;
/** When the peer should have ended a channel that does not stay: a handshake and an admission later. */
const OVERDUE_MS = 10_000;

export class PeerChannels {
  readonly #self: PeerId;
  readonly #peer: PeerId;
  readonly #clock: Clock;
  readonly #host: PeerChannelsHost;
  /** The one that stays. */
  #current: Member | undefined;
  /** Where messages go: the present one, or the one before it as long as the peer has not ended that. */
  #sending: Member | undefined;
  readonly #leaving = new Set<Member>();
  /** One that left did so without an authenticated end while its successor waited. */
  #broken: HopfairError | undefined;
  #cancelHold: Cancel | undefined;

  constructor(self: PeerId, peer: PeerId, clock: Clock, host: PeerChannelsHost) {
    this.#self = self;
    this.#peer = peer;
    this.#clock = clock;
    this.#host = host;
  }

  /** Where messages to the peer go at present. */
  get channel(): Channel | undefined {
    return this.#sending?.channel;
  }

  get isConnected(): boolean {
    return this.#current !== undefined;
  }

  /** Takes a channel that was just opened. */
  adopt(channel: Channel, localLosses: number, remote: ChannelHello | undefined): void {
    const { role, handshakeHash } = channel;
    const member: Member = {
      channel,
      role,
      handshakeHash,
      localLosses,
      remote,
      replacesLost: false,
      cancelOverdue: undefined,
    };
    const present = this.#current;
    const verdict = present === undefined ? 'first' : judge(this.#self, this.#peer, member, present);
    const isTooMany = this.#leaving.size + 2 > LIMITS.maxChannelsPerPeer;
    if (verdict === 'stale' || (isTooMany && verdict !== 'first' && verdict !== 'restarted')) {
      channel.attach(ignoring);
      channel.close();
      return;
    }
    if (verdict === 'restarted') {
      this.#abandon(new HopfairError('CHANNEL_CLOSED', 'the peer restarted', { retryable: true }));
    }
    if (present === undefined || verdict === 'restarted') this.#begin(member);
    else if (verdict === 'next') this.#supersede(present, member);
    else this.#decline(present, member);
    channel.attach(this.#handlerOf(member));
  }

  /** Sends what is queued, then ends. */
  close(): void {
    for (const member of this.#all()) member.channel.close();
  }

  /** Ends at once: the peer may no longer be here. */
  revoke(): void {
    for (const member of this.#all()) member.channel.revoke();
  }

  #all(): readonly Member[] {
    return this.#current === undefined ? [...this.#leaving] : [...this.#leaving, this.#current];
  }

  #handlerOf(member: Member): ChannelHandler {
    return {
      onMessage: (message, priority) => this.#host.onMessage(message, priority),
      onDrain: () => {
        if (member === this.#sending) this.#host.onDrain();
      },
      onConfirmed: () => this.#endOthers(),
      onEnding: () => this.#onEnding(member),
      onClose: cause => this.#onClose(member, cause),
    };
  }

  #begin(member: Member): void {
    this.#current = member;
    this.#sending = member;
    this.#host.onUp();
  }

  /** Who waits for room asked another channel for it. */
  #sendOn(member: Member): void {
    this.#sending = member;
    this.#host.onDrain();
  }

  #supersede(present: Member, next: Member): void {
    this.#leave(present);
    next.channel.holdMessages();
    next.channel.pause();
    next.replacesLost = lostByPeer(next, present);
    this.#current = next;
    if (this.#sending?.channel.ending !== false) this.#sendOn(next);
    this.#hold();
    this.#endOthers();
  }

  /** What the peer sent on this one came before what it sends on the present one. */
  #decline(present: Member, member: Member): void {
    this.#leave(member);
    present.channel.pause();
    this.#hold();
    this.#endOthers();
  }

  /** At the responder of the channel that stays, once the initiator has admitted it too. */
  #endOthers(): void {
    const current = this.#current;
    if (current === undefined || current.role === 'initiator' || !current.channel.confirmed) return;
    for (const { channel } of this.#leaving) channel.close();
    if (this.#sending === current || this.#leaving.size === 0) return;
    this.#sendOn(current);
    this.#hold();
  }

  #leave(member: Member): void {
    this.#leaving.add(member);
    member.channel.releaseMessages();
    member.channel.resume();
    member.cancelOverdue = this.#clock.schedule(OVERDUE_MS, () => {
      member.channel.close();
      this.#onEnding(member);
    });
  }

  #hold(): void {
    this.#stopHold();
    this.#cancelHold = this.#clock.schedule(HOLD_MS, () => {
      if (this.#current?.replacesLost === true && this.#sending === this.#current) {
        this.#broken ??= new HopfairError('CHANNEL_CLOSED', 'the peer lost it', { retryable: true });
      }
      this.#release();
    });
  }

  /** Messages may pass on the channel that stays; they leave on it once they no longer go to the one before. */
  #release(): void {
    this.#stopHold();
    const current = this.#current;
    if (current === undefined) return;
    const broken = this.#broken;
    this.#broken = undefined;
    if (this.#sending === current) current.replacesLost = false;
    if (broken !== undefined) {
      this.#host.onDown(broken);
      this.#host.onUp();
    }
    current.channel.resume();
    if (this.#sending === current) current.channel.releaseMessages();
  }

  #onEnding(member: Member): void {
    if (member !== this.#sending || member === this.#current || this.#current === undefined) return;
    this.#sendOn(this.#current);
    this.#hold();
  }

  #onClose(member: Member, cause: HopfairError | undefined): void {
    member.cancelOverdue?.();
    if (this.#leaving.delete(member)) this.#onLeft(member, cause);
    else if (member === this.#current) this.#onLost(cause ?? ended());
    else return;
    if (this.#current === undefined && this.#leaving.size === 0) this.#host.onEmpty();
  }

  #onLeft(member: Member, cause: HopfairError | undefined): void {
    const current = this.#current;
    if (current === undefined) return;
    // Once nobody waits for it any more, and nothing is sent on it, how it ends does not matter.
    if (this.#cancelHold !== undefined || member === this.#sending) this.#broken ??= cause;
    if (member === this.#sending) this.#sendOn(current);
    if (this.#leaving.size === 0) this.#release();
  }

  /** The one that should stay is gone: another that still lives takes its place. */
  #onLost(cause: HopfairError): void {
    this.#stopHold();
    this.#broken = undefined;
    const heir = [...this.#leaving].find(({ channel }) => !channel.ending);
    this.#current = heir;
    this.#sending = heir;
    this.#host.onDown(cause);
    if (heir === undefined) return;
    this.#leaving.delete(heir);
    heir.cancelOverdue?.();
    this.#host.onUp();
  }

  #abandon(cause: HopfairError): void {
    const members = this.#all();
    this.#stopHold();
    this.#broken = undefined;
    this.#leaving.clear();
    this.#current = undefined;
    this.#sending = undefined;
    for (const { channel, cancelOverdue } of members) {
      cancelOverdue?.();
      channel.destroy(cause);
    }
    this.#host.onDown(cause);
  }

  #stopHold(): void {
    this.#cancelHold?.();
    this.#cancelHold = undefined;
  }
}

const ended = (): HopfairError => new HopfairError('CHANNEL_CLOSED', 'the channel was ended', { retryable: true });

const ignoring: ChannelHandler = {
  onMessage: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
};
