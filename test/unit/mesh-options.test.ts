/** The options of createNode, over real crypto and the memory transport, and draining. */
import t, { type Test } from 'tap';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { nodeEnv } from '../../lib/env-node.js';
import {
  type AdmissionEvidence,
  AllowList,
  type ConnectionSnapshot,
  createIdentity,
  createNode,
  type Node,
  type NodeOptions,
  openMembership,
} from '../../lib/index.js';
import { MemoryHub, memoryTransport } from '../../transports/memory.js';

const networkId = 'options';
const identity = () => createIdentity({ networkId });
const membership = openMembership({ mayRelay: false });

/** A node that listens and one that dials it, with these options. */
async function pair(t: Test, listening: Partial<NodeOptions>, dialling: Partial<NodeOptions>): Promise<[Node, Node]> {
  const hub = new MemoryHub(nodeEnv().clock);
  const shared = { networkId, transports: [memoryTransport(hub)], membership };
  const far = await createNode({ ...shared, identity: identity(), listen: ['memory://far'], ...listening });
  const peers = [{ peer: far.peerId, address: 'memory://far' }];
  const near = await createNode({ ...shared, identity: identity(), peers, ...dialling });
  t.teardown(async () => {
    await Promise.all([near.close(), far.close()]);
  });
  return [near, far];
}

// Timers of a node do not keep the process alive.
const alive = setInterval(() => undefined, 1_000);
t.teardown(() => clearInterval(alive));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 2));
}

/** Why the node does not reach what it dials; an initiator may think for a moment that it does. */
async function outcome(node: Node): Promise<ConnectionSnapshot> {
  await until(() => node.connections().some(({ state }) => state === 'refused' || state === 'waiting'));
  return node.connections()[0] as ConnectionSnapshot;
}

t.test('a pre-shared key: nobody without it, or with another, gets a channel or a session', async t => {
  const psk = new Uint8Array(32).fill(7);
  const [near, far] = await pair(t, { psk }, { psk });
  const session = await near.session(far.peerId);
  await session.send(fromUtf8('closed network'));
  const received = await (await far.session(near.peerId)).messages().next();
  t.equal(toUtf8(received.value ?? new Uint8Array()), 'closed network');
  const [without] = await pair(t, { psk }, {});
  t.match(await outcome(without), { state: 'refused', cause: { code: 'HANDSHAKE_FAILED' } });
  // The key comes last in XXpsk3: the initiator has sent all that it has when the responder finds out.
  const [another, closed] = await pair(t, { psk }, { psk: new Uint8Array(32).fill(8) });
  await until(() => another.connections()[0]?.state === 'waiting');
  t.match(another.connections(), [{ cause: { code: 'CHANNEL_TRUNCATED' } }]);
  t.same(closed.peers(), []);
});

t.test(
  'admit sees capabilities and evidence of the other end, of channels and of sessions, and may take its time',
  async t => {
    const seen: (readonly [string, string, string, string])[] = [];
    const admit =
      (at: string) =>
      async (_peer: string, { capabilities, attestation, context }: AdmissionEvidence): Promise<boolean> => {
        await new Promise(resolve => setImmediate(resolve));
        seen.push([at, context, toUtf8(capabilities), toUtf8(attestation)]);
        return true;
      };
    let asked = 0;
    const attestation = (): Uint8Array => fromUtf8(asked++ >= 0 ? 'quote' : '');
    const [near, far] = await pair(
      t,
      { admit: admit('far'), capabilities: fromUtf8('relay'), attestation: fromUtf8('enclave') },
      { admit: admit('near'), capabilities: fromUtf8('bot'), attestation },
    );
    await near.session(far.peerId);
    const said = new Set(seen.map(entry => entry.join()));
    for (const context of ['channel', 'session']) {
      t.ok(said.has(`far,${context},bot,quote`) && said.has(`near,${context},relay,enclave`), context);
    }
    t.ok(asked >= 2, 'evidence is asked for anew');
  },
);

t.test('both must agree: who admit or membership refuses gets nothing', async t => {
  const [refused] = await pair(t, { admit: () => false }, {});
  t.match(await outcome(refused), { state: 'refused', cause: { code: 'NOT_ADMITTED' } });
  const [stranger] = await pair(t, { admit: () => true, membership: new AllowList() }, {});
  t.match(await outcome(stranger), { cause: { code: 'NOT_ADMITTED' } });
  t.match(stranger.peers(), [{ connected: false, connection: { state: 'refused', cause: { code: 'NOT_ADMITTED' } } }]);
});

t.test('a classical dialler is refused where hybrids are required, and cipher preferences meet', async t => {
  const [classical] = await pair(t, {}, { postQuantum: 'off' });
  t.match(await outcome(classical), { cause: { code: 'HANDSHAKE_FAILED' } });
  const [near, far] = await pair(t, { ciphers: ['AESGCM'] }, { ciphers: ['ChaChaPoly'] });
  await near.session(far.peerId);
  t.ok(near.peers().find(({ peer }) => peer === far.peerId)?.session);
});

t.test('evidence that cannot be had is left out, and handshakes go on', async t => {
  const evidence: number[] = [];
  const admit = (_peer: string, { attestation }: AdmissionEvidence): boolean => {
    evidence.push(attestation.length);
    return true;
  };
  const attestation = (): Uint8Array => {
    throw new Error('no enclave');
  };
  const [near, far] = await pair(t, { admit }, { attestation });
  await near.session(far.peerId);
  t.ok(evidence.length > 0 && evidence.every(length => length === 0));
});

t.test('options that cannot be are refused before anything is opened', async t => {
  const hub = new MemoryHub(nodeEnv().clock);
  const shared = { identity: identity(), networkId, transports: [memoryTransport(hub)], membership };
  const wrong: Record<string, Partial<NodeOptions>> = {
    'another network': { networkId: 'other' },
    'no transport': { transports: [] },
    'a short key': { psk: new Uint8Array(31) },
    'no such policy': { postQuantum: 'maybe' as 'off' },
    'no cipher': { ciphers: [] },
    'the same cipher twice': { ciphers: ['AESGCM', 'AESGCM'] },
    'an unknown cipher': { ciphers: ['ROT13' as 'AESGCM'] },
    'long capabilities': { capabilities: new Uint8Array(225) },
    'long evidence': { attestation: new Uint8Array(12_289) },
    'no function': { admit: true as unknown as () => boolean },
    'no handshakes': { handshakeLimits: { maxHalfOpen: 0 } },
    'more than a core': { handshakeLimits: { cpuShare: 2 } },
    'an unknown limit': { channelLimits: { maxBananas: 3 } as object },
    'a limit of both ends': { channelLimits: { maxMessageBytes: 1_000_000 } as object },
    'no number': { channelLimits: { pingIntervalMs: Number.NaN } },
    'a queue for one message': { channelLimits: { maxChannelQueueBytes: 1_048_576 } },
    'messages too small for frames': { channelLimits: { maxChannelMessageBytes: 1_000 } },
    'credit below the first': { channelLimits: { maxChannelReceiveBytes: 1_000 } },
  };
  for (const [what, options] of Object.entries(wrong)) {
    await t.rejects(createNode({ ...shared, listen: ['memory://x'], ...options }), { code: 'INVALID_ARGUMENT' }, what);
  }
  const node = await createNode({ ...shared, listen: ['memory://x'] });
  t.same(node.addresses, ['memory://x'], 'the address is free');
  await node.close();
});

t.test('labels of the allow-list are read on peers()', async t => {
  const [one, two] = [identity(), identity()];
  const labelled = new AllowList([one.peer, { peer: two.peer, operator: 'acme', region: 'fra' }]);
  const shared = { membership: labelled };
  const [near, far] = await pair(t, { ...shared, identity: two }, { ...shared, identity: one });
  await near.session(far.peerId);
  t.match(near.peers(), [{ peer: two.peer, operator: 'acme', region: 'fra', connected: true }]);
  t.notOk('operator' in (far.peers().find(({ peer }) => peer === one.peer) ?? {}));
});

t.test('drain: nothing new, everything old is receipted; late, aborted or closed it says so', async t => {
  const [near, far] = await pair(t, {}, {});
  const session = await near.session(far.peerId);
  const got: string[] = [];
  far.serve('orders', (_from, bytes) => got.push(toUtf8(bytes)));
  const publications = far.subscribe(`${near.peerId}/news`);
  const first = publications.next();
  void first.then(() => got.push('subscribed'));
  await until(() => {
    near.publish('news', fromUtf8('now'));
    return got.length > 0;
  });
  got.length = 0;
  for (let i = 0; i < 500; i++) near.send(far.peerId, 'orders', fromUtf8(`${i}`));
  near.publish('news', fromUtf8('last'));
  const drained = near.drain({ timeoutMs: 20_000 });
  t.throws(() => near.send(far.peerId, 'orders', fromUtf8('new')), { code: 'INVALID_STATE' });
  await t.rejects(session.send(fromUtf8('new')), { code: 'INVALID_STATE' });
  await drained;
  t.equal(got.length, 500);
  await near.drain();
  let last = '';
  while (last !== 'last') {
    const { value } = await publications.next();
    last = value?.kind === 'message' ? toUtf8(value.bytes) : '';
  }
  t.equal(last, 'last', 'what was published in the same turn left too');

  const causes: unknown[] = [];
  far.on('peer', ({ kind, cause }) => kind === 'disconnected' && causes.push(cause));
  await near.close();
  await until(() => causes.length > 0);
  t.same(causes, ['CHANNEL_CLOSED'], 'an authenticated end, not a truncation');

  const alone = (): Promise<Node> =>
    createNode({
      identity: identity(),
      networkId,
      membership,
      transports: [memoryTransport(new MemoryHub(nodeEnv().clock))],
    });
  const late = await alone();
  late.send(far.peerId, 'orders', fromUtf8('to nobody'), { ttlMs: 5 });
  await late.drain();
  await late.close();
  const lonely = await alone();
  lonely.send(far.peerId, 'orders', fromUtf8('to nobody'));
  await t.rejects(lonely.drain({ timeoutMs: 20 }), { code: 'TIMEOUT' });
  await t.rejects(lonely.drain({ signal: AbortSignal.abort() }), { code: 'ABORTED' });
  await t.rejects(lonely.drain({ timeoutMs: -1 }), { code: 'INVALID_ARGUMENT' });
  const waiting = lonely.drain();
  await Promise.all([t.rejects(waiting, { code: 'INVALID_STATE' }), lonely.close()]);
  await t.rejects(lonely.drain(), { code: 'INVALID_STATE' });
});
