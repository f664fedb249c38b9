import t from 'tap';
import { BroadcastClient, type ClientOptions } from '../../lib/broadcast/client.js';
import { CommitteePort } from '../../lib/broadcast/committee-port.js';
import type { OrderReceipt } from '../../lib/broadcast/receipt.js';
import { pairKeyLabel, serviceOf } from '../../lib/broadcast/service-name.js';
import { EMPTY, fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import type { Messaging } from '../../lib/mesh/messaging.js';
import { decodeClientMessage, encodeReply, type MemberReply } from '../../lib/order/client-messages.js';
import { defaultParameters, PinnedCommittee } from '../../lib/order/committee.js';
import type { Envelope } from '../../lib/order/envelope.js';
import { signPromise } from '../../lib/order/promise.js';
import { checkEnvelope, pairKeyFrom, verifyOrderBatch } from '../../lib/order/sealing.js';
import { decodeSubmission, type Submission } from '../../lib/order/submission.js';
import type { Mode, OrderId } from '../../lib/order/types.js';
import { type SimMachine, SimMessagingNetwork, type SimProcess, SimWorld } from '../../lib/sim/index.js';

const crypto = defaultCrypto();

function identityOf(fill: number): Identity {
  const seeds = { identity: new Uint8Array(32).fill(fill), static: new Uint8Array(32).fill(fill + 100) };
  return new Identity({ crypto, seeds, networkId: 'test', now: unixMs(1_700_000_000_000) });
}

/** A member that says what the test tells it to say, and remembers what it got. */
class ScriptedMember {
  readonly index: number;
  readonly identity: Identity;
  /** Every envelope that arrived, repetitions included. */
  readonly received: Envelope[] = [];
  /** How often it was asked for a fairness receipt. */
  asked = 0;
  /** Signed batches that arrived. */
  readonly batches: Submission[] = [];
  readonly #setup: Setup;
  #messaging: Messaging | undefined;
  #process: SimProcess | undefined;

  constructor(setup: Setup, index: number, identity: Identity) {
    this.#setup = setup;
    this.index = index;
    this.identity = identity;
  }

  readonly program = (process: SimProcess): void => {
    this.#process = process;
    this.#messaging = this.#setup.network.join(process, this.identity.peer);
    this.#messaging.serve(serviceOf(this.#setup.committee), (_from, bytes) => {
      const message = decodeClientMessage(bytes);
      if (message.kind === 'want-receipt') this.asked += 1;
      if (message.kind !== 'submit') return;
      const submission = decodeSubmission(crypto, message.batch);
      this.batches.push(submission);
      this.received.push(...submission.envelopes);
    });
  };

  say(reply: MemberReply): void {
    this.#messaging?.send(this.#setup.clientIdentity.peer, serviceOf(this.#setup.committee), encodeReply(reply));
  }

  promise(...ids: OrderId[]): void {
    const promise = { validator: this.index, sequence: 1, ids };
    this.say({ kind: 'promises', ...signPromise(this.#setup.committee, this.identity.signer, promise) });
  }

  open(height: number, index: number, id: OrderId): void {
    this.say({ kind: 'opened', height, items: [{ id, index, void: undefined, laneTimes: [] }] });
  }

  /** True when this member would list the order: signature of the batch apart. */
  accepts(envelope: Envelope): boolean {
    const label = pairKeyLabel(this.#setup.committee);
    const secret = this.#messaging?.exportSecret(this.#setup.clientIdentity.peer, label, 32);
    const key = secret === undefined ? undefined : pairKeyFrom(crypto, secret);
    const now = this.#process?.env.clock.unix() ?? unixMs(0);
    const pairKey = (_sender: string, name: string): Uint8Array | undefined =>
      name === key?.name ? key.key : undefined;
    return checkEnvelope(crypto, this.#setup.committee, envelope, { validator: this.index, now, pairKey }).ok;
  }
}

interface Setup {
  readonly world: SimWorld;
  readonly network: SimMessagingNetwork;
  readonly committee: PinnedCommittee;
  readonly clientIdentity: Identity;
}

/** A client of a committee of four scripted members; `start` starts members beside those that run from the beginning. */
async function scene(
  options: Partial<ClientOptions> & { mode?: Mode; running?: number } = {},
): Promise<Setup & { members: ScriptedMember[]; machines: SimMachine[]; client: BroadcastClient }> {
  const world = new SimWorld({ seed: 5 });
  const network = new SimMessagingNetwork(world);
  const identities = [1, 2, 3, 4].map(identityOf);
  const committee = new PinnedCommittee(crypto, {
    networkId: 'test',
    epoch: 1,
    members: identities.map(({ peer }) => ({ peer })),
    parameters: defaultParameters(50, { mode: options.mode ?? 'sealed' }),
  });
  const setup: Setup = { world, network, committee, clientIdentity: identityOf(9) };
  const members = identities.map((identity, index) => new ScriptedMember(setup, index, identity));
  const machines = members.map(({ index }) => world.addMachine(`member-${index}`));
  let client: BroadcastClient | undefined;
  world.addMachine('client').start(process => {
    const messaging = network.join(process, setup.clientIdentity.peer);
    const port = new CommitteePort(messaging, committee, process.env);
    client = new BroadcastClient(port, { identity: setup.clientIdentity, crypto, env: process.env, ...options });
    port.open();
  });
  members.slice(0, options.running ?? 4).forEach((member, i) => {
    machines[i]?.start(member.program);
  });
  if (client === undefined) throw new Error('the client did not start');
  return { ...setup, members, machines, client };
}

const order = (text: string): Uint8Array => fromUtf8(text);
const first = <T>(list: readonly T[]): T => list[0] as T;

t.test(
  'orders of one turn leave in one batch under one signature, chained by stream, sealed for each member',
  async t => {
    const { world, members, committee, client, clientIdentity } = await scene();
    const submitted = Promise.all([
      client.submit(order('a1'), { key: 'a' }),
      client.submit(order('b1'), { key: 'b' }),
      client.submit(order('a2'), { key: 'a' }),
    ]);
    await world.scheduler.runForAsync(300);
    const receipts = await submitted;
    for (const member of members) {
      t.equal(member.batches.length, 1);
      const { ids, signature } = first(member.batches);
      t.ok(verifyOrderBatch(crypto, committee, clientIdentity.peer, ids, signature));
      t.equal(ids.length, 3);
      t.strictSame(
        member.received.map(({ stream, sequence, prev }) => [stream, sequence, prev]),
        [
          ['a', 1, undefined],
          ['b', 1, undefined],
          ['a', 2, receipts[0].id],
        ],
      );
      t.ok(member.received.every(envelope => member.accepts(envelope)));
    }
    t.match(receipts[2].position, { sender: clientIdentity.peer, stream: 'a', sequence: 2 });
  },
);

t.test('a stage is reached when f+1 members agree, and neither one liar nor one member twice is enough', async t => {
  const { world, members, client } = await scene();
  const submitted = client.submit(order('x'), { key: 'a' });
  await world.scheduler.runForAsync(100);
  const receipt = await submitted;
  const reached: string[] = [];
  void (async () => {
    for await (const { stage } of receipt) reached.push(stage);
  })();
  const [one, two, three] = members as [ScriptedMember, ScriptedMember, ScriptedMember];
  const expectStages = async (...expected: string[]): Promise<void> => {
    await world.scheduler.runForAsync(20);
    t.strictSame(reached, expected);
  };
  one.promise(receipt.id);
  one.promise(receipt.id);
  two.say({ kind: 'promises', validator: 1, sequence: 1, ids: [receipt.id], signature: new Uint8Array(64) });
  await expectStages();
  two.promise(receipt.id);
  await expectStages('promised');
  one.say({ kind: 'ordered', height: 7, ids: [receipt.id] });
  two.say({ kind: 'ordered', height: 8, ids: [receipt.id] });
  await expectStages('promised');
  three.say({ kind: 'ordered', height: 7, ids: [receipt.id] });
  await expectStages('promised', 'ordered');
  one.open(7, 30, receipt.id);
  two.open(7, 31, receipt.id);
  await expectStages('promised', 'ordered');
  three.open(7, 30, receipt.id);
  await expectStages('promised', 'ordered', 'opened');
  const { entry } = await receipt.opened;
  t.match(entry, { height: 7, index: 30, id: receipt.id, stream: 'a', sequence: 1 });
  t.equal(entry.opening.kind === 'opened' && toUtf8(entry.opening.payload), 'x');
  t.equal((await receipt.ordered).height, 7);
});

t.test(
  'a member that was away gets the same envelope when it comes back, and nobody ever gets another one',
  async t => {
    const { world, members, machines, client } = await scene();
    world.scheduler.runFor(100);
    machines[3]?.crash();
    const submitted = client.submit(order('x'), { key: 'a', ttlMs: 20_000 });
    await world.scheduler.runForAsync(100);
    const receipt = await submitted;
    machines[3]?.restart();
    await world.scheduler.runForAsync(4_000);
    t.ok(members[3]?.received.some(({ id }) => id === receipt.id));
    for (const { received } of members) t.strictSame([...new Set(received.map(({ id }) => id))], [receipt.id]);
    t.ok(first(members).received.length > 1, 'what is not answered is repeated');
    for (const member of members.slice(0, 3)) member.open(1, 0, receipt.id);
    await world.scheduler.runForAsync(100);
    const before = members.map(({ received }) => received.length);
    await world.scheduler.runForAsync(20_000);
    t.strictSame(
      members.map(({ received }) => received.length),
      before,
      'an opened order is not repeated',
    );
  },
);

t.test(
  '2f+1 refusals for good fail an order, fewer or passing ones do not; what follows it is sealed anew',
  async t => {
    const { world, members, client } = await scene();
    const submitted = Promise.all(
      ['o1', 'o2', 'o3'].map(text => client.submit(order(text), { key: 'a', ttlMs: 9_000 })),
    );
    await world.scheduler.runForAsync(100);
    const [one, two, three] = (await submitted) as [OrderReceipt, OrderReceipt, OrderReceipt];
    const [, oldTwo, oldThree] = first(members).received.map(({ id }) => id);
    const failed = one.opened.then(
      () => undefined,
      (error: HopfairError) => error.code,
    );
    for (const member of members.slice(0, 2)) member.say({ kind: 'rejected', reason: 'expired', ids: [one.id] });
    for (const member of members) member.say({ kind: 'rejected', reason: 'predecessor', ids: [two.id] });
    await world.scheduler.runForAsync(50);
    t.equal(two.id, oldTwo, 'nothing is certain yet');
    members[2]?.say({ kind: 'rejected', reason: 'expired', ids: [one.id] });
    await world.scheduler.runForAsync(50);
    t.equal(await failed, 'ORDER_EXPIRED');
    t.notOk([two.id, three.id].some(id => id === oldTwo || id === oldThree));
    t.match(two.position, { sequence: 1 }, 'the place of the order that is gone is free again');
    const resealed = first(members).received.filter(({ id }) => id === two.id || id === three.id);
    t.strictSame(
      resealed.slice(0, 2).map(({ sequence, prev }) => [sequence, prev]),
      [
        [1, undefined],
        [2, two.id],
      ],
    );
    for (const member of members) member.open(3, 8, oldTwo as OrderId);
    for (const member of members) member.open(3, 9, two.id);
    await world.scheduler.runForAsync(50);
    t.equal((await two.opened).entry.index, 9, 'what is said of the former id counts for nothing');
  },
);

t.test('an order refused for its pair key by 2f+1 members is sealed again and not failed', async t => {
  const { world, members, client } = await scene();
  const submitted = client.submit(order('x'), { key: 'a' });
  await world.scheduler.runForAsync(100);
  const receipt = await submitted;
  const { id } = receipt;
  for (const member of members.slice(0, 3)) member.say({ kind: 'rejected', reason: 'pair-key', ids: [id] });
  await world.scheduler.runForAsync(50);
  t.not(receipt.id, id);
  t.match(receipt.position, { sequence: 1 });
  t.ok(members.every(member => member.received.some(envelope => envelope.id === receipt.id)));
});

t.test('without the last member orders are sealed after a while, with fewer than n-f members never', async t => {
  const three = await scene({ running: 3 });
  const sent = three.client.submit(order('x'), { key: 'a' });
  await three.world.scheduler.runForAsync(1_000);
  await sent;
  t.ok(three.members.slice(0, 3).every(member => member.accepts(first(member.received))));

  const two = await scene({ running: 2 });
  const expired = t.rejects(two.client.submit(order('x'), { key: 'a', ttlMs: 500 }), { code: 'ORDER_EXPIRED' });
  await two.world.scheduler.runForAsync(600);
  for (const { index, program } of two.members.slice(2)) two.machines[index]?.start(program);
  await two.world.scheduler.runForAsync(500);
  await expired;
  t.ok(two.members.every(({ received }) => received.length === 0));
});

t.test('submit waits for room, gives up when it is aborted, and drain waits for what is under way', async t => {
  const { world, members, client } = await scene({ maxInFlight: 1, mode: 'open' });
  const one = client.submit(order('1'), { key: 'a' });
  const abort = new AbortController();
  const two = t.rejects(client.submit(order('2'), { key: 'a', signal: abort.signal }), { code: 'ABORTED' });
  const three = client.submit(order('3'), { key: 'a' });
  let drained = false;
  const drain = client.drain().then(() => {
    drained = true;
  });
  await world.scheduler.runForAsync(100);
  t.equal(first(members).received.length, 1);
  abort.abort();
  await two;
  for (const member of members) member.open(1, 0, (await one).id);
  await world.scheduler.runForAsync(100);
  t.match(await three, { position: { sequence: 2 } });
  t.equal(drained, false);
  for (const member of members) member.open(2, 1, (await three).id);
  await world.scheduler.runForAsync(100);
  await drain;
  t.strictSame(
    first(members).received.map(({ ciphertext }) => toUtf8(ciphertext)),
    ['1', '3'],
    'in open mode the payload travels as it is',
  );
});

t.test('a fairness receipt that does not verify is not handed out; the other members are asked in turn', async t => {
  const { world, members, client } = await scene();
  const submitted = client.submit(order('x'), { key: 'a' });
  await world.scheduler.runForAsync(100);
  const receipt = await submitted;
  const { id } = receipt;
  for (const member of members) member.open(1, 0, id);
  await world.scheduler.runForAsync(50);
  let handedOut = false;
  const asked = t.rejects(
    receipt.fairness().finally(() => {
      handedOut = true;
    }),
    { code: 'INVALID_STATE' },
  );
  await world.scheduler.runForAsync(50);
  for (const member of members) member.say({ kind: 'receipt', by: { id }, bytes: fromUtf8('no receipt') });
  await world.scheduler.runForAsync(2_000);
  t.equal(handedOut, false);
  t.ok(members.every(member => member.asked > 0));
  client.close();
  await asked;
});

t.test('closing ends everything that waits with INVALID_STATE', async t => {
  const { world, client } = await scene({ maxInFlight: 1 });
  const one = client.submit(order('1'), { key: 'a' });
  const two = t.rejects(client.submit(order('2'), { key: 'a' }), { code: 'INVALID_STATE' });
  await world.scheduler.runForAsync(100);
  const opened = t.rejects((await one).opened, { code: 'INVALID_STATE' });
  client.close();
  await Promise.all([two, opened]);
  await t.rejects(client.submit(order('3'), { key: 'a' }), { code: 'INVALID_STATE' });
});

t.test('a stream goes on where an earlier run of the client left it', async t => {
  const id = 'cd'.repeat(32) as OrderId;
  const { world, members, client } = await scene({ resume: [{ stream: 'a', sequence: 41, id }] });
  void client.submit(order('x'), { key: 'a' });
  await world.scheduler.runForAsync(100);
  t.match(first(members).received[0], { sequence: 42, prev: id });
});

t.test('what no committee takes is refused before it is sent', async t => {
  const { client } = await scene();
  const code = 'INVALID_ARGUMENT';
  t.throws(() => client.submit(EMPTY, { key: 'a' }), { code });
  t.throws(() => client.submit(new Uint8Array(16_385), { key: 'a' }), { code });
  t.throws(() => client.submit(order('x'), { key: 'k'.repeat(65) }), { code });
  t.throws(() => client.submit(order('x'), { key: 'a', ttlMs: 60_001 }), { code });
});
