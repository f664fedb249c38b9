import t from 'tap';
import { type Instant, instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { FIRST_LIMIT, messageCost } from '../../lib/mesh/credit.js';
import { Holdings } from '../../lib/mesh/holdings.js';
import { Inbox } from '../../lib/mesh/inbox.js';
import type { SendOptions } from '../../lib/mesh/messaging.js';
import { chunksOf, type Parcel } from '../../lib/mesh/out-message.js';
import { Outbox } from '../../lib/mesh/outbox.js';
import { SeenNumbers } from '../../lib/mesh/seen-numbers.js';
import { SeededRng } from '../../lib/sim/index.js';
import type { Chunk } from '../../lib/wire/index.js';

const NOW = instant(1_000);
const peer = (name: string): PeerId => name as PeerId;

/** An inbox whose application takes all, but for services that it does not read. */
function inbox(holdings = new Holdings(LIMITS.maxReceiveBytes), unread: readonly string[] = [], from = 'a') {
  const delivered: [service: string, number: number][] = [];
  const credits: string[] = [];
  const box = new Inbox(holdings.of(peer(from)), {
    deliver: (service, bytes) => {
      delivered.push([service, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)]);
      return !unread.includes(service);
    },
    onCredit: service => credits.push(service),
  });
  return { box, delivered, credits, holdings };
}

function numbered(number: number, bytes: number): Uint8Array {
  const message = new Uint8Array(bytes);
  new DataView(message.buffer).setUint32(0, number);
  return message;
}

const push = (outbox: Outbox, service: string, message: Uint8Array, options: SendOptions = {}): boolean =>
  outbox.push(service, message, options, options.ttlMs === undefined ? undefined : instant(NOW + options.ttlMs));

/** All that may be sent at present. */
function takeAll(outbox: Outbox): Parcel[] {
  const parcels: Parcel[] = [];
  for (let lane = outbox.waiting; lane !== undefined; lane = outbox.waiting) {
    const parcel = outbox.take(lane, NOW);
    if (parcel !== undefined) parcels.push(parcel);
  }
  return parcels;
}

/** False when some of it was refused, and must come again. */
function receive(box: Inbox, parcel: Parcel, now: Instant = NOW): boolean {
  let taken = true;
  for (const chunk of chunksOf(parcel, now)) taken = box.receive(chunk, now) !== 'refused' && taken;
  for (const run of parcel.runs) taken = box.receiveRun(run) !== 'refused' && taken;
  return taken;
}

t.test('over a network that loses, repeats and reorders, every mode delivers each message exactly once', async t => {
  for (let seed = 1; seed <= 40; seed++) {
    const rng = new SeededRng(`streams ${seed}`);
    const outbox = new Outbox();
    const { box, delivered } = inbox();
    const services = ['a', 'b', 'c'];
    const sent = new Map<string, number[]>();
    let number = 0;
    const waiting: Parcel[] = [];
    for (let round = 0; round < 60 || waiting.length > 0 || !outbox.empty; round++) {
      for (let i = 0; round < 60 && i < rng.int(8); i++) {
        const service = rng.pick(services);
        const ordered = service === 'c' ? rng.chance(0.5) : service === 'a';
        const options: SendOptions = {
          ordered,
          class: rng.pick(['critical', 'normal', 'bulk']),
          paths: 1 + rng.int(3),
        };
        const bytes = rng.chance(0.2) ? 5_000 + rng.int(60_000) : 4 + rng.int(400);
        if (!push(outbox, service, numbered(++number, bytes), options)) continue;
        const stream = `${service}${ordered}`;
        sent.set(stream, [...(sent.get(stream) ?? []), number]);
      }
      waiting.push(...takeAll(outbox));
      for (const parcel of rng.shuffle(waiting.splice(0))) {
        if (rng.chance(0.3)) waiting.push(parcel);
        else if (!receive(box, parcel)) waiting.push(parcel);
        else if (rng.chance(0.2))
          waiting.push(parcel); // the receipt was lost
        else outbox.settle(parcel);
      }
      // A session is lost now and then, with what it had under way.
      if (rng.chance(0.05)) outbox.requeue(waiting.splice(0));
    }
    const all = [...sent.values()].flat().sort((a, b) => a - b);
    t.same(
      delivered.map(([, n]) => n).sort((a, b) => a - b),
      all,
      `seed ${seed}: each once`,
    );
    const inOrder = sent.get('atrue') ?? [];
    t.same(
      delivered.filter(([service]) => service === 'a').map(([, n]) => n),
      inOrder,
      `seed ${seed}: in order`,
    );
  }
});

t.test('an unordered message does not wait for one before it; an ordered one does', async t => {
  for (const ordered of [true, false]) {
    const outbox = new Outbox();
    const { box, delivered } = inbox();
    const parcels = [1, 2, 3].flatMap(n => {
      push(outbox, 's', numbered(n, 100), { ordered });
      return takeAll(outbox);
    });
    for (const parcel of parcels.slice(1)) t.ok(receive(box, parcel));
    t.equal(delivered.length, ordered ? 0 : 2);
    receive(box, parcels[0] as Parcel);
    receive(box, parcels[0] as Parcel);
    t.same(
      delivered.map(([, n]) => n),
      ordered ? [1, 2, 3] : [2, 3, 1],
    );
  }
});

t.test('messages for different numbers of paths never share a packet', async t => {
  const outbox = new Outbox();
  for (let i = 0; i < 30; i++) push(outbox, 's', numbered(i, 50), { paths: 1 + (i % 3) });
  const parcels = takeAll(outbox);
  t.same(
    parcels.map(({ paths, whole }) => [paths, whole.length]),
    [
      [1, 10],
      [2, 10],
      [3, 10],
    ],
  );
});

t.test('numbers that came are known exactly, however far apart they are', async t => {
  const rng = new SeededRng('seen numbers');
  const seen = new SeenNumbers();
  const reference = new Set<number>();
  let highest = 1;
  for (let i = 0; i < 60_000; i++) {
    const number = rng.chance(0.5) ? seen.floor : seen.floor + rng.int(LIMITS.maxMessagesAhead + 100);
    if (seen.isAhead(number)) continue;
    highest = Math.max(highest, number);
    if (seen.has(number) !== reference.has(number)) t.fail(`number ${number}`);
    seen.add(number);
    reference.add(number);
  }
  for (let number = Math.max(1, highest - 40_000); number < highest; number++) {
    if (!seen.isAhead(number) && seen.has(number) !== reference.has(number)) t.fail(`number ${number} at the end`);
  }
  t.ok(seen.floor > 1_000);
  t.ok(seen.isAhead(seen.floor + LIMITS.maxMessagesAhead), 'what cannot be remembered is refused, not forgotten');
});

t.test('a reader that takes nothing stops its service after 3 MiB, and no other', async t => {
  const outbox = new Outbox();
  const { box, delivered, credits, holdings } = inbox(undefined, ['slow']);
  let queued = 0;
  while (push(outbox, 'slow', numbered(queued, 10_000))) queued += 1;
  for (const parcel of takeAll(outbox)) {
    t.ok(receive(box, parcel), 'what its sender may send is always taken');
    outbox.settle(parcel);
  }
  const read = delivered.length;
  t.ok(read * messageCost(10_000) <= FIRST_LIMIT && read < queued, `${read} of ${queued}`);
  t.equal(holdings.bytes, read * messageCost(10_000));
  t.same(credits, []);
  t.notOk(push(outbox, 'slow', numbered(0, 10_000)), 'the sender waits');
  for (let i = 0; i < 500; i++) t.ok(push(outbox, 'quick', numbered(i, 1_000)));
  for (const parcel of takeAll(outbox)) {
    receive(box, parcel);
    outbox.settle(parcel);
  }
  t.equal(delivered.length, read + 500, 'the other service goes on');
  for (let i = 0; i < read; i++) box.taken('slow', 10_000, true);
  t.equal(holdings.bytes, 0);
  t.ok(credits.includes('slow'), 'the sender is told');
  t.ok(outbox.grant('slow', box.tell('slow') ?? 0));
  t.notOk(outbox.grant('slow', 5), 'a limit is never taken back');
  for (const parcel of takeAll(outbox)) receive(box, parcel);
  t.same(
    delivered.filter(([service]) => service === 'slow').map(([, n]) => n),
    Array.from({ length: queued }, (_, i) => i),
    'nothing was lost, and all of it in order',
  );
});

t.test('what is unread outlives the run of its sender: credit counts the new run only', async t => {
  const { box, holdings } = inbox(undefined, ['s']);
  const send = (outbox: Outbox, count: number): void => {
    for (let i = 0; i < count; i++) push(outbox, 's', numbered(i, 1_000));
    for (const parcel of takeAll(outbox)) receive(box, parcel);
  };
  send(new Outbox(), 10);
  box.restart();
  t.equal(holdings.bytes, 10 * messageCost(1_000), 'it waits for its reader');
  send(new Outbox(), 10);
  for (let i = 0; i < 10; i++) box.taken('s', 1_000, true);
  t.equal(box.tell('s'), FIRST_LIMIT, 'what is read first is of the old run');
  for (let i = 0; i < 10; i++) box.taken('s', 1_000, true);
  t.equal(box.tell('s'), FIRST_LIMIT + 10 * messageCost(1_000));
  t.equal(holdings.bytes, 0);
});

const piece = (service: string, sequence: number, total: number, offset = 0): Chunk => ({
  service,
  numbering: 'ordered',
  sequence,
  offset,
  total,
  ttlMs: 0,
  bytes: new Uint8Array(1_024),
});

t.test('by messages that it begins and never ends a member occupies 4 MiB and one message', async t => {
  const { box, holdings } = inbox();
  for (const service of Array.from({ length: 70 }, (_, i) => `s${i}`)) {
    for (let sequence = 1; sequence <= 10; sequence++) box.receive(piece(service, sequence, 1_048_576), NOW);
  }
  const most = LIMITS.maxPeerReceiveBytes + LIMITS.maxApplicationMessageBytes;
  t.ok(holdings.bytes <= most, `${holdings.bytes} bytes`);
  t.ok(holdings.bytes > LIMITS.maxPeerReceiveBytes - 1_048_576 - 1_000);
  t.ok(holdings.refused > 600);
  for (let i = 0; i < 100_000; i++) box.receive({ ...piece('tiny', 2 + i, 4), bytes: new Uint8Array(4) }, NOW);
  t.ok(holdings.bytes <= most, 'small ones count what it takes to keep them');
  box.restart();
  t.equal(holdings.bytes, 0);
});

t.test('what a stream waits for finds room when everything else has filled it', async t => {
  const { box, delivered } = inbox();
  let sequence = 2;
  while (box.receive(piece('s', sequence, 100_000), NOW) !== 'refused') sequence += 1;
  for (let offset = 0; offset < 1_048_576; offset += 1_024) {
    t.not(box.receive(piece('s', 1, 1_048_576, offset), NOW), 'refused');
  }
  t.same(delivered, [['s', 0]]);
});

t.test(
  'all peers together stay within the bound of the node, and the one that holds most is refused first',
  async t => {
    const bound = 32 * 1_048_576;
    const holdings = new Holdings(bound);
    const greedy = Array.from({ length: 40 }, (_, i) => inbox(holdings, [], `greedy ${i}`).box);
    for (let round = 2; round < 60; round++) {
      for (const box of greedy) box.receive(piece('s', round, 131_072), NOW);
    }
    t.ok(holdings.bytes <= bound / 2, `${holdings.bytes} bytes of what is early`);
    const modest = inbox(holdings, [], 'modest');
    t.equal(modest.box.receive(piece('s', 2, 100_000), NOW), 'new', 'whoever holds little still gets in');
    t.equal(greedy[0]?.receive(piece('s', 99, 1_000_000), NOW), 'refused');
    for (const box of greedy) for (let i = 0; i < 64; i++) box.receive(piece(`t${i}`, 1, 1_048_576), NOW);
    t.ok(holdings.bytes <= bound, `${holdings.bytes} bytes in all`);
  },
);

t.test('a message is put together from its pieces once, whatever pieces a peer makes up', async t => {
  const { box, delivered, holdings } = inbox();
  t.equal(box.receive(piece('s', 1, 2_048, 1_024), NOW), 'new');
  t.equal(box.receive(piece('s', 1, 2_048, 1_024), NOW), 'seen');
  t.equal(box.receive(piece('s', 1, 4_096, 0), NOW), 'refused', 'another length');
  t.equal(box.receive(piece('s', 1, 2_048, 0), NOW), 'new');
  t.equal(box.receive(piece('s', 1, 2_048, 0), NOW), 'seen');
  t.equal(delivered.length, 1);
  t.equal(holdings.bytes, 0);
});

t.test('best-effort messages need no credit; what nobody reads of them is dropped', async t => {
  const { box, delivered, holdings } = inbox(undefined, ['quotes']);
  const outbox = new Outbox();
  for (let i = 0; i < 1_000; i++) {
    push(outbox, 'quotes', numbered(i, 8_000), { ttlMs: 50 });
    for (const parcel of takeAll(outbox)) {
      t.ok(receive(box, parcel), 'never refused: it is not worth to come again');
      outbox.settle(parcel);
    }
  }
  t.ok(delivered.length < 1_000 && delivered.length > 300);
  t.ok(holdings.bytes <= FIRST_LIMIT);
  const expired = new Outbox();
  push(expired, 'quotes', numbered(1, 10), { ttlMs: 50 });
  t.ok(expired.expire(instant(NOW + 50)));
  t.ok(expired.empty);
  t.equal(expired.bytes, 0);
  t.equal(expired.waiting, undefined, 'what expired is not kept either');
});
