import t from 'tap';
import { joinBroadcast, type LogPosition, type OrderReceipt, type Orders } from '../../lib/broadcast/index.js';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { verifyProof } from '../../lib/cli/verify.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import { defaultParameters, PinnedCommittee } from '../../lib/order/committee.js';
import type { MemberNotice } from '../../lib/order/member-io.js';
import type { Committee, Entry, Mode } from '../../lib/order/types.js';
import { type SimMachine, SimMessagingNetwork, SimWorld } from '../../lib/sim/index.js';

const crypto = defaultCrypto();

function identityOf(fill: number): Identity {
  const seeds = { identity: new Uint8Array(32).fill(fill), static: new Uint8Array(32).fill(fill + 100) };
  return new Identity({ crypto, seeds, networkId: 'test', now: unixMs(1_700_000_000_000) });
}

const committeeOf = (n: number, mode: Mode, delayBoundMs = 20): Committee => ({
  networkId: 'test',
  epoch: 1,
  members: Array.from({ length: n }, (_, i) => ({ peer: identityOf(i + 1).peer })),
  parameters: defaultParameters(delayBoundMs, { mode }),
});

interface Player {
  readonly machine: SimMachine;
  /** The broadcast as the present process of the machine has joined it. */
  readonly orders: () => Orders;
}

/** A committee with machines for its members, and whoever else joins. */
class Scene {
  readonly world: SimWorld;
  readonly committee: Committee;
  readonly members: readonly Player[];
  readonly notices: MemberNotice[] = [];
  readonly failures: HopfairError[] = [];
  readonly #network: SimMessagingNetwork;
  #joined = 50;

  constructor(n: number, mode: Mode = 'sealed', seed = 1) {
    this.world = new SimWorld({ seed, link: { delayMs: 1, jitterMs: 1 } });
    this.#network = new SimMessagingNetwork(this.world);
    this.committee = committeeOf(n, mode);
    this.members = Array.from({ length: n }, (_, i) => this.#play(`member-${i}`, identityOf(i + 1), 'member'));
  }

  join(role: 'client' | 'observer'): Player {
    this.#joined += 1;
    return this.#play(`${role}-${this.#joined}`, identityOf(this.#joined), role);
  }

  #play(name: string, identity: Identity, role: 'member' | 'client' | 'observer'): Player {
    const machine = this.world.addMachine(name);
    const { committee } = this;
    let orders: Orders | undefined;
    machine.start(process => {
      const messaging = this.#network.join(process, identity.peer);
      const common = { committee, identity, crypto, env: process.env };
      orders = joinBroadcast(
        messaging,
        role === 'member' ? { ...common, role, log: process.disk.openLog('order') } : { ...common, role },
      );
      orders.on('notice', notice => void this.notices.push(notice));
      orders.on('failed', error => void this.failures.push(error));
    });
    return {
      machine,
      orders: () => {
        if (orders === undefined) throw new Error('nobody joined');
        return orders;
      },
    };
  }

  run(ms: number): Promise<void> {
    return this.world.scheduler.runForAsync(ms);
  }

  /** Lets time pass until the promise is settled. */
  async settle<T>(promise: Promise<T>, limitMs = 20_000): Promise<T> {
    let pending = true;
    const done = (): void => {
      pending = false;
    };
    promise.then(done, done);
    for (let ms = 0; pending && ms < limitMs; ms += 50) await this.run(50);
    if (pending) throw new Error(`nothing happened in ${limitMs} ms`);
    return promise;
  }
}

/** Collects entries from now on, until its process ends. */
function collect(orders: Orders, from?: LogPosition): Entry[] {
  const entries: Entry[] = [];
  const options = from === undefined ? {} : { from };
  void (async () => {
    try {
      for await (const entry of orders.entries(options)) entries.push(entry);
    } catch {
      // The test looks at what was collected.
    }
  })();
  return entries;
}

const textOf = ({ opening }: Entry): string => (opening.kind === 'opened' ? toUtf8(opening.payload) : opening.reason);

const submitAll = (orders: Orders, key: string, texts: readonly string[]): Promise<OrderReceipt[]> =>
  Promise.all(texts.map(text => orders.submit(fromUtf8(text), { key, ttlMs: 10_000 })));

const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** What makes two logs the same. */
const fingerprint = (entries: readonly Entry[]): string[] =>
  entries.map(({ height, index, id, laneTimes, ...entry }) =>
    [height, index, id, textOf({ height, index, id, laneTimes, ...entry }), laneTimes.join()].join(' '),
  );

for (const [n, mode] of [
  [1, 'sealed'],
  [4, 'sealed'],
  [4, 'open'],
] as const) {
  t.test(
    `${n} member(s), ${mode}: every order is opened, in one log, in its stream's order, with a receipt`,
    async t => {
      const scene = new Scene(n, mode);
      const clients = [scene.join('client'), scene.join('client')] as const;
      const observer = scene.join('observer');
      const logs = [...scene.members, ...clients, observer].map(({ orders }) => collect(orders()));
      await scene.run(200);
      const texts = [numbered('a', 30), numbered('b', 30)] as const;
      const receipts = (
        await scene.settle(Promise.all(clients.map(({ orders }, i) => submitAll(orders(), 'key', texts[i] ?? []))))
      ).flat();
      const opened = await scene.settle(Promise.all(receipts.map(receipt => receipt.opened)));
      await scene.run(200);

      const [log = []] = logs;
      t.equal(log.length, 60);
      for (const other of logs) t.strictSame(fingerprint(other), fingerprint(log));
      t.strictSame(
        log.map(({ index }) => index),
        [...log.keys()],
      );
      for (const prefix of ['a', 'b']) {
        const own = log.map(textOf).filter(text => text.startsWith(prefix));
        t.strictSame(own, numbered(prefix, 30), 'no order overtakes another of its stream');
      }
      for (const { entry } of opened) t.strictSame(fingerprint([entry]), fingerprint([log[entry.index] as Entry]));

      const pinned = new PinnedCommittee(crypto, scene.committee);
      const receipt = receipts[7] as OrderReceipt;
      const proof = await scene.settle(receipt.fairness());
      const verdict = verifyProof(crypto, pinned, proof);
      t.match(verdict, { valid: true, kind: 'receipt', facts: { id: receipt.id } });
      t.ok(receipt.promises().length > pinned.tolerance.f);
      for (const promise of receipt.promises()) {
        const { valid, ...rest } = verifyProof(crypto, pinned, promise);
        t.ok(valid && JSON.stringify(rest).includes(receipt.id), 'each promise is a proof of its own');
      }
      for (let bit = 0; bit < proof.length * 8; bit += 13) {
        const flipped = proof.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        if (verifyProof(crypto, pinned, flipped).valid) t.fail(`bit ${bit} of a receipt makes no difference`);
      }
      await scene.settle(Promise.all(clients.map(({ orders }) => orders().drain())));
      t.strictSame(scene.failures, []);
    },
  );
}

t.test('a member that is killed amid the traffic comes back from its log, and misses and repeats nothing', async t => {
  const scene = new Scene(4);
  const client = scene.join('client');
  const logs = scene.members.slice(1).map(({ orders }) => collect(orders()));
  await scene.run(200);
  const [victim] = scene.members as [Player];
  const before = collect(victim.orders());
  const submitted = submitAll(client.orders(), 'key', numbered('x', 40));
  await scene.run(12);
  victim.machine.crash();
  const receipts = await scene.settle(submitted);
  const more = scene.settle(submitAll(client.orders(), 'other', numbered('y', 40)));
  victim.machine.restart();
  const after = collect(victim.orders());
  receipts.push(...(await more));
  const opened = await scene.settle(Promise.all(receipts.map(receipt => receipt.opened)));
  await scene.run(2_000);
  const [log = []] = logs;
  t.equal(new Set(opened.map(({ entry }) => entry.index)).size, 80);
  t.equal(log.length, 80);
  for (const other of [...logs, after]) t.strictSame(fingerprint(other), fingerprint(log));
  t.strictSame(fingerprint(before), fingerprint(log.slice(0, before.length)), 'what it delivered before stands');
  t.ok(scene.notices.some(({ kind }) => kind === 'recovered'));
  t.notOk(scene.notices.some(({ kind }) => kind === 'abstaining'));

  await scene.settle(submitAll(client.orders(), 'last', ['z']));
  for (const { machine } of scene.members.slice(1, 2)) machine.crash();
  const [last] = await scene.settle(submitAll(client.orders(), 'last', ['zz']));
  t.match(
    await scene.settle((last as OrderReceipt).opened),
    { entry: { sequence: 2 } },
    'it votes again: 3 of 4 suffice',
  );
});

t.test(
  'an order that the committee cannot order in time fails as expired, and its successor takes its place',
  async t => {
    const scene = new Scene(4);
    const client = scene.join('client');
    await scene.run(200);
    for (const { machine } of scene.members.slice(2)) machine.crash();
    const orders = client.orders();
    const first = await scene.settle(orders.submit(fromUtf8('late'), { key: 'k', ttlMs: 300 }));
    const second = await scene.settle(orders.submit(fromUtf8('patient'), { key: 'k', ttlMs: 20_000 }));
    t.match(second.position, { sequence: 2 });
    await scene.run(1_000);
    for (const { machine } of scene.members.slice(2)) machine.restart();
    const expired = t.rejects(first.opened, { code: 'ORDER_EXPIRED' });
    const { entry } = await scene.settle(second.opened);
    await scene.settle(expired);
    t.match(entry, { index: 0, sequence: 1 });
    t.equal(textOf(entry), 'patient');
    const log = collect(scene.members[0]?.orders() as Orders);
    await scene.run(1_000);
    t.strictSame(log.map(textOf), ['patient'], 'the order that failed is nowhere');
  },
);

t.test('a client that was cut off while its order was ordered hears of it, once, when it is back', async t => {
  const scene = new Scene(4);
  const client = scene.join('client');
  await scene.run(200);
  const log = collect((scene.members[0] as Player).orders());
  const submitted = client.orders().submit(fromUtf8('x'), { key: 'k', ttlMs: 10_000 });
  await scene.run(6); // the order is with the members, and is not ordered yet
  t.strictSame(log, []);
  const receipt = await submitted;
  const names = scene.members.map(({ machine }) => machine.name);
  scene.world.network.partition([[client.machine.name], names]);
  await scene.run(3_000);
  t.equal(log.length, 1);
  scene.world.network.heal();
  const { entry } = await scene.settle(receipt.opened);
  t.strictSame(fingerprint([entry]), fingerprint(log));
  await scene.run(5_000);
  t.equal(log.length, 1);
});

t.test('an observer that comes late, or back, reads from where it wants, exactly once', async t => {
  const scene = new Scene(4);
  const client = scene.join('client');
  await scene.run(200);
  const submit = async (texts: readonly string[]): Promise<void> => {
    const receipts = await scene.settle(submitAll(client.orders(), 'key', texts));
    await scene.settle(Promise.all(receipts.map(receipt => receipt.opened)));
  };
  await submit(numbered('a', 10));
  const late = scene.join('observer');
  const whole = collect(late.orders());
  await scene.run(1_000);
  t.strictSame(whole.map(textOf), numbered('a', 10));
  const { height, index } = whole[6] as Entry;
  late.machine.crash();
  for (const { machine } of scene.members.slice(0, 1)) machine.crash();
  await submit(numbered('b', 10));
  late.machine.restart();
  const resumed = collect(late.orders(), { height, index });
  const second = collect(late.orders(), { height, index: index + 2 });
  await submit(numbered('c', 5));
  await scene.run(2_000);
  const expected = [...numbered('a', 10).slice(6), ...numbered('b', 10), ...numbered('c', 5)];
  t.strictSame(resumed.map(textOf), expected);
  t.strictSame(second.map(textOf), expected.slice(2), 'two readers of one observer do not disturb each other');
  const earlier = collect(late.orders(), { height: 0, index: 0 });
  await scene.run(2_000);
  t.equal(earlier.length, 25, 'one may go back to what was not asked for before');
  t.equal(resumed.length, expected.length);
});

t.test('a member whose disk fails says so and stops; the others go on without it', async t => {
  const scene = new Scene(4);
  const client = scene.join('client');
  await scene.run(200);
  const [victim] = scene.members as [Player];
  const log = collect(victim.orders());
  victim.machine.disk.faults = { ioError: 1 };
  const receipts = await scene.settle(submitAll(client.orders(), 'key', numbered('a', 5)));
  await scene.settle(Promise.all(receipts.map(receipt => receipt.opened)));
  t.strictSame(
    scene.failures.map(({ code }) => code),
    ['STORAGE_FAILED'],
  );
  t.strictSame(log, []);
  await scene.settle(t.rejects(victim.orders().entries()[Symbol.asyncIterator]().next(), { code: 'STORAGE_FAILED' }));
});

t.test('leaving twice is leaving once, and readers are told that it was left', async t => {
  const scene = new Scene(1);
  for (const { orders } of [...scene.members, scene.join('client'), scene.join('observer')]) {
    const joined = orders();
    const ended = t.rejects(joined.entries()[Symbol.asyncIterator]().next(), { code: 'INVALID_STATE' });
    await scene.run(100);
    await Promise.all([joined.close(), joined.close()]);
    await joined.close();
    await ended;
  }
});

t.test('who may not submit is told so, and who is no member cannot become one', async t => {
  const scene = new Scene(1);
  const observer = scene.join('observer');
  await t.rejects(observer.orders().submit(fromUtf8('x'), { key: 'k' }), { code: 'INVALID_STATE' });
  await t.rejects((scene.members[0] as Player).orders().submit(fromUtf8('x'), { key: 'k' }), { code: 'INVALID_STATE' });
  const identity = identityOf(99);
  scene.world.addMachine('stranger').start(process => {
    const messaging = new SimMessagingNetwork(scene.world).join(process, identity.peer);
    const { env, disk } = process;
    const log = disk.openLog('order');
    const join = (committee: Committee): unknown =>
      joinBroadcast(messaging, { committee, identity, crypto, env, role: 'member', log });
    t.throws(() => join(scene.committee), { code: 'INVALID_ARGUMENT' });
    t.throws(() => join({ ...scene.committee, members: [] }), { code: 'COMMITTEE_UNSOUND' });
  });
});
