/** What a test hands to the client in the browser and gets back: plain data, since it crosses into another process. */
export interface ClientIdentity {
  readonly networkId: string;
  readonly seeds: { readonly identity: readonly number[]; readonly static: readonly number[] };
}

export interface ChannelConfig extends ClientIdentity {
  readonly address: string;
  /** Whom to expect there. */
  readonly peer: string;
  /** Whether to tell the peer that timers may be late; by default what the platform says. */
  readonly throttledTimers?: boolean;
}

export interface ChannelReport {
  readonly backend: string;
  readonly handshakeHash: string;
  /** Messages of ours that came back as they were, in the order of their class; and those that the peer sent unasked. */
  readonly echoed: number;
  readonly received: number;
  readonly wrong: number;
  /** Cipher keys imported since the channel opened, before and after the clock of the client went on by three minutes. */
  readonly keysBefore: number;
  readonly keysAfter: number;
  /** The code of the channel's end; undefined when it was authenticated. */
  readonly endedWith: string | undefined;
}

export interface NodeConfig extends ClientIdentity {
  readonly relay: { readonly address: string; readonly peer: string };
  readonly peer: string;
  readonly publications: number;
  /** As `encodeCommittee` writes it. */
  readonly committee: readonly number[];
}

export interface NodeReport {
  readonly echoed: number;
  readonly wrong: number;
  readonly firstHops: readonly (string | undefined)[];
  readonly sequences: readonly number[];
  readonly secret: string | undefined;
  /** The order that was submitted, as its receipt and as the log names it. */
  readonly opened: string;
  readonly logged: string;
}

export interface MeasureConfig extends ChannelConfig {
  /** The same service without a channel. */
  readonly plainAddress: string;
  readonly handshakes: number;
  readonly messages: number;
  readonly bytes: number;
  readonly roundTrips: number;
}

interface LineFigures {
  readonly upPerSecond: number;
  readonly downPerSecond: number;
  readonly rttsMs: readonly number[];
}

export interface MeasureReport {
  /** From the dial to the open channel. */
  readonly handshakesMs: readonly number[];
  readonly channel: LineFigures;
  readonly plain: LineFigures;
}

/** The first byte of a measured message: what the other end shall do. */
export const DO = { take: 0, answer: 1, push: 2, echo: 3 } as const;
