/**
 * What the stage manager and the nodes of the live mesh say to each other. Plain data, so that a node runs alike in this
 * process and in one of its own.
 */
import type { Side } from '../exchange/order.js';
import type { Deed } from './trouble.js';

export type Role = 'relay' | 'member' | 'observer' | 'bot' | 'front-runner';
export type ModeName = 'sealed' | 'plain';

export interface Party {
  readonly name: string;
  readonly role: Role;
  readonly peer: string;
  /** Parties of one operator never stand on both routes of a flow. */
  readonly operator: string;
}

/** All that a node needs to start. */
export interface NodeConfig {
  readonly name: string;
  readonly role: Role;
  /** Hex of the 32-byte seeds of the Ed25519 identity and of the X25519 static key. */
  readonly seeds: { readonly identity: string; readonly static: string };
  readonly networkId: string;
  readonly parties: readonly Party[];
  /** Whom it dials. */
  readonly dial: readonly { readonly peer: string; readonly address: string }[];
  /** Encoded committee descriptors in hex. */
  readonly committees: { readonly [mode in ModeName]: string };
  /** Where a member keeps its logs. */
  readonly dataFolder: string;
  /** Member: in league with the front-runner. */
  readonly league: boolean;
}

export interface OrderRequest {
  readonly reference: number;
  readonly side: Side;
  readonly price: number;
  readonly quantity: number;
  /** Submitted in `open` mode too, where the front-runner can read it. */
  readonly mirrored: boolean;
}

export type Command =
  | { readonly kind: 'orders'; readonly orders: readonly OrderRequest[] }
  /** Relay: from now on. */
  | { readonly kind: 'misbehave'; readonly deed: Deed }
  /** Bot: settle what is under way, then report `drained`. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' };

export interface RouteReport {
  /** Names, not peer ids: `bot-1 > member-2`, and the relays of a route joined by ` > `. */
  readonly flow: string;
  readonly from: string;
  readonly to: string;
  readonly trigger: string;
  readonly ms: number;
  /** What was measured and what lost, in a line. */
  readonly why: string;
}

/** One path of a node. */
export interface PathReport {
  readonly to: string;
  /** Names of its relays joined by ` > `; empty for the direct channel. */
  readonly route: string;
  readonly role: 'active' | 'standby' | 'spare';
  readonly rttMs: number;
  readonly quarantined: boolean;
}

/** One entry of a log as an observer applied it. */
export interface EntryReport {
  readonly id: string;
  /** `account/reference`, or empty when the entry is no order. */
  readonly order: string;
  readonly side: Side | '';
}

export type Report =
  /** `view` is where the node shows what it knows (lib/view); bots do. */
  | { readonly kind: 'ready'; readonly addresses: readonly string[]; readonly view?: string }
  | { readonly kind: 'route'; readonly event: RouteReport }
  /** A route was barred from voluntary use. */
  | { readonly kind: 'quarantine'; readonly flow: string; readonly route: string; readonly why: string }
  /** The node blames a relay, or a link between two, or no longer. */
  | { readonly kind: 'suspicion'; readonly suspect: readonly string[]; readonly cleared: boolean }
  | { readonly kind: 'paths'; readonly paths: readonly PathReport[] }
  /** Processor time of the process so far: of nodes that have one to themselves. */
  | { readonly kind: 'processor'; readonly cpuMs: number }
  | {
      readonly kind: 'submitted';
      readonly mode: ModeName;
      readonly orders: readonly string[];
      readonly latenciesMs: readonly number[];
    }
  | { readonly kind: 'failed-order'; readonly mode: ModeName; readonly order: string; readonly reason: string }
  | {
      readonly kind: 'entries';
      readonly mode: ModeName;
      readonly firstIndex: number;
      readonly entries: readonly EntryReport[];
    }
  /** A running hash over the ids of the first `count` entries. */
  | { readonly kind: 'log'; readonly count: number; readonly digest: string }
  | {
      readonly kind: 'state';
      readonly applied: number;
      readonly stateHash: string;
      readonly fills: number;
      readonly lastPrice: number;
    }
  | { readonly kind: 'view'; readonly view: number; readonly leader: number; readonly height: number }
  | {
      readonly kind: 'attack';
      readonly mode: ModeName;
      readonly victim: string;
      readonly order: string;
      readonly side: Side;
    }
  | { readonly kind: 'drained' }
  | { readonly kind: 'fatal'; readonly reason: string };

/** A node as the stage manager sees it. */
export interface Actor {
  readonly name: string;
  send(command: Command): void;
  /** Ends it as a crash would: without a word to anybody. */
  kill(): Promise<void>;
}

export type Spawn = (config: NodeConfig, onReport: (report: Report) => void) => Actor;
