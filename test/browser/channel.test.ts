import t from 'tap';
import { openChannel } from '../../lib/channel/index.js';
import type { Channel, ChannelEvents, ChannelLimits } from '../../lib/channel/types.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { systemEnv } from '../../lib/env-system.js';
import type { HopfairError } from '../../lib/errors.js';
import { createIdentitySeeds, Identity, type PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { skipped } from './chromium.js';
import type { ChannelConfig, ChannelReport } from './client/config.js';
import { PRIORITIES, patterned, SIZES } from './client/messages.js';
import { openPlaces, type Place, type Places } from './places.js';

/** It builds the package first, which takes long where many things run. */
t.setTimeout(240_000);

const NETWORK = 'browser-test';
const env = systemEnv();
const crypto = defaultCrypto();
const now = env.clock.unix();
const randomSeeds = () => createIdentitySeeds(systemRandomBytes);

/** Answers every browser that dials: what the channels of one test did at this end. */
class NodePeer {
  readonly identity: Identity = new Identity({ crypto, seeds: randomSeeds(), networkId: NETWORK, now });
  readonly #admitted = new Set<PeerId>();
  readonly #limits: Partial<ChannelLimits>;
  /** Called with each new channel. */
  onOpen: (channel: Channel) => void = () => undefined;
  channel: Channel | undefined;
  readonly failures: string[] = [];
  readonly ends: (HopfairError | undefined)[] = [];
  address = '';
  close: () => Promise<void> = async () => undefined;

  constructor(limits: Partial<ChannelLimits> = {}) {
    this.#limits = limits;
  }

  async listen(): Promise<void> {
    const limits = { maxMessageBytes: LIMITS.maxMessageBytes };
    const listener = await webSocketTransport().listen?.('ws://127.0.0.1:0', limits, connection => {
      const admit = (peer: PeerId): boolean => this.#admitted.has(peer);
      const policy = { env, crypto, identity: this.identity, networkId: NETWORK, limits: this.#limits };
      openChannel(connection, { ...policy, role: 'responder', admit }, this.#events);
    });
    if (listener === undefined) throw new Error('no listener');
    this.address = listener.address;
    this.close = () => listener.close();
  }

  readonly #events: ChannelEvents = {
    onChannel: channel => {
      this.channel = channel;
      const waiting: (() => boolean)[] = [];
      const send = (fn: () => boolean): void => {
        if (waiting.length > 0 || !fn()) waiting.push(fn);
      };
      channel.attach({
        onMessage: (message, priority) => send(() => channel.send(message, { priority })),
        onDrain: () => {
          while (waiting[0]?.()) waiting.shift();
        },
        onClose: cause => this.ends.push(cause),
      });
      this.onOpen(channel);
      for (const [tag, size] of SIZES.entries()) {
        for (const priority of PRIORITIES) send(() => channel.send(patterned(size, tag), { priority }));
      }
    },
    onFailed: error => this.failures.push(error.code),
  };

  /** What a browser of a new identity dials with. */
  invite({ admitted = true, networkId = NETWORK, peer = this.identity.peer } = {}): ChannelConfig {
    const seeds = randomSeeds();
    if (admitted) this.#admitted.add(new Identity({ crypto, seeds, networkId, now }).peer);
    return {
      address: this.address,
      networkId,
      peer,
      seeds: { identity: [...seeds.identity], static: [...seeds.static] },
    };
  }
}

t.test('a channel between Chromium and Node', { skip: skipped }, async t => {
  const places: Places = await openPlaces();
  t.teardown(() => places.close());
  const peer = new NodePeer();
  await peer.listen();
  t.teardown(() => peer.close());

  for (const place of ['page', 'worker', 'shared worker', 'sleeping page'] satisfies Place[]) {
    t.test(`from a ${place}: every size in every class, keys are replaced, and the end is authenticated`, async t => {
      const report = await places.run<ChannelReport>(place, 'exchange', peer.invite());
      const each = SIZES.length * PRIORITIES.length;
      t.equal(report.backend, 'noble', 'the backend of the browser');
      t.equal(crypto.name, 'node', 'the backend here');
      t.match(report, { received: each, echoed: 2 * each, wrong: 0 });
      t.equal(report.endedWith, undefined, 'the end is authenticated in the browser');
      t.equal(report.handshakeHash, peer.channel?.handshakeHash.join(), 'both ends are of one handshake');
      t.equal(report.keysBefore, 0, 'no key is replaced early');
      t.ok(report.keysAfter > 0, 'a key is replaced when its age is over');
      t.strictSame(peer.ends.splice(0), [undefined], 'the end is authenticated here too');
    });
  }

  for (const throttledTimers of [true, false]) {
    const outcome = throttledTimers ? 'is waited for' : 'is given up, when it had not declared late timers';
    t.test(`a page that its browser stops for a second ${outcome}`, async t => {
      const impatient = new NodePeer({ pingIntervalMs: 50, deadPeerTimeoutMs: 300 });
      await impatient.listen();
      t.teardown(() => impatient.close());
      const paused = new Promise<Channel>(resolve => {
        impatient.onOpen = channel => {
          channel.pause(); // so that the page cannot finish before it is stopped
          resolve(channel);
        };
      });
      const reporting = places.run<ChannelReport>('page', 'exchange', { ...impatient.invite(), throttledTimers });
      const channel = await paused;
      const thaw = await places.freeze();
      await new Promise(resolve => setTimeout(resolve, 1_000)); // how long it stands still, far beyond the 300 ms
      t.equal(channel.closed, !throttledTimers);
      await thaw();
      channel.resume();
      const { endedWith } = await reporting;
      t.equal(endedWith, throttledTimers ? undefined : 'CHANNEL_TRUNCATED');
      t.strictSame(
        impatient.ends.map(cause => cause?.code),
        [throttledTimers ? undefined : 'TIMEOUT'],
      );
    });
  }

  t.test('a browser of another network fails in the handshake', async t => {
    t.equal(await places.run('page', 'refusal', peer.invite({ networkId: 'another' })), 'HANDSHAKE_FAILED');
    t.strictSame(peer.failures.splice(0), ['HANDSHAKE_FAILED']);
  });

  t.test('a browser that is not admitted is told so in an authenticated end', async t => {
    t.equal(await places.run('page', 'refusal', peer.invite({ admitted: false })), 'NOT_ADMITTED');
    t.strictSame(peer.failures.splice(0), ['NOT_ADMITTED']);
  });

  t.test('a browser refuses a peer that is not the one it expects', async t => {
    const { peer: another } = new Identity({ crypto, seeds: randomSeeds(), networkId: NETWORK, now });
    t.equal(await places.run('page', 'refusal', peer.invite({ peer: another })), 'HANDSHAKE_FAILED');
  });

  t.test('a dial to nobody fails', async t => {
    t.equal(await places.run('page', 'refusal', { ...peer.invite(), address: 'ws://127.0.0.1:1' }), 'DIAL_FAILED');
  });

  t.test('nothing is thrown for nobody, and the content security policy refuses nothing', async t => {
    const unexpected = places.complaints.filter(line => !line.includes('ws://127.0.0.1:1'));
    t.strictSame(unexpected, []);
  });
});
