import t from 'tap';
import { EffectQueue, type OutwardEffect } from '../../lib/broadcast/effect-queue.js';
import { Ledger } from '../../lib/broadcast/ledger.js';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { instant } from '../../lib/env.js';
import { HopfairError } from '../../lib/errors.js';
import { type PeerId, peerIdOf } from '../../lib/identity/index.js';
import { encodeReply } from '../../lib/order/client-messages.js';
import { defaultParameters, PinnedCommittee } from '../../lib/order/committee.js';
import type { MemberEffect } from '../../lib/order/member-io.js';
import { Observer, type ObserverInput } from '../../lib/order/observer.js';
import type { Batch, Entry, HashHex, OrderId } from '../../lib/order/types.js';
import type { LogStore } from '../../lib/storage/interface.js';

const crypto = defaultCrypto();
const HASH = '00'.repeat(32) as HashHex;

const entryAt = (height: number, index: number, text = `${index}`): Entry => ({
  height,
  index,
  id: index.toString(16).padStart(64, '0') as OrderId,
  sender: 'hf1sender' as PeerId,
  stream: 's',
  sequence: index + 1,
  opening: { kind: 'opened', payload: fromUtf8(text) },
  laneTimes: [],
});

const batchOf = (height: number, firstIndex: number, count: number, text?: string): Batch => ({
  height,
  cutHash: HASH,
  firstIndex,
  entries: Array.from({ length: count }, (_, i) => entryAt(height, firstIndex + i, text)),
  logRoot: HASH,
});

t.test(
  'readers of a ledger get every entry once and in order, from wherever they begin and whenever they come',
  async t => {
    const ledger = new Ledger();
    const read = async (from: number, count: number): Promise<number[]> => {
      const indices: number[] = [];
      if (count === 0) return indices;
      for await (const { index } of ledger.entries({ from: { height: 0, index: from } })) {
        indices.push(index);
        if (indices.length === count) break;
      }
      return indices;
    };
    const early = read(0, 6);
    const ahead = read(4, 2);
    ledger.append(batchOf(1, 0, 3));
    ledger.append(batchOf(2, 3, 0));
    await new Promise(setImmediate);
    ledger.append(batchOf(3, 3, 3));
    t.strictSame(await early, [0, 1, 2, 3, 4, 5]);
    t.strictSame(await ahead, [4, 5]);
    t.strictSame(await read(2, 3), [2, 3, 4]);
  },
);

t.test('a reader is told of a gap, of an abort and of the end', async t => {
  const ledger = new Ledger();
  const at = (index: number, signal?: AbortSignal): Promise<IteratorResult<Entry>> =>
    ledger.entries({ from: { height: 0, index }, ...(signal === undefined ? {} : { signal }) }).next();
  const lost = t.rejects(at(3), { code: 'LIMIT_EXCEEDED', message: /3 to 9 .* from index 10/ });
  ledger.restart(10);
  await lost;
  const abort = new AbortController();
  const aborted = t.rejects(at(10, abort.signal), { code: 'ABORTED' });
  abort.abort();
  await aborted;
  const ended = t.rejects(at(12), { code: 'INVALID_STATE' });
  ledger.append(batchOf(7, 10, 1));
  ledger.close(new HopfairError('INVALID_STATE', 'left'));
  await ended;
  t.match(await at(10), { value: { index: 10 } }, 'what is there can still be read');
});

t.test(
  'a gap is reported only when too few members may hold the entry, and never beyond what honest ones hold',
  async t => {
    const members = [1, 2, 3, 4].map(fill => ({
      peer: peerIdOf(crypto.signer(new Uint8Array(32).fill(fill)).publicKey),
    }));
    const descriptor = { networkId: 'test', epoch: 1, members, parameters: defaultParameters(20) };
    const observer = new Observer({ committee: new PinnedCommittee(crypto, descriptor), crypto });
    const gaps: unknown[] = [];
    const put = (input: ObserverInput, atMs = 0): void => {
      for (const effect of observer.handle(input, instant(atMs))) if (effect.kind === 'gap') gaps.push(effect.to.index);
    };
    const tellGap = (member: number, index: number): void => {
      const from = members[member]?.peer as PeerId;
      put({ kind: 'message', from, bytes: encodeReply({ kind: 'gap', next: { height: 9, index } }) });
    };
    const bringUp = (member: number): void => put({ kind: 'peer-up', peer: members[member]?.peer as PeerId });
    const all = [0, 1, 2, 3];
    all.forEach(bringUp);
    tellGap(0, 1_000_000);
    tellGap(1, 50);
    put({ kind: 'tick' }, 2_000);
    t.strictSame(gaps, [], 'two others may hold it');
    tellGap(0, 1_000_000);
    tellGap(1, 50);
    tellGap(2, 40);
    t.strictSame(gaps, [], 'the last one may still answer');
    put({ kind: 'tick' }, 4_000);
    t.strictSame(gaps, [50], 'no liar sends the reader beyond what honest members hold');
    t.equal(observer.next.index, 50);
  },
);

/** A log whose appends become durable when the test says so. */
function heldLog(): { store: LogStore; appended: string[][]; commit: () => void; fail: () => void } {
  const waiting: { durable: () => void; failed: (error: HopfairError) => void }[] = [];
  const appended: string[][] = [];
  return {
    appended,
    store: {
      append: (records, durable, failed) => {
        appended.push(records.map(toUtf8));
        waiting.push({ durable, failed });
      },
      close: async () => undefined,
    },
    commit: () => waiting.shift()?.durable(),
    fail: () => waiting.shift()?.failed(new HopfairError('STORAGE_FAILED', 'injected')),
  };
}

const persist = (text: string): MemberEffect => ({ kind: 'persist', records: [fromUtf8(text)] });
const send = (text: string): MemberEffect => ({ kind: 'send', to: 'all', bytes: fromUtf8(text) });

t.test(
  'what follows a persist is carried out when it is durable, in order, while records go to the log at once',
  async t => {
    const { store, appended, commit } = heldLog();
    const done: string[] = [];
    const carryOut = (effect: OutwardEffect): void => {
      if (effect.kind !== 'send') return;
      done.push(toUtf8(effect.bytes));
      if (done.at(-1) === 'b') queue.push([send('b, nested')]);
    };
    const queue = new EffectQueue(store, carryOut, t.fail);
    queue.push([send('a'), persist('1'), send('b'), persist('2'), send('c')]);
    queue.push([send('d')]);
    t.strictSame(done, ['a'], 'what comes before a persist need not wait');
    t.strictSame(appended, [['1'], ['2']], 'the second record shares the commit of the first');
    commit();
    t.strictSame(done, ['a', 'b']);
    commit();
    t.strictSame(done, ['a', 'b', 'c', 'd', 'b, nested']);
    t.equal(queue.length, 0);
  },
);

t.test('after the log failed nothing more is carried out, and the failure is told once', async t => {
  const { store, fail } = heldLog();
  const done: string[] = [];
  const failures: string[] = [];
  const queue = new EffectQueue(
    store,
    effect => void done.push(effect.kind),
    error => void failures.push(error.code),
  );
  queue.push([persist('1'), send('a'), persist('2'), send('b')]);
  fail();
  fail();
  queue.push([send('c')]);
  t.strictSame(done, []);
  t.strictSame(failures, ['STORAGE_FAILED']);
});
