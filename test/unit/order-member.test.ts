/** Committees of real members in virtual time: one log everywhere, whatever is lost, late, forged or restarted. */
import t, { type Test } from 'tap';
import { instant } from '../../lib/env.js';
import { encodeClientMessage, type MemberReply } from '../../lib/order/client-messages.js';
import { verifyEvidence } from '../../lib/order/evidence.js';
import { verifyFairnessReceipt } from '../../lib/order/fairness-receipt.js';
import type { MemberNotice } from '../../lib/order/member-io.js';
import { decodeMemberMessage } from '../../lib/order/messages.js';
import { Observer, type ObserverEffect } from '../../lib/order/observer.js';
import { verifyPromise } from '../../lib/order/promise.js';
import type { CommitteeParameters } from '../../lib/order/types.js';
import { Voters } from '../../lib/order/voters.js';
import { Harness, type HarnessOptions } from '../fixtures/committee-harness.js';
import { committeeOf, crypto, peerOf } from '../fixtures/order.js';

const CLIENTS = ['alice', 'bob', 'carol'];
const descriptorOf = (n: number, parameters: Partial<CommitteeParameters> = {}) =>
  committeeOf(n, { delayBoundMs: 20, ...parameters }).descriptor;

/** A started committee and three clients, each of which will submit `count` orders, one every 9 ms. */
function busyCommittee(
  n: number,
  count: number,
  options: HarnessOptions,
  parameters: Partial<CommitteeParameters> = {},
): { h: Harness; submitted: string[] } {
  const h = new Harness(descriptorOf(n, parameters), options);
  h.startAll();
  const submitted: string[] = [];
  for (const client of CLIENTS) h.join(client);
  for (let i = 0; i < count; i++) {
    for (const client of CLIENTS) {
      submitted.push(`${client} ${i}`);
      h.at(100 + i * 9, () => h.submit(client, [h.seal(client, 'main', `${client} ${i}`, 20_000)]));
    }
  }
  return { h, submitted: submitted.sort() };
}

/** Everything is delivered, once, in one order, at these members. */
function checkLogs(t: Test, h: Harness, submitted: readonly string[], members: readonly number[]): void {
  const done = () => members.every(index => h.entries(index).length >= submitted.length);
  t.ok(h.run(60_000, done), 'every order is delivered everywhere');
  h.run(2_000);
  const [first = 0, ...others] = members;
  t.same([...h.log(first)].sort(), submitted, 'nothing is lost, nothing comes twice');
  t.same(
    h.entries(first).map(({ index }) => index),
    submitted.map((_, index) => index),
    'indexes have no gaps',
  );
  for (const index of others) t.same(h.entries(index), h.entries(first), `log of ${index} equals that of ${first}`);
}

const noticesOf = <K extends MemberNotice['kind']>(h: Harness, index: number, kind: K) =>
  (h.nodes[index]?.notices ?? []).filter(
    (notice): notice is Extract<MemberNotice, { kind: K }> => notice.kind === kind,
  );
const allMembers = (h: Harness): number[] => [...h.nodes.keys()];

for (const n of [1, 2, 3, 4, 7]) {
  t.test(`${n} members deliver every order once and in one order`, t => {
    const { h, submitted } = busyCommittee(n, 10, { seed: n });
    checkLogs(t, h, submitted, allMembers(h));
    t.ok(
      h.nodes.every(({ evidence }) => evidence.length === 0),
      'nobody is accused',
    );
    t.end();
  });
}

t.test('the auction profile and the open mode order as well', t => {
  for (const parameters of [{ profile: 'auction' }, { mode: 'open' }] as const) {
    const { h, submitted } = busyCommittee(4, 5, { seed: 3 }, parameters);
    checkLogs(t, h, submitted, allMembers(h));
  }
  t.end();
});

t.test('a fifth of all messages between members is lost, and the logs are still equal and whole', t => {
  for (const seed of [1, 2, 3]) {
    const { h, submitted } = busyCommittee(4, 6, { seed, loss: 0.2 });
    checkLogs(t, h, submitted, allMembers(h));
  }
  t.end();
});

t.test('f silent members stop nothing', t => {
  const { h, submitted } = busyCommittee(7, 5, { seed: 5 });
  h.crash(2);
  h.crash(3);
  checkLogs(t, h, submitted, [0, 1, 4, 5, 6]);
  t.ok(noticesOf(h, 0, 'nullified').length > 0, 'views of silent leaders are nullified');
  t.end();
});

t.test('a member restarts at any point of its log: it loses nothing and contradicts nothing', t => {
  for (let boundary = 1; boundary <= 24; boundary++) {
    const index = boundary % 4;
    const { h, submitted } = busyCommittee(4, 3, { seed: boundary, loss: 0.05 });
    const node = h.nodes[index];
    if (node === undefined) throw new Error('no such node');
    node.crashAfterPersist = persists => {
      if (persists !== boundary * 2) return false;
      h.at(h.now + ((boundary * 37) % 120), () => h.start(index));
      return true;
    };
    checkLogs(t, h, submitted, allMembers(h));
    t.same(
      h.nodes.flatMap(({ evidence }) => evidence),
      [],
      `boundary ${boundary}: no evidence`,
    );
    t.same(noticesOf(h, index, 'abstaining'), [], `boundary ${boundary}: the member speaks again`);
  }
  t.end();
});

t.test('a member that was away catches up with all that it missed', t => {
  const { h, submitted } = busyCommittee(4, 8, { seed: 9 });
  h.at(90, () => h.crash(3));
  t.ok(h.run(30_000, () => h.entries(0).length === submitted.length));
  h.start(3);
  checkLogs(t, h, submitted, allMembers(h));
  t.end();
});

t.test('a committee that is restarted as a whole continues its log', t => {
  const { h, submitted } = busyCommittee(4, 4, { seed: 11 });
  h.run(30_000, () => allMembers(h).every(index => h.entries(index).length === submitted.length));
  for (const index of allMembers(h)) h.crash(index);
  for (const index of allMembers(h)) h.start(index);
  h.run(200);
  h.submit('alice', [h.seal('alice', 'main', 'after the restart', 20_000)]);
  checkLogs(t, h, [...submitted, 'after the restart'].sort(), allMembers(h));
  t.end();
});

t.test('a member whose log lost its end, or was rolled back, never votes or lists again', t => {
  for (const how of ['truncated', 'rolled back'] as const) {
    const { h, submitted } = busyCommittee(4, 6, { seed: 13 });
    h.at(140, () => {
      h.crash(1);
      const disk = h.nodes[1]?.disk ?? [];
      disk.splice(how === 'truncated' ? disk.length - 1 : Math.floor(disk.length / 2));
      h.start(1, how === 'truncated');
    });
    checkLogs(t, h, submitted, allMembers(h));
    t.equal(noticesOf(h, 1, 'abstaining').length, 1, `${how}: it abstains`);
    t.same(
      h.nodes.flatMap(({ evidence }) => evidence),
      [],
      `${how}: it never contradicted itself`,
    );
  }
  t.end();
});

t.test('a committee of one refuses to start on a log that lost its end', t => {
  const { h } = busyCommittee(1, 2, { seed: 1 });
  h.run(500);
  t.throws(() => h.start(0, true), { code: 'STORAGE_CORRUPT' });
  t.end();
});

t.test('a validator with a twin is convicted, and the honest members stay together', t => {
  const { h, submitted } = busyCommittee(4, 6, { seed: 17, twins: [3] });
  // The first twin talks to members 0 and 1 alone, the second to 1 and 2.
  const reach: Record<number, readonly number[]> = { 3: [0, 1], 4: [1, 2] };
  h.intercept = (from, to, bytes) =>
    (reach[from]?.includes(to) ?? true) && (reach[to]?.includes(from) ?? true) ? bytes : undefined;
  checkLogs(t, h, submitted, [0, 1, 2]);
  const found = h.nodes
    .slice(0, 3)
    .flatMap(({ evidence }) => evidence.map(file => verifyEvidence(file, h.committee, crypto)));
  t.ok(found.length > 0, 'evidence is found');
  for (const check of found) t.match(check, { ok: true, culprit: peerOf('v3') });
  t.end();
});

t.test('an idle committee is silent but for its heartbeats', t => {
  const { h, submitted } = busyCommittee(4, 2, { seed: 19 });
  checkLogs(t, h, submitted, allMembers(h));
  const kinds = new Set<string>();
  const voters = new Voters(h.committee, crypto);
  h.intercept = (_from, _to, bytes) => {
    kinds.add(decodeMemberMessage(voters, bytes).kind);
    return bytes;
  };
  h.run(5_000);
  t.same([...kinds], ['status']);
  t.end();
});

t.test('a client hears of its order: promised, ordered, opened, and a receipt that anyone can check', t => {
  const h = new Harness(descriptorOf(4), { seed: 23 });
  h.startAll();
  const alice = h.join('alice');
  h.run(100);
  const envelope = h.seal('alice', 'main', 'buy');
  h.submit('alice', [envelope]);
  h.run(1_000);
  const heard = <K extends MemberReply['kind']>(kind: K) =>
    (h.replies.get(alice) ?? [])
      .map(({ reply }) => reply)
      .filter((reply): reply is Extract<MemberReply, { kind: K }> => reply.kind === kind);
  t.same(
    heard('promises')
      .map(({ validator }) => validator)
      .sort(),
    [0, 1, 2, 3],
  );
  for (const promise of heard('promises')) {
    t.same(promise.ids, [envelope.id]);
    t.ok(verifyPromise(crypto, h.committee, promise));
  }
  t.same(
    heard('ordered').map(({ ids }) => ids),
    Array(4).fill([envelope.id]),
  );
  t.match(heard('opened'), Array(4).fill({ items: [{ id: envelope.id, index: 0, void: undefined }] }));

  h.fromClient(alice, 2, encodeClientMessage({ kind: 'want-receipt', by: { id: envelope.id } }));
  h.fromClient(alice, 3, encodeClientMessage({ kind: 'want-receipt', by: { index: 0 } }));
  h.fromClient(alice, 3, encodeClientMessage({ kind: 'want-receipt', by: { index: 1 } }));
  h.run(100);
  const receipts = heard('receipt').map(({ bytes }) => bytes);
  t.same(
    receipts.map(({ length }) => length > 0).sort(),
    [false, true, true],
    'there is no receipt of what is not there',
  );
  for (const receipt of receipts.filter(({ length }) => length > 0)) {
    t.match(verifyFairnessReceipt(crypto, h.committee, receipt), { ok: true, leaf: { index: 0, id: envelope.id } });
  }
  t.end();
});

t.test('bad submissions are refused with their reason', t => {
  const h = new Harness(descriptorOf(4), { seed: 29 });
  h.startAll();
  const alice = h.join('alice');
  const mallory = h.join('mallory');
  h.run(100);
  const reasons = (client: ReturnType<typeof peerOf>) =>
    (h.replies.get(client) ?? []).flatMap(({ reply }) => (reply.kind === 'rejected' ? [reply.reason] : []));
  h.submit('alice', [h.seal('alice', 'late', 'x', 0)], [0]);
  h.submit('alice', [h.seal('alice', 'long', 'x', 120_000)], [0]);
  h.run(50);
  t.same(reasons(alice).sort(), ['expired', 'ttl']);

  // Mallory signs what alice sealed, and sends it as alice's and as its own.
  const stolen = h.seal('alice', 'stolen', 'x');
  h.submit('mallory', [stolen], [0]);
  h.run(50);
  t.same(reasons(mallory), ['malformed']);
  const unsigned = h.seal('mallory', 'main', 'x');
  h.submitSignedBy('alice', 'mallory', [unsigned], [0]);
  h.submit('mallory', [unsigned], [0]);
  h.run(200);
  t.same(reasons(mallory), ['malformed', 'signature'], 'after a false signature the session is not listened to');
  t.same(h.entries(0), []);
  t.end();
});

t.test('an order that one member alone received reaches the log', t => {
  const h = new Harness(descriptorOf(4), { seed: 31 });
  h.startAll();
  h.join('alice');
  h.run(100);
  const orders = ['one', 'two', 'three'].map(payload => h.seal('alice', 'main', payload));
  h.submit('alice', orders, [2]);
  t.ok(h.run(2_000, () => allMembers(h).every(index => h.entries(index).length === 3)));
  t.same(h.log(0), ['one', 'two', 'three'], 'in the order of its stream');
  t.end();
});

t.test('an observer delivers what f+1 members agree on, from anywhere, and convicts the odd one out', t => {
  const { h, submitted } = busyCommittee(4, 8, { seed: 37 });
  checkLogs(t, h, submitted, allMembers(h));
  const observe = (
    from: { height: number; index: number },
    forge: (index: number, bytes: Uint8Array) => Uint8Array,
  ) => {
    const observer = new Observer({ committee: h.committee, crypto, from, credit: 2 });
    const effects: ObserverEffect[] = [];
    const reader = h.join(`observer ${from.index}`);
    const exchange = (todo: readonly ObserverEffect[]): void => {
      for (const effect of todo) {
        effects.push(effect);
        if (effect.kind === 'send') h.fromClient(reader, h.committee.indexOf(effect.to) ?? 0, effect.bytes);
      }
    };
    h.onReply = (to, index, bytes) => {
      if (to !== reader) return;
      const input = { kind: 'message', from: peerOf(`v${index}`), bytes: forge(index, bytes) } as const;
      exchange(observer.handle(input, instant(h.now)));
    };
    for (const index of [1, 0, 2, 3]) {
      exchange(observer.handle({ kind: 'peer-up', peer: peerOf(`v${index}`) }, instant(h.now)));
      h.run(20);
    }
    h.run(1_000);
    return effects;
  };
  const entriesOf = (effects: readonly ObserverEffect[]) =>
    effects.flatMap(effect => (effect.kind === 'deliver' ? effect.batch.entries : []));
  t.same(entriesOf(observe({ height: 0, index: 0 }, (_, bytes) => bytes)), h.entries(0));

  const middle = observe({ height: 0, index: 10 }, (index, bytes) => {
    if (index !== 1) return bytes;
    const forged = bytes.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    return forged;
  });
  const first = entriesOf(middle)[0]?.index ?? Number.NaN;
  t.ok(first <= 10, 'it begins with the batch that holds the wanted entry');
  t.same(entriesOf(middle), h.entries(0).slice(first));
  const accused = middle.flatMap(effect => (effect.kind === 'misbehaviour' ? [effect.peer] : []));
  t.same([...new Set(accused)], [peerOf('v1')]);
  t.end();
});
