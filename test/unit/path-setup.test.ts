import t from 'tap';
import type { Channel } from '../../lib/channel/index.js';
import { Identity, type PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { RefusedEvent } from '../../lib/mesh/index.js';
import {
  DATA_FORWARD,
  dataHeader,
  decodeNeighbourFrame,
  encodeNeighbourFrame,
  encodePathSetup,
  isDataFrame,
  type NeighbourFrame,
  NO_TTL,
  type PathSetup,
} from '../../lib/wire/index.js';
import { MeshWorld } from '../support/mesh-world.js';

interface Neighbour {
  readonly identity: Identity;
  readonly channel: Channel;
  readonly control: NeighbourFrame[];
  readonly data: Uint8Array[];
}

/** A relay between two neighbours that speak the wire by hand. */
async function setUp() {
  const mesh = new MeshWorld({ realCrypto: true });
  const relay = mesh.add('relay', [], { relay: true });
  const events: RefusedEvent[] = [];
  relay.node.on('refused', event => events.push(event));
  const identity = (n: number): Identity => {
    const seeds = { identity: new Uint8Array(32).fill(n), static: new Uint8Array(32).fill(n + 100) };
    const made = new Identity({ crypto: mesh.crypto, seeds, networkId: 'test', now: mesh.unixMs('relay') });
    mesh.membership.allow(made.peer);
    return made;
  };
  const neighbour = async (n: number): Promise<Neighbour> => {
    const own = identity(n);
    const control: NeighbourFrame[] = [];
    const data: Uint8Array[] = [];
    const channel = await mesh.rawChannel('relay', own, () => ({
      onMessage: message => {
        if (isDataFrame(message)) data.push(message);
        else control.push(decodeNeighbourFrame(message));
      },
      onDrain: () => undefined,
      onClose: () => undefined,
    }));
    return { identity: own, channel, control, data };
  };
  const left = await neighbour(1);
  const right = await neighbour(2);
  let nonce = 0;
  let label = 0;
  const message = new Uint8Array(40).fill(3);
  /** A set-up from left to right over the relay, but for what is given; signed by its source. */
  const setup = (changes: Partial<PathSetup> = {}, signer: Identity = left.identity, networkId = 'test') => {
    const body = encodePathSetup({
      source: signer.peer,
      destination: right.identity.peer,
      relays: [relay.peer],
      epoch: 1,
      nonce: new Uint8Array(16).fill(++nonce),
      expiresAtUnixMs: mesh.unixMs('relay') + 5_000,
      purpose: 'handshake',
      messageHash: mesh.crypto.hash('SHA256').digest(message),
      ...changes,
    });
    const from = networkId === 'test' ? signer : elsewhere(networkId);
    return { kind: 'path-setup', label: ++label, body, signature: from.sign('path-setup', 1, body), message } as const;
  };
  const elsewhere = (networkId: string): Identity => {
    const seeds = { identity: new Uint8Array(32).fill(1), static: new Uint8Array(32).fill(101) };
    return new Identity({ crypto: mesh.crypto, seeds, networkId, now: mesh.unixMs('relay') });
  };
  /** Sends it, and tells what came back upstream and how many set-ups went on. */
  const send = async (frame: NeighbourFrame, from: Neighbour = left): Promise<{ closed: string[]; passed: number }> => {
    const passedBefore = right.control.filter(({ kind }) => kind === 'path-setup').length;
    from.control.length = 0;
    from.channel.send(encodeNeighbourFrame(frame));
    await mesh.run(100);
    const closed = from.control.flatMap(back => (back.kind === 'path-close' ? [back.reason] : []));
    return { closed, passed: right.control.filter(({ kind }) => kind === 'path-setup').length - passedBefore };
  };
  return { mesh, relay, left, right, setup, send, events, message, identity, neighbour };
}

type World = Awaited<ReturnType<typeof setUp>>;

const TAKEN = { closed: [], passed: 1 };
const REFUSED = { closed: ['refused'], passed: 0 };

const hour = 3_600_000;
const REFUSALS: readonly (readonly [string, string, (world: World) => NeighbourFrame])[] = [
  ['the hash of another message', 'another message', ({ setup }) => setup({ messageHash: new Uint8Array(32) })],
  ['another message than was signed', 'another message', ({ setup }) => ({ ...setup(), message: new Uint8Array(40) })],
  [
    'a signature of somebody else',
    'bad signature',
    ({ setup, left, right }) => ({ ...setup({ source: left.identity.peer }, right.identity) }),
  ],
  ['a signature for another network', 'bad signature', ({ setup }) => setup({}, undefined, 'elsewhere')],
  [
    'a signature over another body',
    'bad signature',
    ({ setup, left }) => ({ ...setup(), signature: left.identity.sign('path-setup', 1, new Uint8Array(1)) }),
  ],
  [
    'a source that did not send it through this neighbour',
    'previous hop is another peer',
    ({ setup, right, left }) => setup({ source: right.identity.peer, destination: left.identity.peer }, right.identity),
  ],
  [
    'a route that leads over somebody else before here',
    'previous hop is another peer',
    ({ setup, identity, relay }) => setup({ relays: [identity(9).peer, relay.peer] }),
  ],
  [
    'a route that does not lead here',
    'not on the route',
    ({ setup, identity }) => setup({ relays: [identity(9).peer] }),
  ],
  ['a route that begins here', 'malformed', ({ setup, relay }) => setup({ source: relay.peer, relays: [relay.peer] })],
  ['an expiry long ago', 'expired', ({ setup }) => setup({ expiresAtUnixMs: 1_000 })],
  [
    'an expiry too far away',
    'expires too late',
    ({ setup, mesh }) => setup({ expiresAtUnixMs: mesh.unixMs('relay') + hour }),
  ],
  [
    'a destination that is no member',
    'destination not admitted',
    ({ setup, identity, mesh }) => {
      const { peer } = identity(9);
      mesh.membership.revoke(peer);
      return setup({ destination: peer });
    },
  ],
  ['a body that is cut off', 'malformed', ({ setup }) => ({ ...setup(), body: new Uint8Array(70) })],
];

for (const [what, reason, make] of REFUSALS) {
  t.test(`a set-up with ${what} is refused, counted and told`, async t => {
    const world = await setUp();
    t.same(await world.send(world.setup()), TAKEN, 'a right one passes');
    t.same(await world.send(make(world)), REFUSED);
    t.equal(world.relay.node.diagnostics().refusals.get(reason), 1);
    t.match(world.events, [{ from: world.left.identity.peer, reason, count: 1 }]);
    t.same(await world.send(world.setup()), TAKEN, 'and the next right one');
  });
}

t.test('a set-up counts once, and neither a copy nor a third peer that saw it can use it', async t => {
  const { send, setup, relay, neighbour } = await setUp();
  const frame = setup();
  t.same(await send(frame), TAKEN);
  t.same(await send({ ...frame, label: 77 }), REFUSED, 'again');
  const third = await neighbour(5);
  t.same(await send({ ...frame, label: 1 }, third), REFUSED, 'through a third peer');
  t.same(
    [...relay.node.diagnostics().refusals],
    [
      ['replayed', 1],
      ['previous hop is another peer', 1],
    ],
  );
});

t.test('a label is named once on a link; its path carries data, until the destination closes it upstream', async t => {
  const { mesh, left, right, setup, send, relay } = await setUp();
  const frame = setup();
  t.same(await send(frame), TAKEN);
  t.same(await send({ ...setup(), label: frame.label }), { closed: ['limit'], passed: 0 }, 'the label is taken');
  const opened = right.control.find(control => control.kind === 'path-setup');
  const header = { kind: DATA_FORWARD, label: frame.label, ttlMs: NO_TTL, urgent: false, phase: 0, path: 0, packet: 1 };
  const data = new Uint8Array(64);
  data.set(dataHeader({ ...header, kind: DATA_FORWARD, phase: 0 }));
  left.channel.send(data);
  await mesh.run(100);
  t.equal(right.data.length, 1);
  left.control.length = 0;
  const close = { kind: 'path-close', label: opened?.label ?? 0, forward: false, reason: 'done' } as const;
  right.channel.send(encodeNeighbourFrame(close));
  await mesh.run(100);
  t.same(
    left.control.filter(({ kind }) => kind === 'path-close'),
    [{ ...close, label: frame.label }],
  );
  left.channel.send(data);
  await mesh.run(100);
  t.equal(right.data.length, 1, 'what comes later is dropped');
  t.equal(relay.node.diagnostics().switch.unknownLabel, 1);
});

t.test('a neighbour sets up twenty paths a second and a burst, and is told the limit', async t => {
  const { mesh, left, setup, relay, right, events, identity } = await setUp();
  const sources: readonly Identity[] = Array.from({ length: 8 }, (_, n) => identity(20 + n));
  const route: readonly PeerId[] = [left.identity.peer, relay.peer];
  let nonce = 0;
  for (let second = 0; second < 5; second++) {
    for (let n = 0; n < 200; n++) {
      nonce += 1;
      const fresh = Uint8Array.from({ length: 16 }, (_, i) => nonce >> (8 * (i % 2)));
      left.channel.send(encodeNeighbourFrame(setup({ relays: route, nonce: fresh }, sources[n % sources.length])));
    }
    await mesh.run(1_000);
  }
  const passed = right.control.filter(({ kind }) => kind === 'path-setup').length;
  const most = LIMITS.pathSetupBurst + 5 * LIMITS.pathSetupsPerSecond;
  t.ok(passed <= most && passed > most / 2, `${passed} of ${most}`);
  const told = events.filter(({ reason }) => reason === 'too many set-ups');
  t.ok(told.length >= 3 && told.length <= 6, `${told.length} events in 5 s`);
  t.equal(told[0]?.limit, LIMITS.pathSetupsPerSecond);
});

t.test('control of a neighbour is counted in bytes, both ways', async t => {
  const { send, setup, relay, left, right } = await setUp();
  const before = relay.node.diagnostics().neighbours;
  const frame = setup();
  const { length } = encodeNeighbourFrame(frame);
  await send(frame);
  const now = relay.node.diagnostics().neighbours;
  const grown = (peer: PeerId, what: 'controlSentBytes' | 'controlReceivedBytes'): number =>
    (now.get(peer)?.[what] ?? 0) - (before.get(peer)?.[what] ?? 0);
  t.equal(grown(left.identity.peer, 'controlReceivedBytes'), length);
  t.equal(grown(right.identity.peer, 'controlSentBytes'), length);
  t.equal(now.get(left.identity.peer)?.labels, 1);
});

t.test('messages cross three relays where nothing shorter exists', async t => {
  const mesh = new MeshWorld();
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  mesh.add('r3', ['r2'], { relay: true });
  const from = mesh.add('from', ['r1']);
  const to = mesh.add('to', ['r3']);
  await mesh.run(2_000);
  const got: number[] = [];
  to.node.serve('numbers', (_peer, bytes) => got.push(bytes[0] as number));
  for (let n = 0; n < 50; n++) from.node.send(to.peer, 'numbers', Uint8Array.of(n));
  await mesh.run(2_000);
  t.same(
    got,
    Array.from({ length: 50 }, (_, n) => n),
  );
  t.same(
    from.node.routes()[0]?.route,
    ['r1', 'r2', 'r3'].map(name => mesh.host(name).peer),
  );
});
