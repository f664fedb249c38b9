import t from 'tap';
import { EffectQueue, type OutwardEffect } from '../../lib/broadcast/effect-queue.js';
import { Ledger } from '../../lib/broadcast/ledger.js';
import { LogAgreement } from '../../lib/broadcast/log-agreement.js';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { HopfairError } from '../../lib/errors.js';
import type { PeerId } from '../../lib/identity/index.js';
import type { BatchPage } from '../../lib/order/client-messages.js';
import type { MemberEffect } from '../../lib/order/member-io.js';
import { toleranceOf } from '../../lib/order/tolerance.js';
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

/** The batch cut into pages of at most `size` entries. */
function pagesOf({ entries, ...rest }: Batch, size = 100): BatchPage[] {
  const pages: BatchPage[] = [];
  for (let offset = 0; offset < entries.length; offset += size) {
    const part = entries.slice(offset, offset + size);
    pages.push({ kind: 'batch', ...rest, count: entries.length, offset, entries: part });
  }
  return pages;
}

const agreementFrom = (index: number): LogAgreement => new LogAgreement(crypto, toleranceOf(4), index);

const say = (agreement: LogAgreement, member: number, ...batches: Batch[]): boolean[] =>
  batches.flatMap(batch => pagesOf(batch).map(page => agreement.page(member, page)));

t.test('a batch counts when f+1 members tell it alike, to the last byte of the last payload', async t => {
  const agreement = agreementFrom(0);
  say(agreement, 0, batchOf(1, 0, 2));
  t.equal(agreement.takeAgreed(), undefined);
  say(agreement, 0, batchOf(1, 0, 2));
  t.equal(agreement.takeAgreed(), undefined, 'one member twice is one member');
  say(agreement, 1, batchOf(1, 0, 2, 'forged'));
  t.equal(agreement.takeAgreed(), undefined);
  say(agreement, 2, batchOf(1, 0, 2));
  t.strictSame(agreement.takeAgreed(), batchOf(1, 0, 2));
  t.equal(agreement.takeAgreed(), undefined, 'once');
  t.equal(agreement.next, 2);
});

t.test('members that run ahead or lag behind are put together, and no entry is skipped or repeated', async t => {
  const agreement = agreementFrom(0);
  const log = [batchOf(1, 0, 3), batchOf(4, 3, 1), batchOf(5, 4, 2)];
  say(agreement, 0, ...log);
  t.equal(agreement.aheadOf(0), 3);
  const seen: number[] = [];
  const take = (): void => {
    for (let batch = agreement.takeAgreed(); batch !== undefined; batch = agreement.takeAgreed())
      seen.push(...batch.entries.map(({ index }) => index));
  };
  say(agreement, 1, ...log.slice(0, 1));
  take();
  t.strictSame(seen, [0, 1, 2]);
  say(agreement, 3, ...log.slice(0, 2));
  take();
  say(agreement, 2, ...log);
  take();
  t.strictSame(seen, [0, 1, 2, 3, 4, 5]);
  t.equal(agreement.aheadOf(0), 0);
});

t.test(
  'pages make a batch in their order only; a page that does not follow asks for the member to begin again',
  async t => {
    const agreement = agreementFrom(0);
    const batch = batchOf(1, 0, 5);
    const [one, two, three] = pagesOf(batch, 2) as [BatchPage, BatchPage, BatchPage];
    t.strictSame(
      [one, three].map(page => agreement.page(0, page)),
      [true, false],
    );
    agreement.restart(0);
    t.equal(agreement.page(0, two), false, 'the middle of a batch after a new beginning');
    for (const page of [one, two, three]) t.ok(agreement.page(0, page));
    for (const page of pagesOf(batch, 3)) t.ok(agreement.page(1, page));
    t.strictSame(agreement.takeAgreed(), batch, 'however each member cut it');
    t.notOk(agreement.page(0, pagesOf(batchOf(3, 6, 1))[0] as BatchPage), 'entry 5 is missing');
    t.ok(agreement.page(0, one), 'what was told before is ignored');
  },
);

t.test('a reader that begins inside a batch gets the batch that holds its entry', async t => {
  const agreement = agreementFrom(2);
  for (const member of [0, 1]) say(agreement, member, batchOf(1, 0, 4));
  t.equal(agreement.takeAgreed()?.firstIndex, 0);
  t.equal(agreement.next, 4);
});

t.test(
  'a gap is reported only when fewer than f+1 members may hold the entry, at a place that enough hold',
  async t => {
    const agreement = agreementFrom(0);
    agreement.gap(0, 1_000_000);
    agreement.gap(1, 50);
    t.equal(agreement.takeGap(), undefined, 'two others may hold it');
    agreement.gap(2, 40);
    const index = agreement.takeGap() ?? 0;
    t.ok(index >= 50, 'two honest members hold everything from here on');
    t.equal(agreement.next, index);
    t.equal(agreement.takeGap(), undefined, 'once');
  },
);

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
