import t from 'tap';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { HopfairError } from '../../lib/errors.js';
import type { PeerId } from '../../lib/identity/peer-id.js';
import type { Messaging } from '../../lib/mesh/messaging.js';
import {
  type Fault,
  fakeCrypto,
  type LinkConditions,
  play,
  playSeed,
  type Scenario,
  Scheduler,
  SeededRng,
  SimMessagingNetwork,
  type SimProcess,
  SimTransportNetwork,
  SimWorld,
  Violation,
} from '../../lib/sim/index.js';
import type { Connection } from '../../lib/transport.js';

const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);
const asPeer = (name: string) => `hf1${name}` as PeerId;

t.test(
  'virtual time runs events by time, equal times in the order of scheduling, deferred calls before the next',
  async t => {
    const scheduler = new Scheduler();
    const ran: string[] = [];
    scheduler.after(2, () => ran.push('late'));
    scheduler.after(1, () => {
      ran.push('first');
      scheduler.defer(() => ran.push('deferred'));
    });
    scheduler.after(1, () => ran.push('second'));
    scheduler.after(1, () => ran.push('cancelled'))();
    scheduler.runFor(1);
    t.strictSame([ran, scheduler.nowMs], [['first', 'deferred', 'second'], 1]);
    scheduler.runUntil(10);
    t.strictSame([ran.at(-1), scheduler.nowMs, scheduler.executed], ['late', 10, 3]);

    const rng = new SeededRng('heap');
    const many = new Scheduler();
    const times: number[] = [];
    for (let i = 0; i < 2_000; i++) many.at(rng.int(500), () => times.push(many.nowMs));
    many.runFor(500);
    t.strictSame(
      times,
      [...times].sort((a, b) => a - b),
    );
    t.equal(times.length, 2_000);
  },
);

t.test('an event that defers for ever is an error, not a hang', async t => {
  const scheduler = new Scheduler();
  const again = () => scheduler.defer(again);
  scheduler.after(0, again);
  t.throws(() => scheduler.runFor(1), { code: 'INTERNAL' });
});

t.test('a process that wakes itself for ever at one instant is caught', async t => {
  const world = new SimWorld({ seed: 1 });
  world.addMachine('m').start(({ env }) => {
    const again = () => env.clock.schedule(0, again);
    again();
  });
  t.throws(() => world.scheduler.runFor(1_000), { code: 'INTERNAL' });
});

t.test('sources of chance repeat by seed, differ by fork, and a fork does not move its parent', async t => {
  const [a, b] = [new SeededRng(1), new SeededRng(1)];
  a.fork('x').bytes(64);
  t.strictSame(a.bytes(33), b.bytes(33));
  t.strictNotSame(new SeededRng(1).fork('x').bytes(16), new SeededRng(1).fork('y').bytes(16));
  const mean = Array.from({ length: 20_000 }, () => a.float()).reduce((x, y) => x + y) / 20_000;
  t.ok(Math.abs(mean - 0.5) < 0.01, 'the mean of uniform numbers is a half');
});

t.test('clocks err as told, timers are never early, and a dead process hears nothing', async t => {
  const world = new SimWorld({ seed: 1 });
  const machine = world.addMachine('m', { clock: { skewMs: 5_000, drift: 0.01 } });
  const right = world.addMachine('right');
  const fired: number[] = [];
  right.start(() => undefined);
  machine.start(({ env }) => {
    const start = env.clock.now();
    env.clock.schedule(100, () => fired.push(env.clock.now() - start));
    env.clock.schedule(900, () => fired.push(-1));
  });
  const clock = (machine.process as SimProcess).env.clock;
  const rightClock = (right.process as SimProcess).env.clock;
  t.equal(clock.unix() - rightClock.unix(), 5_000);
  world.scheduler.runFor(500);
  t.equal(clock.unix() - rightClock.unix(), 5_005, 'gains a hundredth');
  machine.jumpClock(-7_000);
  t.equal(clock.unix() - rightClock.unix(), -1_995);
  machine.crash();
  world.scheduler.runFor(1_000);
  t.equal(fired.length, 1, 'the timer of the dead process did not fire');
  t.ok((fired[0] as number) >= 100 && (fired[0] as number) < 100.1);
  t.strictSame(
    [world.faults.of('clock-skew'), world.faults.of('clock-drift'), world.faults.of('clock-jump')],
    [1, 1, 1],
  );
});

t.test('a paused process handles its inputs in order when it wakes', async t => {
  const world = new SimWorld({ seed: 1 });
  const machine = world.addMachine('m');
  const ran: [number, number][] = [];
  machine.start(({ env }) => {
    for (const delay of [10, 20, 30, 90])
      env.clock.schedule(delay, () => ran.push([delay, Math.round(world.scheduler.nowMs)]));
  });
  world.scheduler.runFor(15);
  machine.pause(45);
  world.scheduler.runFor(100);
  t.strictSame(ran, [
    [10, 10],
    [20, 60],
    [30, 60],
    [90, 90],
  ]);
  t.equal(world.faults.of('pause'), 2);
});

/** Two peers; returns what b received from a, and the messaging of both. */
function pair(seed: string, link: Partial<LinkConditions>) {
  const world = new SimWorld({ seed, link });
  const network = new SimMessagingNetwork(world);
  const got: string[] = [];
  const states: string[] = [];
  const ends = new Map<string, Messaging>();
  for (const name of ['a', 'b']) {
    world.addMachine(name).start(process => {
      const messaging = network.join(process, asPeer(name));
      ends.set(name, messaging);
      for (const service of ['x', 'y'])
        messaging.serve(service, (_, bytes) => got.push(`${name}${service}${bytes[0]}`));
      messaging.onPeer((peer, state) => states.push(`${name}: ${peer} ${state}`));
    });
  }
  return { world, got, states, end: (name: string) => ends.get(name) as Messaging };
}

t.test('messages survive loss, jitter and clogs: once each, in order per service', async t => {
  const { world, got, end } = pair('loss', { loss: 0.2, jitterMs: 5 });
  for (let i = 0; i < 200; i++) {
    world.scheduler.after(i, () => end('a').send(asPeer('b'), i % 2 === 0 ? 'x' : 'y', bytesOf(i)));
  }
  world.scheduler.after(50, () => world.network.clog('a', 'b', 40));
  world.scheduler.runFor(5_000);
  for (const [service, parity] of [
    ['x', 0],
    ['y', 1],
  ] as const) {
    const expected = Array.from({ length: 100 }, (_, i) => `b${service}${2 * i + parity}`);
    t.strictSame(
      got.filter(line => line[1] === service),
      expected,
    );
  }
  for (const fault of ['drop', 'jitter', 'clog', 'reorder'] satisfies Fault[]) t.ok(world.faults.of(fault) > 0, fault);
});

t.test('a lasting partition ends sessions at both ends, healing brings new ones with new secrets', async t => {
  const { world, got, states, end } = pair('partition', {});
  world.scheduler.runFor(100);
  const secret = end('a').exportSecret(asPeer('b'), 'pair', 32);
  t.strictSame(secret, end('b').exportSecret(asPeer('a'), 'pair', 32));
  t.strictNotSame(secret, end('a').exportSecret(asPeer('b'), 'other', 32));
  world.network.partitionOneWay(['a'], ['b']);
  end('a').send(asPeer('b'), 'x', bytesOf(1));
  end('b').send(asPeer('a'), 'x', bytesOf(2));
  world.scheduler.runFor(3_000);
  t.strictSame(got, ['ax2'], 'one way only');
  t.equal(end('a').exportSecret(asPeer('b'), 'pair', 32), undefined);
  world.network.heal();
  world.scheduler.runFor(1_000);
  for (const [self, peer] of ['ab', 'ba']) {
    const own = states.filter(line => line.startsWith(`${self}:`));
    t.strictSame(
      own,
      ['up', 'down', 'up'].map(state => `${self}: hf1${peer} ${state}`),
    );
  }
  t.strictNotSame(end('a').exportSecret(asPeer('b'), 'pair', 32), secret);
  end('a').send(asPeer('b'), 'x', bytesOf(3), { ttlMs: 0.5 });
  end('a').send(asPeer('b'), 'x', bytesOf(4), { ttlMs: 50 });
  world.scheduler.runFor(100);
  t.strictSame(got, ['ax2', 'bx4'], 'what is past its ttl is dropped');
  world.network.partition([['a'], ['b']]);
  end('a').send(asPeer('b'), 'x', bytesOf(5));
  world.network.partitionWithBridge(['a'], ['b']);
  world.scheduler.runFor(50);
  world.network.heal();
  world.scheduler.runFor(1_000);
  t.equal(got.at(-1), 'bx5', 'a short partition only delays');
  for (const kind of ['two-way', 'one-way', 'bridge'] as const) t.ok(world.faults.of(`partition-${kind}`) > 0, kind);
});

t.test('what a process sent before its crash arrives, and its next process gets a new session', async t => {
  const { world, got, states, end } = pair('crash', { delayMs: 10 });
  world.scheduler.runFor(100);
  end('a').send(asPeer('b'), 'x', bytesOf(1));
  world.machine('a')?.crash();
  world.scheduler.runFor(20);
  t.strictSame(got, ['bx1']);
  world.machine('a')?.restart();
  end('a').send(asPeer('b'), 'x', bytesOf(2));
  world.scheduler.runFor(2_000);
  t.strictSame(got, ['bx1', 'bx2']);
  t.strictSame(
    states.filter(s => s.startsWith('b')),
    ['b: hf1a up', 'b: hf1a down', 'b: hf1a up'],
  );
});

t.test('a sender that changes bytes after sending them is caught', async t => {
  const { world, end } = pair('mutation', {});
  world.scheduler.runFor(100);
  const bytes = bytesOf(1);
  end('a').send(asPeer('b'), 'x', bytes);
  bytes[0] = 2;
  t.throws(() => world.scheduler.runFor(100), { code: 'INTERNAL' });
});

t.test('the same seed gives the same trace, another seed another', async t => {
  const run = (seed: string) => {
    const { world, end } = pair(seed, { loss: 0.1, jitterMs: 3 });
    for (let i = 0; i < 50; i++) world.scheduler.after(3 * i, () => end('a').send(asPeer('b'), 'x', bytesOf(i)));
    world.scheduler.runFor(2_000);
    return world.trace.hash;
  };
  t.equal(run('1'), run('1'));
  t.not(run('1'), run('2'));
});

/** A connection from a to b, and everything that happens on its two ends. */
function connected(seed: string, link: Partial<LinkConditions>) {
  const world = new SimWorld({ seed, link });
  const network = new SimTransportNetwork(world);
  const limits = { maxMessageBytes: 65_600 };
  const events: string[] = [];
  const ends = new Map<string, Connection>();
  const attach = (name: string, connection: Connection) => {
    ends.set(name, connection);
    connection.attach({
      onMessage: message => events.push(`${name} ${message.length > 4 ? message.length : message.join()}`),
      onDrain: () => events.push(`${name} drain`),
      onClose: cause => events.push(`${name} closed ${cause?.code ?? 'in order'}`),
    });
  };
  world.addMachine('b').start(process => {
    network.transport(process).listen?.('sim://b:1', limits, connection => attach('b', connection));
  });
  world.addMachine('a').start(process => {
    network.transport(process).dial('sim://b:1', limits, {
      onConnection: connection => attach('a', connection),
      onError: error => events.push(error.code),
    });
  });
  world.scheduler.runFor(50);
  return { world, network, events, end: (name: string) => ends.get(name) as Connection };
}

t.test(
  'a connection is in order over loss, ends in order, and pushes back on a sender whose reader stands still',
  async t => {
    const { world, events, end } = connected('order', { loss: 0.2, jitterMs: 4 });
    for (let i = 0; i < 20; i++) end('a').send([bytesOf(i), bytesOf(i)]);
    world.scheduler.runFor(2_000);
    t.strictSame(
      events.splice(0),
      Array.from({ length: 20 }, (_, i) => `b ${i},${i}`),
    );

    end('b').pause();
    let accepted = 0;
    while (end('a').send([new Uint8Array(60_000)])) {
      accepted += 1;
      world.scheduler.runFor(200);
    }
    t.ok(accepted > 4 && accepted < 20, `${accepted} messages of 60 kB until push-back`);
    t.strictSame(events, [], 'nothing is read while paused');
    end('b').resume();
    world.scheduler.runFor(2_000);
    t.equal(events.filter(event => event === 'b 60000').length, accepted + 1);
    t.ok(events.includes('a drain'));
    t.equal(end('a').bufferedBytes, 0);

    events.length = 0;
    end('a').send([bytesOf(7)]);
    end('a').close();
    t.equal(end('a').send([bytesOf(8)]), false);
    world.scheduler.runFor(1_000);
    t.strictSame(events.sort(), ['a closed in order', 'b 7', 'b closed in order']);
  },
);

t.test('connections are corrupted, reset and silenced, and a message over the limit ends them', async t => {
  const corrupt = connected('corrupt', { corrupt: 1 });
  corrupt.end('a').send([bytesOf(0)]);
  corrupt.world.scheduler.runFor(100);
  t.match(corrupt.events, [/^b (1|2|4|8|16|32|64|128)$/]);
  t.equal(corrupt.world.faults.of('corrupt'), 1);

  const reset = connected('reset', { reset: 1 });
  reset.end('a').send([bytesOf(0)]);
  reset.world.scheduler.runFor(100);
  t.strictSame(reset.events.sort(), ['a closed CONNECTION_LOST', 'b closed CONNECTION_LOST']);
  t.equal(reset.world.faults.of('reset'), 1);

  const silent = connected('silent', {});
  silent.network.silence('a', 'b');
  silent.end('a').send([bytesOf(0)]);
  silent.world.scheduler.runFor(60_000);
  t.strictSame(silent.events, [], 'nobody is told');
  t.equal(silent.world.faults.of('dead-link'), 1);

  const large = connected('large', {});
  large.end('a').send([new Uint8Array(65_601)]);
  large.world.scheduler.runFor(100);
  t.strictSame(large.events.sort(), ['a closed CONNECTION_LOST', 'b closed LIMIT_EXCEEDED']);
});

/** A machine with one log; `records` is what it finds at each start. */
function withLog(seed: string, disk: Parameters<SimWorld['addMachine']>[1]) {
  const world = new SimWorld({ seed });
  const machine = world.addMachine('m', disk);
  const told: string[] = [];
  const found: { records: number[]; truncated: boolean }[] = [];
  let append: (byte: number) => void = () => undefined;
  const start = (process: SimProcess) => {
    const log = process.disk.openLog('log');
    found.push({ records: log.records.map(record => record[0] as number), truncated: log.truncated });
    append = byte =>
      log.store.append(
        [bytesOf(byte)],
        () => told.push(`durable ${byte}`),
        error => told.push(error.code),
      );
  };
  machine.start(start);
  return { world, machine, told, found, append: (byte: number) => append(byte) };
}

t.test('a crash loses what was not durable and nothing else, and tears at most one record', async t => {
  const totals = { lost: 0, torn: 0, truncated: 0 };
  for (let seed = 0; seed < 50; seed++) {
    const { world, machine, told, found, append } = withLog(`crash ${seed}`, {});
    for (const byte of [1, 2, 3]) append(byte);
    world.scheduler.runFor(10);
    t.strictSame(told, ['durable 1', 'durable 2', 'durable 3']);
    for (const byte of [4, 5, 6]) append(byte);
    machine.crash();
    machine.restart();
    world.scheduler.runFor(10);
    t.equal(told.length, 3, 'the dead process is told nothing');
    const { records, truncated } = found[1] as { records: number[]; truncated: boolean };
    t.strictSame(records, [1, 2, 3, 4, 5, 6].slice(0, records.length));
    t.ok(records.length >= 3);
    totals.lost += world.faults.of('lost-write');
    totals.torn += world.faults.of('torn-write');
    totals.truncated += truncated ? 1 : 0;
  }
  t.ok(totals.lost > 0 && totals.torn > 0);
  t.equal(totals.truncated, totals.torn, 'each torn record is seen at the next start');
});

t.test('a disk that lies about fsync loses what it reported as durable', async t => {
  let lies = 0;
  for (let seed = 0; seed < 20; seed++) {
    const { world, machine, told, found, append } = withLog(`lie ${seed}`, { disk: { fsyncLies: true, tornWrite: 0 } });
    for (const byte of [1, 2, 3]) append(byte);
    world.scheduler.runFor(10);
    machine.crash();
    machine.restart();
    t.equal(told.length, 3);
    t.equal((found[1]?.records.length ?? 0) + world.faults.of('fsync-lie'), 3);
    lies += world.faults.of('fsync-lie');
  }
  t.ok(lies > 0);
});

t.test('full and failing disks end the log, rot at the tail truncates, rot before it is corruption', async t => {
  const full = withLog('full', { disk: { capacityRecords: 2 } });
  for (const byte of [1, 2, 3, 4]) full.append(byte);
  full.world.scheduler.runFor(10);
  t.strictSame(
    full.told.filter(line => line.startsWith('durable')),
    [],
  );
  t.strictSame(full.told, Array(4).fill('STORAGE_FAILED'));
  const failing = withLog('failing', { disk: { ioError: 1 } });
  failing.append(1);
  failing.world.scheduler.runFor(10);
  t.strictSame([failing.told, failing.world.faults.of('io-error')], [['STORAGE_FAILED'], 1]);

  const rotten = withLog('rot', {});
  for (const byte of [1, 2, 3]) rotten.append(byte);
  rotten.world.scheduler.runFor(10);
  const { disk } = rotten.machine;
  const snapshot = disk.snapshot();
  rotten.machine.stop();
  t.ok(disk.rot('log', 'tail'));
  rotten.machine.restart();
  t.strictSame(rotten.found.at(-1), { records: [1, 2], truncated: true });
  rotten.machine.stop();
  t.ok(disk.rot('log', 'middle'));
  t.throws(() => rotten.machine.restart(), { code: 'STORAGE_CORRUPT' });
  rotten.machine.stop();
  disk.restore(snapshot);
  rotten.machine.restart();
  t.strictSame(rotten.found.at(-1), { records: [1, 2, 3], truncated: false }, 'an old snapshot looks whole');
});

t.test('the fake cryptography agrees with itself and detects what the real one detects', async t => {
  const rng = new SeededRng('crypto');
  for (const crypto of [fakeCrypto(), defaultCrypto()]) {
    const key = crypto.aead('ChaChaPoly').key(rng.bytes(32));
    const [nonce, aad, plaintext] = [rng.bytes(12), rng.bytes(5), rng.bytes(70)];
    const sealed = key.seal(nonce, aad, plaintext);
    t.strictSame(key.open(nonce, aad, sealed), plaintext);
    t.equal(sealed.length, 86);
    for (let bit = 0; bit < sealed.length * 8; bit += 7) {
      const flipped = sealed.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      if (key.open(nonce, aad, flipped) !== undefined) t.fail(`${crypto.name} opens with bit ${bit} flipped`);
    }
    t.equal(key.open(rng.bytes(12), aad, sealed), undefined);
    t.equal(key.open(nonce, rng.bytes(5), sealed), undefined);
    t.equal(crypto.aead('ChaChaPoly').key(rng.bytes(32)).open(nonce, aad, sealed), undefined);

    const [alice, bob] = [crypto.dhKeyPair(rng.bytes(32)), crypto.dhKeyPair(rng.bytes(32))];
    t.strictSame(alice.dh(bob.publicKey), bob.dh(alice.publicKey));
    t.throws(() => alice.dh(new Uint8Array(32)), HopfairError);

    const [signer, other] = [crypto.signer(rng.bytes(32)), crypto.signer(rng.bytes(32))];
    const signature = signer.sign(plaintext);
    t.ok(crypto.verify(signer.publicKey, plaintext, signature));
    t.notOk(crypto.verify(other.publicKey, plaintext, signature));
    t.notOk(crypto.verify(signer.publicKey, aad, signature));
    t.notOk(crypto.verify(signer.publicKey, plaintext, other.sign(plaintext)));

    const { publicKey, secretKey } = crypto.mlKem768.keyPair(rng.bytes(64));
    const { ciphertext, sharedSecret } = crypto.mlKem768.encapsulate(publicKey, rng.bytes(32));
    t.strictSame(crypto.mlKem768.decapsulate(ciphertext, secretKey), sharedSecret);
    const hash = crypto.hash('SHA256');
    t.strictSame(hash.digest(aad, plaintext), hash.digest(Uint8Array.from([...aad, ...plaintext])));
    t.strictNotSame(hash.hmac(aad, plaintext), hash.hmac(nonce, plaintext));
  }
});

t.test(
  'the runner reports failures by seed, repeats some seeds to compare traces, and names faults that never came',
  async t => {
    let plays = 0;
    const scenario: Scenario = {
      name: 'runner',
      faults: ['crash', 'drop'],
      play: (world, seed) => {
        plays += 1;
        world
          .addMachine('m')
          .start(({ env }) => env.clock.schedule(1, () => world.note('tick', seed === 20 ? plays : 0)));
        world.scheduler.runFor(10);
        world.machine('m')?.crash();
        if (seed === 7) throw new Violation('example', 'it broke');
      },
    };
    const seen: number[] = [];
    const summary = await play({
      scenarios: [scenario],
      firstSeed: 0,
      seeds: 41,
      onReport: ({ seed }) => seen.push(seed),
    });
    t.equal(plays, 41 + 3, 'seeds 0, 20 and 40 are played twice');
    t.strictSame(
      summary.failures.map(({ seed, failure }) => [seed, failure?.message]),
      [
        [7, 'example: it broke'],
        [20, 'determinism: two runs of the seed differ'],
      ],
    );
    t.strictSame([summary.idleFaults, summary.faults.of('crash')], [['drop'], 41]);
    t.strictSame(
      seen,
      Array.from({ length: 41 }, (_, i) => i),
    );
    const report = await playSeed(scenario, 7, 2);
    t.match(report.tail, [/ tick /, / stop m /]);
  },
);

t.test('programs that await promises run between events, in virtual time', async t => {
  const world = new SimWorld({ seed: 1 });
  const times: number[] = [];
  world.addMachine('m').start(({ env }) => {
    const sleep = (ms: number) => new Promise<void>(resolve => env.clock.schedule(ms, resolve));
    void (async () => {
      for (const ms of [5, 10, 20]) {
        await sleep(ms);
        times.push(Math.round(world.scheduler.nowMs));
      }
    })();
  });
  await world.scheduler.runForAsync(100);
  t.strictSame([times, world.scheduler.nowMs], [[5, 15, 35], 100]);
});
