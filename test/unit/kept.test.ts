import t from 'tap';
import { fromUtf8 } from '../../lib/bytes.js';
import { nobleCrypto } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import { Identity, KnownPeers } from '../../lib/identity/index.js';
import { keepEpochs, nextRunEpoch, restoreEpochs } from '../../lib/mesh/kept.js';
import { memoryStore, type NodeStore } from '../../lib/storage/index.js';
import { manualEnv } from '../support/manual-env.js';

const crypto = nobleCrypto();
const NOW = unixMs(1_700_000_000_000);
const seeds = { identity: new Uint8Array(32).fill(1), static: new Uint8Array(32).fill(2) };
const certificate = (epoch: number) => new Identity({ crypto, seeds, networkId: 'net', now: NOW, epoch }).certificate;

t.test('each run of a node has a higher number than those before, also when its clock went back', async t => {
  const env = manualEnv();
  const records = new Map<string, Uint8Array>();
  const first = nextRunEpoch(env, memoryStore(records));
  t.equal(first, env.clock.unix());
  const past = { ...env, clock: { ...env.clock, unix: () => unixMs(first - 3_600_000) } };
  t.equal(nextRunEpoch(past, memoryStore(records)), first + 1);
  t.equal(nextRunEpoch(past, memoryStore(records)), first + 2);
  const future = { ...env, clock: { ...env.clock, unix: () => unixMs(first + 3_600_000) } };
  t.equal(nextRunEpoch(future, memoryStore(records)), first + 3_600_000);
  t.equal(nextRunEpoch(past, undefined), first - 3_600_000, 'without a store it is the clock alone');
});

t.test('a certificate that was superseded before a restart is refused after it', async t => {
  const env = manualEnv();
  const records = new Map<string, Uint8Array>();
  const before = new KnownPeers();
  const stop = keepEpochs(env, memoryStore(records), before);
  before.remember(certificate(7), NOW);
  stop();
  const after = new KnownPeers();
  restoreEpochs(memoryStore(records), after);
  t.throws(() => after.requireNewest(certificate(6), NOW), { code: 'CERTIFICATE_SUPERSEDED' });
  after.requireNewest(certificate(7), NOW);
  t.equal(after.staticKey(certificate(7).peer, NOW), undefined, 'its key is asked for again');
  after.remember(certificate(7), NOW);
  t.strictSame(after.staticKey(certificate(7).peer, NOW), certificate(7).staticKey);
});

t.test('what was seen is written within ten seconds, and not again while nothing new is seen', async t => {
  const env = manualEnv();
  let writes = 0;
  const store = memoryStore();
  const counting: NodeStore = {
    ...store,
    set: (...args) => {
      writes += 1;
      store.set(...args);
    },
  };
  const known = new KnownPeers();
  const stop = keepEpochs(env, counting, known);
  known.remember(certificate(7), NOW);
  known.remember(certificate(7), NOW);
  env.advance(10_000);
  env.advance(30_000);
  stop();
  t.equal(writes, 1);
});

t.test('a record of another format is corruption, and never an empty memory', async t => {
  const store = memoryStore();
  store.set('certificate-epochs', fromUtf8('x'), () => undefined);
  t.throws(() => restoreEpochs(store, new KnownPeers()), { code: 'STORAGE_CORRUPT', message: /certificate-epochs/ });
  store.set('run-epoch', fromUtf8('123456789'), () => undefined);
  t.throws(() => nextRunEpoch(manualEnv(), store), { code: 'STORAGE_CORRUPT', message: /run-epoch/ });
});
