/** A trading bot: submits the orders that it is handed, measures how long each takes, and can be asked to settle. */
import { joinBroadcast, type OrderReceipt, type Orders } from '../../lib/broadcast/index.js';
import { encodeOrder } from '../exchange/order.js';
import { farAway } from './league.js';
import type { ModeName, OrderRequest } from './messages.js';
import { decodedCommittee, VICTIM } from './network.js';
import type { RolePlay, Stagehand } from './node.js';

const REPORT_INTERVAL_MS = 100;
const ORDER_TTL_MS = 60_000;

/** Both logs, for a client. */
export function joinBoth(hand: Stagehand): Record<ModeName, Orders> & { readonly leave: () => Promise<void> } {
  const { config, node, identity, crypto, env } = hand;
  const hostile = hand.peersOf('member').at(-1);
  const distant = config.name === VICTIM && hostile !== undefined ? farAway(node, env, hostile) : undefined;
  const join = (mode: ModeName) => {
    const committee = decodedCommittee(config.committees[mode]);
    return joinBroadcast(distant ?? node, { role: 'client', committee, identity, crypto, env });
  };
  const orders = { sealed: join('sealed'), plain: join('plain') };
  return {
    ...orders,
    leave: async () => {
      await Promise.all([orders.sealed.close(), orders.plain.close()]);
      distant?.leave();
    },
  };
}

/** Submits orders of one account to one log and reports what becomes of them. */
export class Desk {
  readonly #hand: Stagehand;
  readonly #orders: Orders;
  readonly #mode: ModeName;
  readonly #submitted: string[] = [];
  readonly #latenciesMs: number[] = [];
  readonly #underWay = new Set<Promise<void>>();

  constructor(hand: Stagehand, orders: Orders, mode: ModeName) {
    this.#hand = hand;
    this.#orders = orders;
    this.#mode = mode;
  }

  submit(order: Omit<OrderRequest, 'mirrored'>): void {
    const name = `${this.#hand.config.name}/${order.reference}`;
    const work = this.#follow(name, order).catch((error: Error) => {
      this.#hand.report({ kind: 'failed-order', mode: this.#mode, order: name, reason: error.message });
    });
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #follow(name: string, { side, price, quantity, reference }: Omit<OrderRequest, 'mirrored'>): Promise<void> {
    const { name: account } = this.#hand.config;
    const startedAt = performance.now();
    this.#submitted.push(name);
    const payload = encodeOrder({ account, side, price, quantity, reference });
    const receipt: OrderReceipt = await this.#orders.submit(payload, { key: account, ttlMs: ORDER_TTL_MS });
    await receipt.opened;
    this.#latenciesMs.push(performance.now() - startedAt);
  }

  /** Reports what was submitted and settled since the last call. */
  flush(): void {
    if (this.#submitted.length === 0 && this.#latenciesMs.length === 0) return;
    const orders = this.#submitted.splice(0);
    const latenciesMs = this.#latenciesMs.splice(0);
    this.#hand.report({ kind: 'submitted', mode: this.#mode, orders, latenciesMs });
  }

  async settle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    this.flush();
  }
}

export async function playBot(hand: Stagehand): Promise<RolePlay> {
  const orders = joinBoth(hand);
  const desks = { sealed: new Desk(hand, orders.sealed, 'sealed'), plain: new Desk(hand, orders.plain, 'plain') };
  await Promise.all(hand.peersOf('member').map(member => hand.node.session(member, { timeoutMs: 30_000 })));
  const timer = setInterval(() => {
    desks.sealed.flush();
    desks.plain.flush();
  }, REPORT_INTERVAL_MS);
  return {
    async command(command) {
      if (command.kind === 'orders') {
        for (const order of command.orders) {
          desks.sealed.submit(order);
          if (order.mirrored) desks.plain.submit(order);
        }
      } else if (command.kind === 'drain') {
        await Promise.all([desks.sealed.settle(), desks.plain.settle()]);
        hand.report({ kind: 'drained' });
      }
    },
    async close() {
      clearInterval(timer);
      await orders.leave();
    },
  };
}
