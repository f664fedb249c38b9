import t from 'tap';
import { concat, fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { HandshakeDriver, type HandshakeResult } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { instant, unixMs } from '../../lib/env.js';
import { Identity } from '../../lib/identity/index.js';
import { type KeyName, ReceivePhase, SendPhase } from '../../lib/mesh/key-phase.js';
import { provesKeys, SessionKeys } from '../../lib/mesh/session-keys.js';
import { SeededRng } from '../../lib/sim/index.js';
import { DATA_FORWARD, dataHeader, NO_TTL, type PhaseBit } from '../../lib/wire/index.js';

const at = instant;
const MINUTE_MS = 60_000;
const REKEY_MS = 2 * MINUTE_MS;

t.test('the next key is due by packets, bytes or age, each direction for itself', async t => {
  const byAge = new SendPhase(at(0));
  t.notOk(byAge.isDue(at(REKEY_MS - 1)));
  t.ok(byAge.isDue(at(REKEY_MS)));

  const byPackets = new SendPhase(at(0));
  for (let i = 0; i < 2 ** 20 - 2; i++) byPackets.onSealed(0, i, 1);
  t.notOk(byPackets.isDue(at(0)));
  byPackets.onSealed(0, 2 ** 20 - 2, 1);
  t.ok(byPackets.isDue(at(0)), 'a key never seals more than 2^20 packets');

  const byBytes = new SendPhase(at(0));
  for (let i = 0; i < 2 ** 16 - 1; i++) byBytes.onSealed(0, i, 2 ** 14);
  t.notOk(byBytes.isDue(at(0)));
  byBytes.onSealed(0, 2 ** 16, 2 ** 14);
  t.ok(byBytes.isDue(at(0)), '1 GiB');
});

t.test('a second rekey waits for the receipt of a packet of the first', async t => {
  const send = new SendPhase(at(0));
  for (let packet = 0; packet < 5; packet++) send.onSealed(3, packet, 100);
  send.onRekeyed(at(REKEY_MS));
  t.equal(send.bit, 1);
  const later = at(2 * REKEY_MS);
  t.notOk(send.isDue(later), 'nothing was receipted');
  send.onReceipt(3, 4);
  t.notOk(send.isDue(later), 'nothing of this phase was sent');
  send.onSealed(3, 5, 100);
  send.onSealed(4, 0, 100);
  send.onReceipt(3, 4);
  t.notOk(send.isDue(later), 'only what was sealed before was receipted');
  send.onReceipt(5, 99);
  t.notOk(send.isDue(later), 'a path without packets of this phase says nothing');
  send.onReceipt(4, 0);
  t.ok(send.isDue(later), 'one path is enough');
  send.onRekeyed(later);
  t.equal(send.bit, 0);
  t.notOk(send.isDue(at(3 * REKEY_MS)), 'and each phase anew');
});

t.test('the receiver finds the key by the bit and the packet numbers of the path', async t => {
  const receive = new ReceivePhase();
  t.same(receive.keysFor(0, 0, 7), ['present']);
  t.same(receive.keysFor(1, 0, 7), ['next']);
  receive.onOpened('present', 0, 7, 100, 0, at(0));
  t.same(receive.keysFor(1, 0, 6), [], 'older than what opened under the first key: nothing can be');
  t.same(receive.keysFor(1, 0, 8), ['next']);
  receive.onOpened('next', 0, 9, 100, 60, at(100));
  t.same(receive.keysFor(1, 0, 8), ['present'], 'one of the first packets of the phase, late');
  t.same(receive.keysFor(0, 0, 8), ['previous'], 'sealed before the rekey, late');
  t.same(receive.keysFor(0, 0, 10), ['next'], 'a second rekey');
  t.same(receive.keysFor(0, 1, 10), ['previous', 'next'], 'a path that was not heard in this phase tells nothing');
  t.equal(receive.previousUntil, 160);
  t.notOk(receive.expire(at(159)));
  t.ok(receive.expire(at(160)));
  t.notOk(receive.expire(at(161)), 'once');
  t.same(receive.keysFor(0, 0, 8), [], 'its key is gone');
  t.same(receive.keysFor(0, 1, 10), ['next']);
});

t.test('an old key lives 30 s at most, however slow the paths are', async t => {
  const receive = new ReceivePhase();
  receive.onOpened('next', 0, 0, 100, 10 * MINUTE_MS, at(0));
  t.equal(receive.previousUntil, 30_000);
});

t.test(
  'whatever is lost or late: each packet opens under its key while that lives, and no key is taken twice',
  async t => {
    for (let seed = 0; seed < 200; seed++) {
      const rng = new SeededRng(`phases ${seed}`);
      const paths = 1 + rng.int(3);
      const loss = rng.between(0, 0.6);
      const maxDelayMs = rng.between(1, 400);
      const keptMs = maxDelayMs;
      const send = new SendPhase(at(0));
      const receive = new ReceivePhase();
      let [sendPhase, receivePhase, opened, wrong] = [0, 0, 0, 0];
      let hasPrevious = false;
      const numbers = new Array<number>(paths).fill(0);
      const onWay: { due: number; path: number; packet: number; bit: PhaseBit; phase: number; isReceipt: boolean }[] =
        [];
      let now = 0;
      for (let sent = 0; sent < 600; sent++) {
        // Packets come one per ms, with leaps that make a rekey due: as often as its confirmation allows.
        now += rng.chance(0.05) ? REKEY_MS : 1;
        onWay.sort((a, b) => a.due - b.due);
        for (let next = onWay[0]; next !== undefined && next.due <= now; next = onWay[0]) {
          onWay.shift();
          if (next.isReceipt) {
            send.onReceipt(next.path, next.packet);
            continue;
          }
          if (receive.expire(at(next.due))) hasPrevious = false;
          const keys = receive.keysFor(next.bit, next.path, next.packet);
          const names: Record<KeyName, number> = {
            present: receivePhase,
            next: receivePhase + 1,
            previous: hasPrevious ? receivePhase - 1 : Number.NaN,
          };
          const key = keys.find(name => names[name] === next.phase);
          if (key === undefined) {
            // Only what was sealed under a key that is gone may fail.
            if (next.phase >= receivePhase - (hasPrevious ? 1 : 0)) wrong += 1;
            continue;
          }
          receive.onOpened(key, next.path, next.packet, 100, keptMs, at(next.due));
          if (key === 'next') {
            receivePhase += 1;
            hasPrevious = true;
          }
          opened += 1;
          onWay.push({ ...next, due: next.due + rng.between(0, maxDelayMs), isReceipt: true });
          onWay.sort((a, b) => a.due - b.due);
        }
        if (send.isDue(at(now))) {
          send.onRekeyed(at(now));
          sendPhase += 1;
        }
        const path = rng.int(paths);
        const packet = numbers[path] as number;
        numbers[path] = packet + 1;
        send.onSealed(path, packet, 100);
        const due = now + rng.between(0, maxDelayMs);
        if (!rng.chance(loss)) onWay.push({ due, path, packet, bit: send.bit, phase: sendPhase, isReceipt: false });
      }
      t.equal(wrong, 0, `seed ${seed}: a packet did not open`);
      t.ok(opened > 50 && sendPhase > 3 && receivePhase >= sendPhase - 1, `seed ${seed}: ${sendPhase} rekeys`);
    }
  },
);

const crypto = defaultCrypto();
const now = unixMs(1_800_000_000_000);

function handshake(): [HandshakeResult, HandshakeResult] {
  const driver = (role: 'initiator' | 'responder') => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    const identity = new Identity({ crypto, seeds, networkId: 'test', now });
    const policy = { crypto, identity, networkId: 'test', postQuantum: 'off', context: 'session' } as const;
    return new HandshakeDriver({ ...policy, role, random: systemRandomBytes, now });
  };
  const [initiator, responder] = [driver('initiator'), driver('responder')];
  const second = responder.receive(initiator.start());
  const third = initiator.receive(second.reply as Uint8Array);
  const last = responder.receive(third.reply as Uint8Array);
  if (third.kind !== 'done' || last.kind !== 'done') throw new Error('no handshake');
  return [third.result, last.result];
}

const KEPT_MS = 60;

/** Both ends of one session; `frame` is what the first seals. */
function pair() {
  const [here, there] = handshake();
  const sender = new SessionKeys(here, at(0), () => KEPT_MS);
  const receiver = new SessionKeys(there, at(0), () => KEPT_MS);
  const numbers = [0, 0, 0];
  const frame = (path: number, text: string, nowMs: number): Uint8Array => {
    sender.rekeyIfDue(at(nowMs));
    const packet = numbers[path] as number;
    numbers[path] = packet + 1;
    const { phase } = sender;
    const header = dataHeader({ kind: DATA_FORWARD, label: 1, ttlMs: NO_TTL, urgent: false, phase, path, packet });
    return concat(header, sender.seal(path, packet, header, fromUtf8(text)));
  };
  const open = (bytes: Uint8Array, nowMs: number): string | undefined => {
    const plaintext = receiver.open(bytes, at(nowMs));
    return plaintext && toUtf8(plaintext);
  };
  return { sender, receiver, frame, open, here, there };
}

t.test('packets open across rekeys, out of order, once each', async t => {
  const { sender, frame, open } = pair();
  const early = frame(0, 'early', 0);
  const late = frame(1, 'late', 10);
  const tooLate = frame(1, 'too late', 10);
  t.equal(open(early, 20), 'early');
  const lost = frame(0, 'lost', REKEY_MS);
  const second = frame(0, 'second of the phase', REKEY_MS);
  t.not(second[7], early[7], 'the phase bit turned');
  t.equal(open(second, REKEY_MS + 1), 'second of the phase', 'though the first of the phase is missing');
  t.equal(open(second, REKEY_MS + 1), undefined, 'a replay');
  t.equal(open(early, REKEY_MS + 1), undefined, 'a replay from the old phase');
  t.equal(open(late, REKEY_MS + KEPT_MS), 'late', 'the old key lives for 3 PTO');
  t.equal(open(tooLate, REKEY_MS + 1 + KEPT_MS), undefined, 'and no longer');
  t.equal(open(lost, REKEY_MS + 100), 'lost', 'the present one does');
  sender.onReceipt(0, 2);
  t.equal(open(frame(2, 'third', 2 * REKEY_MS), 2 * REKEY_MS), 'third');
  t.equal(open(frame(0, 'fourth', 2 * REKEY_MS), 2 * REKEY_MS), 'fourth');
});

t.test('a forged phase bit, or a packet of nobody, moves nothing', async t => {
  const { frame, open } = pair();
  t.equal(open(frame(0, 'one', 0), 0), 'one');
  const forged = frame(0, 'forged', 0);
  forged[7] = 2;
  t.equal(open(forged, 1), undefined, 'the bit is authenticated');
  for (let i = 0; i < 10; i++) {
    const noise = frame(0, 'noise', 0);
    noise.set(systemRandomBytes(noise.length - 16), 16);
    noise[7] = 2;
    t.equal(open(noise, 1), undefined);
  }
  t.equal(open(frame(0, 'two', 2), 2), 'two', 'the key is still the first');
  t.equal(open(frame(0, 'three', REKEY_MS), REKEY_MS), 'three', 'and the next one is the true next one');
  for (const length of [0, 1, 9, 15, 16, 31]) t.equal(open(new Uint8Array(length), REKEY_MS), undefined);
  t.equal(open(new Uint8Array(64).fill(255), REKEY_MS), undefined, 'a path and a number out of range');
});

t.test('what proves a handshake is a packet under its first key', async t => {
  const { frame, there } = pair();
  const proof = frame(2, 'hello', 0);
  t.ok(provesKeys(there, proof));
  t.ok(provesKeys(there, proof), 'it counts as nothing received');
  const changed = proof.slice();
  changed[20] = (changed[20] ?? 0) ^ 1;
  t.notOk(provesKeys(there, changed));
  t.notOk(provesKeys(pair().there, proof), 'of another handshake');
});

t.test('after its end a session has no key left', async t => {
  const { sender, receiver, frame, open } = pair();
  const kept = frame(0, 'kept', 0);
  t.equal(open(frame(0, 'x', REKEY_MS), REKEY_MS), 'x');
  const present = frame(0, 'present', REKEY_MS);
  receiver.destroy();
  sender.destroy();
  t.throws(() => frame(0, 'y', REKEY_MS), { code: 'INVALID_STATE' });
  t.throws(() => open(kept, REKEY_MS), { code: 'INVALID_STATE' });
  t.throws(() => open(present, REKEY_MS), { code: 'INVALID_STATE' });
  t.throws(() => receiver.exportSecret('x', 32), { code: 'INVALID_STATE' });
});
