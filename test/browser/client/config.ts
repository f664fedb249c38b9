/** What a test hands to the client in the browser and gets back: plain data, since it crosses into another process. */
export interface ClientIdentity {
  readonly networkId: string;
  readonly seeds: { readonly identity: readonly number[]; readonly static: readonly number[] };
}

export interface ChannelConfig extends ClientIdentity {
  readonly address: string;
  /** Whom to expect there. */
  readonly peer: string;
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
}

export interface NodeReport {
  readonly echoed: number;
  readonly wrong: number;
  readonly firstHops: readonly (string | undefined)[];
  readonly sequences: readonly number[];
  readonly secret: string | undefined;
}
