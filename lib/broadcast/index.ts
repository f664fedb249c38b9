/**
 * Broadcast: the fair log of a committee, as its members, its clients and its observers meet it. It knows the mesh as a
 * `Messaging`, the disk as a `LogStore`, and time and randomness as an `Env`; what is decided, lib/order decides.
 *
 * It must never know a route, a channel or a transport, and nothing of the payloads that it carries. Begin with
 * `join.ts`; a member is `validator.ts`, a submitter `client.ts` and `order-sender.ts`, a reader `log-follower.ts`.
 */
export { joinBroadcast } from './join.js';
export type {
  OpenedStage,
  OrderedStage,
  OrderReceipt,
  PromisedStage,
  ReceiptStage,
  StageName,
  StageOf,
} from './receipt.js';
export type {
  EntriesOptions,
  JoinAsClient,
  JoinAsMember,
  JoinAsObserver,
  JoinOptions,
  LogPosition,
  Orders,
  OrdersEvents,
  SubmitOptions,
} from './types.js';
