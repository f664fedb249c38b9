/**
 * What every transport must do, as named cases that throw when it does not. They need no test framework: run each with
 * `await case.run()`. A person who writes a transport runs them against it; ours and the simulator's pass them all.
 *
 * @example
 * for (const { name, run } of transportConformance({ makeTransport, listenAddress, deadAddress })) test(name, run);
 */
import assert from 'node:assert/strict';
import type { HopfairError } from '../../lib/errors.js';
import type { Connection, Listener, Transport } from '../../lib/transport.js';

export interface TransportUnderTest {
  /** A fresh transport for each case. */
  readonly makeTransport: () => Transport;
  /** An address to listen on, any port, e.g. `tcp://127.0.0.1:0`. */
  readonly listenAddress: string;
  /** A well-formed address where nobody listens. */
  readonly deadAddress: string;
}

export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

const MAX_BYTES = 65_600;
const GUARD_MS = 10_000;

/** Fails instead of hanging for ever; never what a case measures. */
async function guarded<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen`)), GUARD_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Records what a connection hands over, with copies of the messages, and lets a case wait for it. */
class Recorder {
  readonly connection: Connection;
  readonly messages: Uint8Array[] = [];
  readonly closes: (HopfairError | undefined)[] = [];
  drains = 0;
  #changed: () => void = () => undefined;
  #inCall = false;

  constructor(connection: Connection, attach = true) {
    this.connection = connection;
    if (attach) this.attach();
  }

  attach(): void {
    this.inCall(() =>
      this.connection.attach({
        onMessage: message => this.#note(() => this.messages.push(new Uint8Array(message))),
        onDrain: () => this.#note(() => this.drains++),
        onClose: cause => this.#note(() => this.closes.push(cause)),
      }),
    );
  }

  /** Runs calls to the connection during which no handler may be called. */
  inCall(fn: () => void): void {
    this.#inCall = true;
    fn();
    this.#inCall = false;
  }

  #note(fn: () => void): void {
    assert.equal(this.#inCall, false, 'a handler was called from within a call');
    fn();
    this.#changed();
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const met = new Promise<void>(resolve => {
      const look = (): void => {
        if (condition()) resolve();
      };
      this.#changed = look;
      look();
    });
    await guarded(what, met);
  }

  async untilMessages(count: number): Promise<void> {
    await this.until(`${count} messages`, () => this.messages.length >= count);
    assert.equal(this.messages.length, count);
  }

  async untilClosed(): Promise<HopfairError | undefined> {
    await this.until('onClose', () => this.closes.length > 0);
    await quiet();
    assert.equal(this.closes.length, 1, 'onClose was called more than once');
    return this.closes[0];
  }
}

/** Lets everything that is under way arrive: a few turns of the loop, for cases that say that nothing more comes. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setTimeout(resolve, 2));
}

interface Pair {
  readonly near: Connection;
  readonly far: Connection;
  readonly listener: Listener;
}

function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 17) & 0xff;
  return bytes;
}

async function connectPair(under: TransportUnderTest, transport: Transport, maxMessageBytes: number): Promise<Pair> {
  assert.ok(transport.listen, 'the cases need a transport that can listen');
  let accepted: (connection: Connection) => void = () => undefined;
  const far = new Promise<Connection>(resolve => {
    accepted = resolve;
  });
  const listener = await transport.listen(under.listenAddress, { maxMessageBytes }, connection => accepted(connection));
  const near = new Promise<Connection>((resolve, reject) => {
    transport.dial(listener.address, { maxMessageBytes }, { onConnection: resolve, onError: reject });
  });
  return { near: await guarded('the dial', near), far: await guarded('the accept', far), listener };
}

export function transportConformance(under: TransportUnderTest): readonly ConformanceCase[] {
  const cases: ConformanceCase[] = [];

  /** A case over one connection, of which both ends are destroyed afterwards. */
  const onPair = (name: string, run: (pair: Pair) => Promise<void>, maxMessageBytes = MAX_BYTES): void => {
    cases.push({
      name,
      run: async () => {
        const pair = await connectPair(under, under.makeTransport(), maxMessageBytes);
        try {
          await run(pair);
        } finally {
          pair.near.destroy();
          pair.far.destroy();
          await pair.listener.close();
        }
      },
    });
  };

  const onTransport = (name: string, run: (transport: Transport) => Promise<void>): void => {
    cases.push({ name, run: () => run(under.makeTransport()) });
  };

  onPair('messages arrive in order, whole and separate, in both directions', async ({ near, far }) => {
    const here = new Recorder(near);
    const there = new Recorder(far);
    for (let i = 0; i < 200; i++) {
      here.inCall(() => near.send([bytesOf(i * 7, i)]));
      there.inCall(() => far.send([bytesOf(i * 3, i)]));
    }
    await there.untilMessages(200);
    await here.untilMessages(200);
    for (let i = 0; i < 200; i++) {
      assert.deepEqual(there.messages[i], bytesOf(i * 7, i));
      assert.deepEqual(here.messages[i], bytesOf(i * 3, i));
    }
  });

  onPair('empty messages and messages of the largest size arrive', async ({ near, far }) => {
    const there = new Recorder(far);
    new Recorder(near);
    for (const length of [0, MAX_BYTES, 0, 1, MAX_BYTES - 1, 125, 126, 65_535, 65_536]) near.send([bytesOf(length, 1)]);
    await there.untilMessages(9);
    assert.deepEqual(
      there.messages.map(message => message.length),
      [0, MAX_BYTES, 0, 1, MAX_BYTES - 1, 125, 126, 65_535, 65_536],
    );
    assert.deepEqual(there.messages[1], bytesOf(MAX_BYTES, 1));
  });

  onPair(
    'a message above the limit of the receiver is not delivered and closes the connection with LIMIT_EXCEEDED',
    async ({ near, far }) => {
      const here = new Recorder(near);
      const there = new Recorder(far);
      near.send([bytesOf(1_000, 0)]);
      near.send([bytesOf(1_001, 0)]);
      assert.equal((await there.untilClosed())?.code, 'LIMIT_EXCEEDED');
      assert.deepEqual(
        there.messages.map(message => message.length),
        [1_000],
      );
      await here.untilClosed();
    },
    1_000,
  );

  onPair(
    'a lowered limit holds, up to the message that raises it, and no further than the transport was told',
    async ({ near, far }) => {
      const lengths: number[] = [];
      const closes: (HopfairError | undefined)[] = [];
      far.limitMessages(100);
      far.attach({
        onMessage: message => {
          lengths.push(message.length);
          if (message.length === 100) far.limitMessages(2_000);
          if (message.length === 2_000) far.limitMessages(2 * MAX_BYTES);
          if (message.length === MAX_BYTES) far.limitMessages(200);
        },
        onDrain: () => undefined,
        onClose: cause => closes.push(cause),
      });
      const here = new Recorder(near);
      for (const length of [100, 2_000, MAX_BYTES, 200, 201, 1]) near.send([bytesOf(length, length)]);
      await here.untilClosed();
      for (let turn = 0; turn < 100 && closes.length === 0; turn++) await quiet();
      assert.deepEqual(lengths, [100, 2_000, MAX_BYTES, 200]);
      assert.equal(closes[0]?.code, 'LIMIT_EXCEEDED');
    },
  );

  onPair('the parts of a message are joined in order, however many', async ({ near, far }) => {
    const there = new Recorder(far);
    new Recorder(near);
    const whole = bytesOf(60_000, 5);
    for (const size of [1, 7, 1_000, 30_000, 60_000]) {
      const parts: Uint8Array[] = [];
      for (let at = 0; at < whole.length; at += size) parts.push(whole.subarray(at, at + size));
      near.send(parts);
    }
    near.send([]);
    await there.untilMessages(6);
    for (const message of there.messages.slice(0, 5)) assert.deepEqual(message, whole);
    assert.equal(there.messages[5]?.length, 0);
  });

  onPair('send answers false when too much is buffered, and onDrain follows', async ({ near, far }) => {
    const here = new Recorder(near);
    const there = new Recorder(far);
    there.inCall(() => far.pause());
    let sent = 0;
    const chunk = bytesOf(MAX_BYTES, 2);
    const fill = (): void => {
      let accepted = true;
      while (accepted && sent < 1_000) {
        accepted = near.send([chunk]);
        sent++;
      }
    };
    // The network below takes some of it: fill until it does not.
    for (let round = 0; round < 50 && near.bufferedBytes === 0; round++) {
      here.inCall(fill);
      await quiet();
    }
    assert.ok(sent < 1_000, 'send never answered false');
    assert.ok(near.bufferedBytes > 0);
    const drains = here.drains;
    there.inCall(() => far.resume());
    await here.until('onDrain', () => here.drains > drains);
    await there.untilMessages(sent);
  });

  onPair(
    'nothing is delivered while paused, from the very call on, and all of it after resume',
    async ({ near, far }) => {
      new Recorder(near);
      const order: string[] = [];
      let paused = false;
      const done = new Promise<void>(resolve => {
        far.attach({
          onMessage: message => {
            assert.equal(paused, false, 'a message was delivered while paused');
            order.push(String(message[0]));
            if (message[0] === 3) {
              paused = true;
              far.pause();
              void quiet().then(() => {
                paused = false;
                far.resume();
              });
            }
            if (order.length === 10) resolve();
          },
          onDrain: () => undefined,
          onClose: () => undefined,
        });
      });
      for (let i = 0; i < 10; i++) near.send([Uint8Array.of(i)]);
      await guarded('ten messages', done);
      assert.equal(order.join(), '0,1,2,3,4,5,6,7,8,9');
    },
  );

  onPair('close lets everything that was sent arrive, then closes both ends without a cause', async ({ near, far }) => {
    const here = new Recorder(near);
    const there = new Recorder(far);
    for (let i = 0; i < 100; i++) near.send([bytesOf(20_000, i)]);
    here.inCall(() => near.close());
    assert.equal(near.send([bytesOf(1, 1)]), false);
    await there.untilMessages(100);
    assert.deepEqual(there.messages[99], bytesOf(20_000, 99));
    assert.equal(await there.untilClosed(), undefined);
    assert.equal(await here.untilClosed(), undefined);
    assert.equal(there.messages.length, 100);
  });

  onPair('destroy closes both ends at once and delivers nothing more', async ({ near, far }) => {
    const here = new Recorder(near);
    const there = new Recorder(far);
    far.send([bytesOf(10, 1)]);
    here.inCall(() => near.destroy());
    here.inCall(() => near.destroy());
    assert.equal(near.send([bytesOf(1, 1)]), false);
    assert.equal(await here.untilClosed(), undefined);
    assert.equal(here.messages.length, 0);
    await there.untilClosed();
    assert.equal(far.send([bytesOf(1, 1)]), false);
  });

  onPair('both ends may close at the same time', async ({ near, far }) => {
    const here = new Recorder(near);
    const there = new Recorder(far);
    near.close();
    far.close();
    await here.untilClosed();
    await there.untilClosed();
  });

  onPair('what arrives before attach, the end included, is delivered after it', async ({ near, far }) => {
    new Recorder(near);
    for (let i = 0; i < 50; i++) near.send([bytesOf(i, i)]);
    near.close();
    await quiet();
    const there = new Recorder(far, false);
    there.attach();
    await there.untilMessages(50);
    assert.equal(await there.untilClosed(), undefined);
  });

  onPair('a burst of 10,000 messages arrives whole', async ({ near, far }) => {
    const there = new Recorder(far);
    new Recorder(near);
    for (let i = 0; i < 10_000; i++) near.send([Uint8Array.of(i & 0xff, i >> 8)]);
    await there.untilMessages(10_000);
    for (let i = 0; i < 10_000; i++) assert.deepEqual(there.messages[i], Uint8Array.of(i & 0xff, i >> 8));
  });

  onPair('the remote address is told', async ({ near, far }) => {
    assert.notEqual(near.remoteAddress, '');
    assert.notEqual(far.remoteAddress, '');
  });

  onTransport('a dial to nobody, or to no address at all, fails with its code after the call', async transport => {
    for (const [address, code] of [
      [under.deadAddress, 'DIAL_FAILED'],
      ['nonsense', transport.schemes.includes('memory') ? 'DIAL_FAILED' : 'ADDRESS_INVALID'],
    ] as const) {
      let dialling = true;
      const failed = new Promise<HopfairError>((resolve, reject) => {
        transport.dial(
          address,
          { maxMessageBytes: MAX_BYTES },
          {
            onConnection: () => reject(new Error('somebody was there')),
            onError: error => (dialling ? reject(new Error('called within dial')) : resolve(error)),
          },
        );
      });
      dialling = false;
      assert.equal((await guarded('onError', failed)).code, code);
    }
  });

  onTransport('a dial that is cancelled calls nobody, and the listener loses nothing but that', async transport => {
    assert.ok(transport.listen);
    const listener = await transport.listen(under.listenAddress, { maxMessageBytes: MAX_BYTES }, connection => {
      new Recorder(connection);
      connection.close();
    });
    for (const address of [listener.address, under.deadAddress]) {
      let called = false;
      const note = (): void => {
        called = true;
      };
      const cancel = transport.dial(address, { maxMessageBytes: MAX_BYTES }, { onConnection: note, onError: note });
      cancel();
      cancel();
      await quiet();
      assert.equal(called, false);
    }
    await listener.close();
  });

  onTransport('a closed listener refuses dials while its connections live on', async transport => {
    const { near, far, listener } = await connectPair(under, transport, MAX_BYTES);
    await guarded('close', listener.close());
    const there = new Recorder(far);
    new Recorder(near);
    near.send([bytesOf(5, 5)]);
    await there.untilMessages(1);
    const failed = new Promise<HopfairError>((resolve, reject) => {
      const onConnection = (): void => reject(new Error('it still listens'));
      transport.dial(listener.address, { maxMessageBytes: MAX_BYTES }, { onConnection, onError: resolve });
    });
    assert.equal((await guarded('onError', failed)).code, 'DIAL_FAILED');
    near.destroy();
    far.destroy();
  });

  onTransport('an address that is taken cannot be listened on', async transport => {
    assert.ok(transport.listen);
    const limits = { maxMessageBytes: MAX_BYTES };
    const listener = await transport.listen(under.listenAddress, limits, connection => connection.destroy());
    await assert.rejects(
      transport.listen(listener.address, limits, connection => connection.destroy()),
      { code: 'LISTEN_FAILED' },
    );
    await listener.close();
  });

  return cases;
}
