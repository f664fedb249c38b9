import t from 'tap';
import { DATA_BACKWARD, DATA_FORWARD, dataPath, setDataTtl } from '../../lib/wire/index.js';
import { HostileRelays, type Way } from '../support/hostile-relay.js';
import { type MeshHost, MeshWorld } from '../support/mesh-world.js';

/** a and b know each other through two relays of one hostile brain, and through an honest one. */
async function hostile(seed: number) {
  const mesh = new MeshWorld({ seed, link: { delayMs: 3 }, realCrypto: true });
  mesh.add('honest', [], { relay: true });
  const a = mesh.add('a', ['honest']);
  const b = mesh.add('b', ['honest']);
  await mesh.run(500);
  const relays = new HostileRelays(mesh);
  for (const name of ['h1', 'h2']) await relays.join(name, ['a', 'b']);
  await mesh.run(500);
  return { mesh, a, b, relays };
}

/** What one host got, by service, in all of its runs. */
class Inbox {
  readonly ordered: number[] = [];
  readonly expiring: number[] = [];
  readonly forged: string[] = [];

  constructor(host: MeshHost) {
    host.onStart = node => this.#listen(node);
    this.#listen(host.node);
  }

  #listen(node: MeshHost['node']): void {
    for (const service of ['ordered', 'expiring'] as const) {
      node.serve(service, (_from, bytes) => {
        const text = new TextDecoder().decode(bytes);
        const number = /^number (\d+)$/.exec(text)?.[1];
        if (number === undefined) this.forged.push(text);
        else this[service].push(Number(number));
      });
    }
  }
}

const numbered = (n: number): Uint8Array => new TextEncoder().encode(`number ${n}`);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Every way to alter a frame that its header and the AEAD know of; each gives a frame of its own. */
const ALTERATIONS: Readonly<Record<string, (frame: Uint8Array) => Uint8Array>> = {
  'an exact repetition': frame => frame,
  'another kind': frame => {
    frame[0] = frame[0] === DATA_FORWARD ? DATA_BACKWARD : DATA_FORWARD;
    return frame;
  },
  'no ttl': frame => {
    setDataTtl(frame, 0xffff);
    return frame;
  },
  'a ttl of nothing': frame => {
    setDataTtl(frame, 0);
    return frame;
  },
  'the other lane': frame => {
    frame[7] = (frame[7] as number) ^ 1;
    return frame;
  },
  'the other phase': frame => {
    frame[7] = (frame[7] as number) ^ 2;
    return frame;
  },
  'an unknown flag': frame => {
    frame[7] = (frame[7] as number) ^ 0x80;
    return frame;
  },
  'the path after': frame => {
    frame[8] = (frame[8] as number) + 1;
    return frame;
  },
  'the first path': frame => {
    frame[8] = 0;
    return frame;
  },
  'the next packet number': frame => {
    frame[15] = (frame[15] as number) + 1;
    return frame;
  },
  'a huge packet number': frame => {
    frame.fill(0xff, 9, 16);
    return frame;
  },
  'a packet number below the window': frame => {
    frame.fill(0, 9, 16);
    return frame;
  },
  'a bit of the ciphertext': frame => {
    frame[20] = (frame[20] as number) ^ 4;
    return frame;
  },
  'a bit of the tag': frame => {
    frame[frame.length - 1] = (frame.at(-1) as number) ^ 1;
    return frame;
  },
  'one byte less': frame => frame.slice(0, -1),
  'one byte more': frame => Uint8Array.from([...frame, 0]),
  'the header alone': frame => frame.slice(0, 16),
};

for (const seed of [1, 2, 3]) {
  t.test(
    `relays replay, reorder, move and alter every frame (seed ${seed}): each message comes once, in order, none forged`,
    async t => {
      const { mesh, a, b, relays } = await hostile(seed);
      const [atA, atB] = [new Inbox(a), new Inbox(b)];
      const rng = mesh.world.rng.fork('hostile');
      const kept: { readonly frame: Uint8Array; readonly way: Way }[] = [];
      const done = new Map<string, number>();
      const count = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);
      let held: { readonly frame: Uint8Array; readonly way: Way } | undefined;
      const names = Object.keys(ALTERATIONS);
      relays.onData = (received, way) => {
        const frame = new Uint8Array(received);
        // Half of the alterations overtake the frame itself, so that it is not just a repetition that is refused.
        const alter = (): void => {
          const name = names[Math.floor(rng.float() * names.length)] as string;
          const altered = new Uint8Array(frame);
          relays.send(ALTERATIONS[name]?.(altered) ?? frame, way);
          count(name);
        };
        alter();
        if (rng.float() < 0.1 && held === undefined) held = { frame, way };
        else relays.send(frame, way);
        alter();
        if (held !== undefined && held.frame !== frame && rng.float() < 0.3) {
          relays.send(held.frame, held.way);
          held = undefined;
          count('late');
        }
        const others = relays.ways.filter(other => other !== way);
        const other = others[Math.floor(rng.float() * others.length)];
        if (other !== undefined) {
          // Over another path, in the same direction or back to who sent it, with its own path number or that of the path.
          const moved = new Uint8Array(frame);
          moved[0] = other.forward ? DATA_FORWARD : DATA_BACKWARD;
          relays.send(moved, other);
          moved[8] = rng.float() < 0.5 ? dataPath(frame) ^ 1 : dataPath(frame);
          relays.send(moved, other);
          count('moved');
        }
        kept.push({ frame, way });
        const old = kept[Math.floor(rng.float() * kept.length)];
        if (old !== undefined) {
          relays.send(old.frame, old.way);
          count('replayed later');
        }
      };
      const MESSAGES = 400;
      for (let n = 0; n < MESSAGES; n++) {
        const kind = { class: n % 3 === 0 ? 'critical' : 'normal' } as const;
        t.ok(a.node.send(b.peer, 'ordered', numbered(n), kind));
        t.ok(b.node.send(a.peer, 'ordered', numbered(n), kind));
        a.node.send(b.peer, 'expiring', numbered(n), { ttlMs: 500 });
        await mesh.run(10);
      }
      await mesh.run(5_000);
      // Long afterwards, everything once more.
      const before = [atA.ordered.length, atB.ordered.length, atB.expiring.length];
      relays.onData = (frame, way) => relays.send(frame, way);
      for (const { frame, way } of kept) relays.send(frame, way);
      await mesh.run(2_000);
      t.same(
        [atA.ordered.length, atB.ordered.length, atB.expiring.length],
        before,
        'of what came once nothing comes again',
      );
      t.same(atB.ordered, upTo(MESSAGES));
      t.same(atA.ordered, upTo(MESSAGES));
      t.equal(new Set(atB.expiring).size, atB.expiring.length, 'what may be lost is not repeated either');
      t.ok(atB.expiring.length > MESSAGES / 2);
      t.same([...atA.forged, ...atB.forged], []);
      for (const name of [...names, 'late', 'moved', 'replayed later']) t.ok((done.get(name) ?? 0) > 5, name);
    },
  );
}

t.test('set-ups, handshakes and frames of a run that is over, sent again to the next one, deliver nothing', async t => {
  const { mesh, a, b, relays } = await hostile(4);
  const atB = new Inbox(b);
  const kept: { readonly frame: Uint8Array; readonly way: Way }[] = [];
  relays.onData = (frame, way) => {
    kept.push({ frame: new Uint8Array(frame), way });
    relays.send(frame, way);
  };
  for (let n = 0; n < 100; n++) {
    a.node.send(b.peer, 'ordered', numbered(n));
    await mesh.run(10);
  }
  await mesh.run(500);
  t.same(atB.ordered, upTo(100));
  const recorded = [...relays.setUps];
  t.ok(recorded.length > 0 && kept.length > 50, `${recorded.length} set-ups, ${kept.length} frames`);

  const refused: string[] = [];
  b.node.on('refused', ({ reason }) => refused.push(reason));
  for (const { frame, relay, to } of recorded) relays.sendControl(relay, to, frame);
  await mesh.run(500);
  t.ok(refused.includes('replayed'), 'the same run knows the set-ups');

  mesh.crash('a'); // so that nobody but the relays can say anything
  mesh.crash('b');
  mesh.start('b');
  await mesh.run(200);
  for (const relay of new Set(recorded.map(({ relay }) => relay))) await relays.connect(relay, 'b');
  for (let times = 0; times < 3; times++) {
    for (const { frame, relay, to } of recorded) relays.sendControl(relay, to, frame);
    await mesh.run(20);
    for (const { frame, way } of kept) relays.send(frame, way);
    await mesh.run(500);
  }
  await mesh.run(10_000);
  t.same(atB.ordered, upTo(100), 'the new run was given nothing');
  t.notOk(b.node.peers().find(({ peer }) => peer === a.peer)?.session, 'and believes in no session');
});
