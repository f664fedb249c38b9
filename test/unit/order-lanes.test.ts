/** Lanes, the censorship rule, fetching, and the codecs that carry them. */
import t from 'tap';
import { type Instant, instant, unixMs } from '../../lib/env.js';
import { LIMITS } from '../../lib/limits.js';
import { CensorshipWatch } from '../../lib/order/censorship.js';
import { type Chunk, decodeChunk, NO_HASH, signChunk } from '../../lib/order/chunk.js';
import { BodyFetcher } from '../../lib/order/fetch.js';
import { cutIsValid, Lane, LaneWriter } from '../../lib/order/lane.js';
import { decodeMemberMessage, encodeMemberMessage, type MemberMessage } from '../../lib/order/messages.js';
import type { HashHex, OrderId } from '../../lib/order/types.js';
import { Voters } from '../../lib/order/voters.js';
import { bytesFrom, committeeOf, crypto, signerOf } from '../fixtures/order.js';

const voters = new Voters(committeeOf(4), crypto);
const NOW = 1_700_000_000_000;
const idOf = (label: string) => voters.hashOf(bytesFrom(label, 8)) as string as OrderId;

/** A chunk of lane 1 after `previous`, listing these labels at these times. */
function chunk(previous: Chunk | undefined, listed: Record<string, number>, time: number): Chunk {
  return signChunk(voters, signerOf('v1'), 1, {
    sequence: (previous?.sequence ?? 0) + 1,
    previous: previous?.hash ?? NO_HASH,
    time: unixMs(NOW + time),
    listings: Object.entries(listed).map(([label, at]) => ({ id: idOf(label), time: unixMs(NOW + at) })),
  });
}
const head = ({ sequence, hash }: Chunk) => ({ sequence, hash });
const NOTHING = { sequence: 0, hash: NO_HASH };

t.test('a lane takes chunks in their order, once, signed, with times that never go back', t => {
  const lane = new Lane(voters);
  const a = chunk(undefined, { x: 1, y: 2 }, 3);
  const b = chunk(a, {}, 3);
  const c = chunk(b, { z: 4 }, 9);
  t.equal(lane.accept(b).kind, 'gap', 'its predecessor is not here');
  t.equal(lane.accept(a).kind, 'new');
  t.equal(lane.accept(a).kind, 'known');
  t.equal(lane.accept(chunk(a, {}, 2)).kind, 'invalid', 'closed before its predecessor was');
  t.equal(lane.accept(chunk(a, { z: 2 }, 9)).kind, 'invalid', 'lists before its predecessor was closed');
  const forged = { ...b, bytes: b.bytes.slice() };
  forged.bytes[forged.bytes.length - 1] = 0;
  t.equal(lane.accept(forged).kind, 'invalid', 'not signed');
  t.equal(lane.accept(b).kind, 'new');
  t.equal(lane.accept(c).kind, 'new');
  t.equal(lane.uncut, 3);
  t.same(lane.between(head(a), head(c)), [b, c]);
  t.same(lane.between(NOTHING, head(a)), [a]);
  t.equal(lane.between(head(c), head(a)), 'conflict', 'a cut never goes back');
  t.same(lane.furthest(NOTHING), head(c));
  lane.settle(head(b));
  t.equal(lane.uncut, 1);
  t.end();
});

t.test('a fork is seen, kept, and becomes the lane when a final cut counts it', t => {
  const lane = new Lane(voters);
  const a = chunk(undefined, { x: 1 }, 1);
  const b = chunk(a, { y: 2 }, 2);
  const other = chunk(a, { z: 2 }, 2);
  const after = chunk(other, { w: 3 }, 3);
  for (const each of [a, b]) lane.accept(each);
  const acceptance = lane.accept(other);
  t.same(acceptance.kind === 'fork' && head(acceptance.other), head(b));
  t.ok(lane.forked);
  lane.accept(after);
  t.match(lane.head, head(b), 'the chain seen first is the main one');
  t.equal(lane.between(head(b), head(after)), 'conflict');
  t.same(lane.between(head(a), head(after)), [other, after]);
  lane.settle(head(after));
  t.match(lane.head, head(after));
  t.equal(lane.uncut, 0);
  t.end();
});

t.test('a cut advances n-f lanes, and none by more than its limit', t => {
  const some = [chunk(undefined, { x: 1 }, 1)];
  const empty = [chunk(undefined, {}, 1)];
  t.ok(cutIsValid(voters, [some, empty, empty, []]), 'empty chunks count');
  t.notOk(cutIsValid(voters, [some, empty, [], []]));
  const listings = Array.from({ length: LIMITS.maxLaneListingsPerCut + 1 }, () => ({
    id: idOf('x'),
    time: unixMs(NOW),
  }));
  t.notOk(cutIsValid(voters, [[{ ...(some[0] as Chunk), listings }], empty, empty, empty]));
  t.end();
});

t.test('one writes a lane that others accept, although the clock jumps back', t => {
  const [mine, theirs] = [new Lane(voters), new Lane(voters)];
  const writer = new LaneWriter(voters, signerOf('v1'), 1, mine);
  writer.list(idOf('x'), unixMs(NOW));
  writer.list(idOf('y'), unixMs(NOW - 5_000));
  for (const now of [NOW - 9_000, NOW + 10]) {
    const made = decodeChunk(voters, writer.close(unixMs(now)).bytes);
    t.equal(theirs.accept(made).kind, 'new');
    writer.list(idOf(`z${now}`), unixMs(now));
  }
  for (let i = 0; i < LIMITS.maxChunkListings + 5; i++) writer.list(idOf(`${i}`), unixMs(NOW + 20));
  while (writer.pending > 0)
    t.equal(theirs.accept(decodeChunk(voters, writer.close(unixMs(NOW + 50)).bytes)).kind, 'new');
  t.equal(theirs.uncut, 4 + LIMITS.maxChunkListings + 5);
  t.end();
});

t.test('a chunk that a leader leaves out is forwarded once after 2D, and 2D later no cut may omit it', t => {
  const watch = new CensorshipWatch(4, 10);
  const listed = chunk(undefined, { x: 1 }, 1);
  const without = [NOTHING, NOTHING, NOTHING, NOTHING];
  const within = [NOTHING, head(listed), NOTHING, NOTHING];
  watch.arrived(listed, instant(100));
  watch.arrived(chunk(listed, {}, 2), instant(100));
  t.same(watch.due(without, instant(119)), []);
  t.equal(watch.nextDeadline(without), 120);
  t.equal(watch.nextDeadline(within), undefined, 'what a notarized cut counts is not forwarded');
  t.same(watch.due(without, instant(120)), [listed], 'an empty chunk is not');
  t.same(watch.due(without, instant(200)), [], 'once');
  t.notOk(watch.omits(without, instant(139)));
  t.ok(watch.omits(without, instant(140)), 'the proposer had it for 2D');
  t.notOk(watch.omits(within, instant(140)));
  watch.settle(within);
  t.notOk(watch.omits(without, instant(140)));
  t.end();
});

t.test('a missing body is asked for at one lister after another, within a bound for each lane', t => {
  const fetcher = new BodyFetcher(4, 0, { graceMs: 5, retryMs: 20, forgetMs: 1_000 });
  const at = (ms: number): Instant => instant(ms);
  const x = idOf('x');
  fetcher.listed(x, 2, at(0));
  fetcher.listed(x, 3, at(1));
  t.same([...fetcher.due(at(4))], [], 'its sender may bring it yet');
  t.same([...fetcher.due(at(5))], [[2, [x]]]);
  t.same([...fetcher.due(at(24))], []);
  t.same([...fetcher.due(at(25))], [[3, [x]]]);
  fetcher.done(x);
  t.equal(fetcher.nextDeadline(), undefined);
  for (let i = 0; i < LIMITS.maxLaneFetches + 10; i++) fetcher.listed(idOf(`junk ${i}`), 1, at(100));
  const refused = idOf(`junk ${LIMITS.maxLaneFetches + 5}`);
  t.notOk(fetcher.isWanted(refused), 'a lane that lists garbage is bounded');
  fetcher.listed(x, 2, at(100));
  t.ok(fetcher.isWanted(x), 'and harms no other lane');
  fetcher.require(refused, at(100));
  t.ok(fetcher.isWanted(refused), 'what f+1 lanes list is asked for all the same');
  fetcher.due(at(1_200));
  t.notOk(fetcher.isWanted(idOf('junk 1')), 'garbage is forgotten');
  t.ok(fetcher.isWanted(refused));
  t.end();
});

t.test('every message between members decodes to what was encoded, and no damage to it throws anything else', t => {
  const hash = voters.hashOf(bytesFrom('hash', 8)) as HashHex;
  const id = idOf('order');
  const signature = bytesFrom('signature', 64);
  const signatures = [0, 1, 3].map(voter => ({ voter, signature }));
  const held = [1, 2, 3, 4];
  const parts = [bytesFrom('a', 3), bytesFrom('b', 500)];
  const statement = { height: 3, cutHash: hash, firstIndex: 10, count: 2, logRoot: hash };
  const messages: MemberMessage[] = [
    { kind: 'chunks', held, chunks: parts },
    { kind: 'proposal', block: bytesFrom('block', 90), chunks: parts },
    { kind: 'votes', votes: [{ kind: 'finalize', view: 4, block: hash, voter: 2, signature }] },
    {
      kind: 'certificates',
      certificates: [
        { kind: 'nullify', view: 4, block: NO_HASH, signatures },
        { kind: 'notarize', view: 5, block: hash, signatures },
      ],
    },
    { kind: 'want-blocks', hash, above: 7 },
    { kind: 'blocks', blocks: parts },
    { kind: 'want-chunks', lane: 3, hash, above: 9 },
    { kind: 'want-orders', ids: [id] },
    { kind: 'orders', batches: parts },
    {
      kind: 'shares',
      height: 2,
      cut: hash,
      offset: 0,
      ids: [id, id],
      shares: [bytesFrom('s', 32), undefined],
      signature,
    },
    { kind: 'want-shares', height: 2 },
    { kind: 'root', statement, signature },
    { kind: 'status', view: 9, finalView: 7, finalHeight: 5, held },
    { kind: 'ask-state' },
    { kind: 'state', chunkSequence: 5, chunkHash: hash, view: 6, cast: 9 },
  ];
  for (const message of messages) {
    const bytes = encodeMemberMessage(message);
    t.same(decodeMemberMessage(voters, bytes), message);
    for (let at = 0; at < bytes.length; at++) {
      t.throws(() => decodeMemberMessage(voters, bytes.subarray(0, at)), { code: 'DECODE_FAILED' });
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      try {
        decodeMemberMessage(voters, damaged);
      } catch (error) {
        t.match(error, { code: 'DECODE_FAILED' });
      }
    }
  }
  t.end();
});
