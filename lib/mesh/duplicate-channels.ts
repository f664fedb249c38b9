/**
 * Which of two channels with one peer stays. Both ends know the same of both channels, so both say the same, whenever and
 * in whichever order they see them (channel.md, "One channel per peer").
 */
import { compareBytes, equalBytes } from '../bytes.js';
import type { Role } from '../channel/index.js';
import type { PeerId } from '../identity/peer-id.js';
import type { ChannelHello } from '../wire/index.js';

/** What both ends know of a channel. */
export interface ChannelFacts {
  readonly role: Role;
  readonly handshakeHash: Uint8Array;
  /** What this end had lost when the channel was dialled. */
  readonly localLosses: number;
  /** Undefined for a peer that says nothing of itself: each of its channels replaces the one before. */
  readonly remote: ChannelHello | undefined;
}

export type Verdict =
  /** The present channel is of a dead run of the peer. */
  | 'restarted'
  /** The next one is of a dead run. */
  | 'stale'
  /** Both are of this run and the next one stays. */
  | 'next'
  /** Both are of this run and the present one stays. */
  | 'present';

export function judge(self: PeerId, peer: PeerId, next: ChannelFacts, present: ChannelFacts): Verdict {
  if (next.remote === undefined || present.remote === undefined) return 'restarted';
  const age = compareRuns(next.remote, present.remote);
  if (age !== 0) return age > 0 ? 'restarted' : 'stale';
  // Whoever lost a channel in between dials to replace it. Who has lost none dialled because it had none yet.
  const losses = next.localLosses + next.remote.losses - present.localLosses - present.remote.losses;
  if (losses !== 0) return losses > 0 ? 'next' : 'present';
  if (next.role !== present.role) return (next.role === 'initiator') === self < peer ? 'next' : 'present';
  return compareBytes(next.handshakeHash, present.handshakeHash) < 0 ? 'next' : 'present';
}

function compareRuns(a: ChannelHello, b: ChannelHello): number {
  if (equalBytes(a.runId, b.runId)) return 0;
  return a.startedAtUnixMs - b.startedAtUnixMs || compareBytes(a.runId, b.runId);
}

/** Whether the present one is gone at the other end, as far as its losses tell. */
export function lostByPeer(next: ChannelFacts, present: ChannelFacts): boolean {
  return (next.remote?.losses ?? 0) > (present.remote?.losses ?? 0);
}
