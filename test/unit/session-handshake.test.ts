import t from 'tap';
import { concat } from '../../lib/bytes.js';
import {
  HandshakeDriver,
  HandshakeGate,
  type HandshakeOptions,
  type HandshakeResult,
} from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { instant, type LogFields, type Logger, silentLogger } from '../../lib/env.js';
import { AllowList, Identity, KnownPeers } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { Admission, type AdmitPeer } from '../../lib/mesh/admission.js';
import type { MeshContext } from '../../lib/mesh/context.js';
import { Holdings } from '../../lib/mesh/holdings.js';
import { Links } from '../../lib/mesh/links.js';
import { PathEnd } from '../../lib/mesh/path-end.js';
import type { PathSetups } from '../../lib/mesh/path-setup.js';
import { SessionKeys } from '../../lib/mesh/session-keys.js';
import { SessionResponder } from '../../lib/mesh/session-responder.js';
import { Suspicion } from '../../lib/route/index.js';
import {
  DATA_FORWARD,
  dataHeader,
  encodePacket,
  type NeighbourFrame,
  NO_TTL,
  type PathSetup,
} from '../../lib/wire/index.js';
import { manualEnv } from '../support/manual-env.js';
import { MeshWorld, type MeshWorldOptions } from '../support/mesh-world.js';

const crypto = defaultCrypto();
const networkId = 'test';

/** A responder by itself, and an initiator by hand. */
function world(admit?: AdmitPeer) {
  const env = manualEnv();
  const identityOf = () => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    return new Identity({ crypto, seeds, networkId, now: env.clock.unix() });
  };
  const [alice, bob] = [identityOf(), identityOf()];
  const membership = new AllowList([{ peer: alice.peer }, { peer: bob.peer }]);
  const knownPeers = new KnownPeers();
  const policy = (identity: Identity) => ({ crypto, identity, networkId, postQuantum: 'off' as const });
  const context: MeshContext = {
    self: bob.peer,
    env,
    crypto,
    identity: bob,
    networkId,
    membership,
    knownPeers,
    store: undefined,
    runEpoch: env.clock.unix(),
    gate: new HandshakeGate(env.clock),
    admission: new Admission(membership, knownPeers, env.clock, admit),
    suspicion: new Suspicion(),
    sessionLifetimeMs: 3_600_000,
    maxSessions: 10,
    holdings: new Holdings(LIMITS.maxReceiveBytes),
    relay: undefined,
    handshakePolicy: () => policy(bob),
  };
  const sessions: HandshakeResult[] = [];
  const data: Uint8Array[] = [];
  const responder = new SessionResponder(context, (result, end) => {
    sessions.push(result);
    end.attach({ onData: frame => data.push(frame), onMessage: () => undefined, onClose: () => undefined });
  });
  const initiator = (options: Partial<HandshakeOptions> = {}) =>
    new HandshakeDriver({
      ...policy(alice),
      role: 'initiator',
      context: 'session',
      random: systemRandomBytes,
      now: env.clock.unix(),
      ...options,
    });
  let label = 0;
  /** A path that ends at the responder, and what leaves on it. */
  const path = () => {
    const sent: NeighbourFrame[] = [];
    const outlet = {
      sendControl: (_to: unknown, frame: NeighbourFrame) => sent.push(frame),
      sendData: () => undefined,
      forget: () => undefined,
    };
    const peer = alice.peer;
    const end = new PathEnd(outlet, { role: 'destination', peer, route: [], neighbour: peer, label: ++label });
    const replies = () => sent.flatMap(frame => (frame.kind === 'path-reply' ? [frame.message] : []));
    const closed = () => sent.find(frame => frame.kind === 'path-close')?.reason;
    return { end, replies, closed };
  };
  const respond = (message: Uint8Array) => {
    const made = path();
    responder.respond(alice.peer, made.end, message);
    return made;
  };
  return { env, alice, bob, context, responder, initiator, sessions, data, respond, path };
}

/** The initiator's first packet. */
function firstPacket(result: HandshakeResult): Uint8Array {
  const fields = { kind: DATA_FORWARD, label: 1, ttlMs: NO_TTL, urgent: false, phase: 0, path: 0, packet: 0 } as const;
  const header = dataHeader(fields);
  const keys = new SessionKeys(result, instant(0), () => 0);
  const hello = new Uint8Array(8).fill(1);
  const packet = encodePacket({
    elicits: true,
    atOnce: false,
    hello,
    receipts: [],
    credits: [],
    chunks: [],
    runs: [],
    close: false,
  });
  return concat(header, keys.seal(0, 0, header, packet));
}

function finish(driver: HandshakeDriver, reply: Uint8Array | undefined) {
  const step = driver.receive(reply ?? new Uint8Array(0));
  if (step.kind !== 'done') throw new Error('no result');
  return step;
}

t.test('XX: a session comes of the third message', async t => {
  const { alice, initiator, respond, sessions, context } = world();
  const driver = initiator();
  const { end, replies } = respond(driver.start());
  t.equal(sessions.length, 0);
  end.deliverMessage(finish(driver, replies()[0]).reply as Uint8Array);
  t.equal(sessions[0]?.peer, alice.peer);
  t.same(context.knownPeers.staticKey(alice.peer, context.env.clock.unix()), alice.staticKey.publicKey, 'for IK');
});

t.test('IK: a session comes of the first packet that opens, which is not lost', async t => {
  const { bob, initiator, respond, sessions, data, responder, alice } = world();
  const driver = initiator({ remoteStatic: bob.staticKey.publicKey });
  const { end, replies, closed } = respond(driver.start());
  const { result } = finish(driver, replies()[0]);
  t.equal(sessions.length, 0, 'nothing yet');
  end.deliverData(new Uint8Array(64).fill(0x10));
  end.deliverData(firstPacket(finish(...other(bob, initiator, respond)).result));
  end.deliverMessage(Uint8Array.of(1));
  t.equal(sessions.length, 0, 'noise, a packet of another handshake, and a message too many prove nothing');
  end.deliverData(firstPacket(result));
  t.equal(sessions.length, 1);
  t.equal(data.length, 1, 'the session hears it too');
  t.equal(closed(), undefined);
  t.ok(responder.hasRoomFor(alice.peer));
});

function other(
  bob: Identity,
  initiator: (options: Partial<HandshakeOptions>) => HandshakeDriver,
  respond: (message: Uint8Array) => { replies(): Uint8Array[] },
): [HandshakeDriver, Uint8Array | undefined] {
  const driver = initiator({ remoteStatic: bob.staticKey.publicKey });
  return [driver, respond(driver.start()).replies()[0]];
}

t.test('a replayed first message of IK acts on nothing, and costs a place for 5 s only', async t => {
  let asked = 0;
  const { env, alice, bob, initiator, respond, sessions, responder, context } = world(() => {
    asked += 1;
    return true;
  });
  const driver = initiator({ remoteStatic: bob.staticKey.publicKey });
  const first = driver.start();
  const real = respond(first);
  const packet = firstPacket(finish(driver, real.replies()[0]).result);
  real.end.deliverData(packet);
  t.equal(sessions.length, 1);
  t.equal(asked, 1);
  const replays = [respond(first), respond(first), respond(first), respond(first)];
  for (const { end } of replays) end.deliverData(packet);
  t.equal(sessions.length, 1, 'each answer has its own ephemeral key, so the recorded packet proves nothing');
  t.equal(asked, 1, 'nor is anybody asked about the peer');
  t.notOk(responder.hasRoomFor(alice.peer), 'four at most');
  env.advance(5_000);
  t.same(
    replays.map(({ closed }) => closed()),
    ['refused', 'refused', 'refused', 'refused'],
  );
  t.ok(responder.hasRoomFor(alice.peer));
  t.ok(context.knownPeers.size === 1);
});

t.test('a peer that begins one session after the other is slowed down', async t => {
  const { env, alice, context, initiator, path } = world();
  let ups = 0;
  const links = new Links(context, undefined as unknown as PathSetups, {
    candidates: () => [],
    deliver: () => true,
    onRoom: () => undefined,
    onState: () => {
      ups += 1;
    },
    onProgress: () => undefined,
    onRoute: () => undefined,
  });
  const begin = () => {
    const driver = initiator();
    const { end, replies, closed } = path();
    const setup = { purpose: 'handshake', source: alice.peer } as PathSetup;
    links.onArrival({ setup, end, message: driver.start() });
    const [reply] = replies();
    if (reply === undefined) return closed();
    const { result, reply: third } = finish(driver, reply);
    end.deliverMessage(third as Uint8Array);
    end.deliverData(firstPacket(result));
    return undefined;
  };
  const outcomes = Array.from({ length: 20 }, begin);
  t.same(outcomes.slice(0, 11), new Array(11).fill(undefined), 'the first, and a burst of ten');
  t.same(outcomes.slice(11), new Array(9).fill('limit'));
  t.equal(ups, 11);
  env.advance(1_000);
  t.same([begin(), begin()], [undefined, 'limit'], 'then one per second');
  links.close();
});

t.test('a first message that fails is answered with the one refusal, and forgotten', async t => {
  const { alice, initiator, respond, responder, sessions } = world();
  const wrongKey = initiator({ remoteStatic: alice.staticKey.publicKey });
  const { replies, closed } = respond(wrongKey.start());
  t.equal(wrongKey.receive(replies()[0] as Uint8Array).kind, 'failed');
  t.equal(closed(), 'refused');
  t.equal(respond(new Uint8Array(0)).closed(), 'refused');
  t.equal(sessions.length, 0);
  t.ok(responder.hasRoomFor(alice.peer));
});

t.test('no session without the verdict, which may take 5 s', async t => {
  const verdicts: ((isAdmitted: boolean) => void)[] = [];
  const later: AdmitPeer = (_peer, { context, remoteAddress }) => {
    t.equal(`${context} ${remoteAddress}`, 'session mesh:');
    return new Promise(resolve => verdicts.push(resolve));
  };
  const settled = () => new Promise(resolve => setImmediate(resolve));
  const begin = (admit: AdmitPeer) => {
    const made = world(admit);
    const driver = made.initiator();
    const path = made.respond(driver.start());
    path.end.deliverMessage(finish(driver, path.replies()[0]).reply as Uint8Array);
    return { ...made, ...path };
  };

  const yes = begin(later);
  t.equal(yes.sessions.length, 0);
  verdicts.shift()?.(true);
  await settled();
  t.equal(yes.sessions.length, 1);

  const no = begin(later);
  verdicts.shift()?.(false);
  await settled();
  t.same([no.sessions.length, no.closed()], [0, 'refused']);

  const never = begin(later);
  never.env.advance(4_999);
  t.equal(never.closed(), undefined);
  never.env.advance(1);
  t.equal(never.closed(), 'refused');
  verdicts.shift()?.(true);
  await settled();
  t.equal(never.sessions.length, 0, 'too late');

  for (const admit of [
    () => false,
    () => {
      throw new Error('no');
    },
    () => Promise.reject(new Error('no')),
  ] satisfies AdmitPeer[]) {
    const refused = begin(admit);
    await settled();
    t.same([refused.sessions.length, refused.closed()], [0, 'refused']);
  }

  const gone = begin(later);
  gone.end.deliverClose('done');
  verdicts.shift()?.(true);
  await settled();
  t.equal(gone.sessions.length, 0, 'its path went while the verdict was awaited');
});

/** Two members over a relay, and the suites of the sessions that the first one had. */
async function pair(options: MeshWorldOptions = {}) {
  const suites: string[] = [];
  const info = (event: string, fields?: LogFields) => {
    if (event === 'session-installed') suites.push(String(fields?.['suite']).split('_')[1] ?? '');
  };
  const logger = (machine: string): Logger => (machine === 'a' ? { ...silentLogger, info } : silentLogger);
  const mesh = new MeshWorld({ link: { delayMs: 3 }, logger, ...options });
  mesh.add('r', [], { relay: true });
  const a = mesh.add('a', ['r']);
  const b = mesh.add('b', ['r']);
  await mesh.run(1_000);
  const got: number[] = [];
  const listen = (node: typeof b.node) => node.serve('numbers', (_from, bytes) => got.push(bytes[0] ?? -1));
  listen(b.node);
  b.onStart = listen;
  const send = async (n: number, waitMs: number) => {
    a.node.send(b.peer, 'numbers', Uint8Array.of(n));
    await mesh.run(waitMs);
  };
  return { mesh, a, b, suites, got, send };
}

t.test('XX with a stranger, IK with a peer whose key is known', async t => {
  const { suites, got, send, mesh } = await pair({ node: { sessionLifetimeMs: 5_000 } });
  await send(1, 4_000);
  t.same(suites, ['XX']);
  await mesh.run(11_000);
  await send(2, 100);
  t.ok(suites.length >= 3 && suites.slice(1).every(suite => suite === 'IK'), suites.join(' '));
  t.same(got, [1, 2]);
});

t.test('a pre-shared key binds sessions as it binds channels', async t => {
  const { suites, got, send } = await pair({ node: { psk: new Uint8Array(32).fill(7), sessionLifetimeMs: 5_000 } });
  await send(1, 5_500);
  t.same([suites[0], suites[1]], ['XXpsk3', 'IKpsk2']);
  t.same(got, [1]);
});

t.test('a peer that has another static key by now is reached by XX at once, under the same policy', async t => {
  const { mesh, suites, got, send } = await pair({ node: { psk: new Uint8Array(32).fill(7) } });
  await send(1, 1_000);
  mesh.crash('b');
  mesh.changeStaticKey('b');
  await mesh.run(500);
  mesh.start('b');
  await mesh.run(20_000);
  await send(2, 1_000);
  t.same(got, [1, 2]);
  t.same(suites, ['XXpsk3', 'XXpsk3'], 'IK to the old key failed');
});

t.test('whom the application refuses gets no session, whoever begins it, and asks less and less often', async t => {
  let asked = 0;
  const admit: AdmitPeer = (_peer, { context }) => {
    if (context === 'session') asked += 1;
    return context === 'channel';
  };
  const { mesh, a, b, suites, got } = await pair({ node: { admit } });
  a.node.send(b.peer, 'numbers', Uint8Array.of(1));
  b.node.send(a.peer, 'numbers', Uint8Array.of(1));
  await mesh.run(20_000);
  t.same([suites, got], [[], []]);
  t.ok(asked > 5 && asked < 40, `${asked} handshakes in 20 s`);
  t.notOk(a.node.peers().some(({ session }) => session));
});

t.test('beyond the most sessions, the one that was idle for longest makes room; none that is used does', async t => {
  const mesh = new MeshWorld({ link: { delayMs: 3 }, node: { maxSessions: 2 } });
  const hub = mesh.add('hub', [], { relay: true });
  const others = ['a', 'b', 'c'].map(name => mesh.add(name, ['hub']));
  await mesh.run(1_000);
  const [a, b, c] = others as [(typeof others)[0], (typeof others)[0], (typeof others)[0]];
  const got: string[] = [];
  hub.node.serve('letters', (_from, bytes) => got.push(String.fromCharCode(bytes[0] ?? 0)));
  const send = (from: typeof a, letter: string) =>
    from.node.send(hub.peer, 'letters', Uint8Array.of(letter.charCodeAt(0)));
  send(a, 'a');
  await mesh.run(30_000);
  send(b, 'b');
  await mesh.run(20_000);
  send(c, 'c');
  await mesh.run(5_000);
  const peersOf = () => hub.node.peers().flatMap(({ peer, session }) => (session ? [peer] : []));
  t.same(got, ['a', 'b'], 'a was used less than a minute ago');
  await mesh.run(10_000);
  t.same(got, ['a', 'b', 'c']);
  t.same(new Set(peersOf()), new Set([b.peer, c.peer]));
  t.ok(
    a.peerEvents.some(({ kind }) => kind === 'session-down'),
    'and is told',
  );
  t.ok(hub.peerEvents.some(({ cause }) => cause === 'idle for longest of too many sessions'));
});
