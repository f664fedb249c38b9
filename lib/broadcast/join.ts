/** Joining a committee: as a client that submits and reads, as an observer that reads, or as one of its members. */
import { EventEmitter } from 'eventemitter3';
import { defaultCrypto } from '../crypto/index.js';
import { systemEnv } from '../env-system.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { Messaging } from '../mesh/messaging.js';
import { PinnedCommittee } from '../order/committee.js';
import type { Entry } from '../order/types.js';
import { BroadcastClient } from './client.js';
import { CommitteePort } from './committee-port.js';
import { Ledger } from './ledger.js';
import { LogFollower } from './log-follower.js';
import type { OrderReceipt } from './receipt.js';
import type {
  EntriesOptions,
  JoinAsClient,
  JoinAsMember,
  JoinAsObserver,
  JoinOptions,
  Orders,
  OrdersEvents,
  SubmitOptions,
  Surrounded,
} from './types.js';
import { Validator } from './validator.js';

/**
 * Joins a committee over a node of the mesh, or over anything else that is a `Messaging`. Several committees can be
 * joined over one node. Throws COMMITTEE_UNSOUND when the committee cannot be safe or live, and INVALID_ARGUMENT when
 * the identity is not that of the node, or not a member's where it should be.
 *
 * @example
 * const orders = joinBroadcast(node, { committee, identity });
 * const receipt = await orders.submit(bytes, { key: 'account-7' });
 * const { entry } = await receipt.opened;
 * for await (const { index, opening } of orders.entries({ from: entry })) …
 */
export function joinBroadcast(messaging: Messaging, options: JoinOptions): Orders {
  const { identity, crypto = defaultCrypto(), env = systemEnv() } = options;
  const committee = new PinnedCommittee(crypto, options.committee);
  requireArgument(messaging.self === identity.peer, 'the identity is not that of the node');
  env.log.info('committee joined', { role: options.role ?? 'client', hash: committee.hashHex, ...committee.summary() });
  if (options.role === 'member') return new MemberOrders(messaging, committee, { ...options, crypto, env });
  return new ReaderOrders(messaging, committee, { ...options, crypto, env });
}

abstract class BaseOrders implements Orders {
  protected readonly ledger: Ledger = new Ledger();
  readonly #emitter = new EventEmitter();

  abstract submit(order: Uint8Array, options: SubmitOptions): Promise<OrderReceipt>;
  abstract entries(options?: EntriesOptions): AsyncIterable<Entry>;
  abstract drain(): Promise<void>;
  abstract close(): Promise<void>;

  on<E extends keyof OrdersEvents>(event: E, listener: OrdersEvents[E]): this {
    this.#emitter.on(event, listener);
    return this;
  }

  off<E extends keyof OrdersEvents>(event: E, listener: OrdersEvents[E]): this {
    this.#emitter.off(event, listener);
    return this;
  }

  protected tell<E extends keyof OrdersEvents>(event: E, ...args: Parameters<OrdersEvents[E]>): void {
    this.#emitter.emit(event, ...args);
  }

  protected endReaders(): void {
    this.ledger.close(new HopfairError('INVALID_STATE', 'the broadcast was left'));
  }
}

/** Clients and observers: an observer is a client that may not submit. */
class ReaderOrders extends BaseOrders {
  readonly #port: CommitteePort;
  readonly #client: BroadcastClient | undefined;
  readonly #follower: LogFollower;

  constructor(messaging: Messaging, committee: PinnedCommittee, options: Surrounded<JoinAsClient | JoinAsObserver>) {
    super();
    this.#port = new CommitteePort(messaging, committee, options.env);
    this.#client = options.role === 'observer' ? undefined : new BroadcastClient(this.#port, options);
    this.#follower = new LogFollower(this.#port, this.ledger, options);
    this.#port.open();
  }

  submit(order: Uint8Array, options: SubmitOptions): Promise<OrderReceipt> {
    if (this.#client !== undefined) return this.#client.submit(order, options);
    return Promise.reject(new HopfairError('INVALID_STATE', 'an observer submits no orders: join as a client'));
  }

  entries(options: EntriesOptions = {}): AsyncIterable<Entry> {
    this.#follower.follow(options.from);
    return this.ledger.entries(options);
  }

  async drain(): Promise<void> {
    await this.#client?.drain();
  }

  async close(): Promise<void> {
    this.#client?.close();
    this.#follower.close();
    this.#port.close();
    this.endReaders();
  }
}

/** A member reads what its own machine delivers: it has checked every certificate itself. */
class MemberOrders extends BaseOrders {
  readonly #validator: Validator;

  constructor(messaging: Messaging, committee: PinnedCommittee, options: Surrounded<JoinAsMember>) {
    super();
    requireArgument(committee.indexOf(messaging.self) !== undefined, 'this peer is no member of the committee');
    this.#validator = new Validator(
      messaging,
      { ...options, committee },
      {
        onBatch: batch => this.ledger.append(batch),
        onNotice: notice => this.tell('notice', notice),
        onEvidence: bytes => this.tell('evidence', bytes),
        onFailed: error => {
          this.ledger.close(error);
          this.tell('failed', error);
        },
      },
    );
  }

  submit(): Promise<OrderReceipt> {
    return Promise.reject(new HopfairError('INVALID_STATE', 'a member submits no orders: join as a client'));
  }

  entries(options?: EntriesOptions): AsyncIterable<Entry> {
    return this.ledger.entries(options);
  }

  async drain(): Promise<void> {
    // A member has nothing of its own under way.
  }

  async close(): Promise<void> {
    this.endReaders();
    await this.#validator.close();
  }
}
