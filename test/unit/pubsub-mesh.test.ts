/** Publish/subscribe in a whole mesh: trees over relays, real sessions, a forwarder that crashes (overlay.md point 19). */
import t from 'tap';
import type { Publication } from '../../lib/mesh/index.js';
import { type MeshHost, MeshWorld } from '../support/mesh-world.js';

const numbersOf = (got: readonly Publication[]): number[] =>
  got.flatMap(event => (event.kind === 'message' ? [event.bytes[0] ?? 0] : []));
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

async function market(subscribers: number) {
  const mesh = new MeshWorld({ link: { delayMs: 3 }, node: { publicationFanOut: 2 } });
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  const publisher = mesh.add('publisher', ['r1', 'r2']);
  const names = Array.from({ length: subscribers }, (_, i) => `s${i}`);
  const readers = names.map(name => ({
    host: mesh.add(name, ['r1', 'r2']),
    got: [] as Publication[],
    error: undefined as unknown,
  }));
  await mesh.run(1_500);
  publisher.node.openTopic('book');
  for (const reader of readers) {
    const read = async (): Promise<void> => {
      for await (const event of reader.host.node.subscribe(`${publisher.peer}/book`)) reader.got.push(event);
    };
    read().catch(error => {
      reader.error = error;
    });
    await mesh.run(100);
  }
  await mesh.run(2_000);
  return { mesh, publisher, readers };
}

async function publish(mesh: MeshWorld, publisher: MeshHost, from: number, to: number): Promise<void> {
  for (let i = from; i <= to; i++) {
    publisher.node.publish('book', Uint8Array.of(i));
    await mesh.run(5);
  }
}

t.test(
  'a tree over relays outlives a forwarder that crashes: everybody else gets everything, once and in order',
  async t => {
    const { mesh, publisher, readers } = await market(6);
    await publish(mesh, publisher, 1, 40);
    mesh.crash('s0');
    await publish(mesh, publisher, 41, 80);
    await mesh.run(2_000);
    for (const { host, got } of readers) if (host.name !== 's0') t.same(numbersOf(got), upTo(80), host.name);
  },
);

t.test('a member that is revoked reads nothing that is published a second later; those below it go on', async t => {
  const { mesh, publisher, readers } = await market(4);
  await publish(mesh, publisher, 1, 20);
  mesh.membership.revoke(readers[0]?.host.peer as MeshHost['peer']);
  await mesh.run(1_000);
  await publish(mesh, publisher, 21, 60);
  await mesh.run(2_000);
  for (const [i, { host, got }] of readers.entries()) t.same(numbersOf(got), upTo(i === 0 ? 20 : 60), host.name);
});

t.test('a removed subscriber is told so by its iterator', async t => {
  const { mesh, publisher, readers } = await market(2);
  await publish(mesh, publisher, 1, 5);
  t.equal(publisher.node.removeSubscriber('book', readers[1]?.host.peer as MeshHost['peer']), true);
  await publish(mesh, publisher, 6, 10);
  await mesh.run(500);
  t.match(readers[1]?.error, { code: 'SUBSCRIPTION_REFUSED' });
  t.same(
    readers.map(({ got }) => numbersOf(got)),
    [upTo(10), upTo(5)],
  );
});
