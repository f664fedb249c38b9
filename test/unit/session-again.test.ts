/** Who begins a session again that both ends lost; and that a neighbour is reached before anybody announced it. */
import t from 'tap';
import { MeshWorld } from '../support/mesh-world.js';

const hasSession = (mesh: MeshWorld, from: string, to: string): boolean =>
  mesh
    .host(from)
    .node.peers()
    .find(({ peer }) => peer === mesh.host(to).peer)?.session === true;

/** A client that began a session with its backend, and was started again after a crash. */
async function restarted(): Promise<MeshWorld> {
  const mesh = new MeshWorld();
  const backend = mesh.add('backend');
  const client = mesh.add('client', ['backend']);
  await mesh.run(300);
  client.node.send(backend.peer, 'orders', new Uint8Array(8), {});
  await mesh.run(1_000);
  mesh.crash('client');
  await mesh.run(25_000); // until the silent channel is given up
  mesh.start('client');
  await mesh.run(10_000);
  return mesh;
}

t.test('a backend whose client restarted leaves it to the client to begin', async t => {
  const mesh = await restarted();
  t.ok(
    mesh
      .host('backend')
      .node.peers()
      .some(({ connected }) => connected),
    'the channel is there again',
  );
  t.notOk(hasSession(mesh, 'backend', 'client'), 'nobody has anything to send');
  mesh.host('client').node.send(mesh.host('backend').peer, 'orders', new Uint8Array(8), {});
  await mesh.run(1_000);
  t.ok(hasSession(mesh, 'backend', 'client'));
});

t.test('a backend that has something for the client that restarted begins itself', async t => {
  const mesh = await restarted();
  mesh.host('backend').node.send(mesh.host('client').peer, 'fills', new Uint8Array(8), {});
  await mesh.run(1_000);
  t.ok(hasSession(mesh, 'backend', 'client'));
});

t.test('a neighbour is reached by its channel before its list of edges has come', async t => {
  const mesh = new MeshWorld();
  const b = mesh.add('b');
  const a = mesh.add('a', ['b']);
  a.node.send(b.peer, 'orders', new Uint8Array(8), {});
  for (let i = 0; i < 40 && !hasSession(mesh, 'a', 'b'); i++) await mesh.run(1);
  t.ok(hasSession(mesh, 'a', 'b'), 'within 40 ms, when the lists of both cannot have been exchanged');
});
