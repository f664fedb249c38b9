import t from 'tap';
import { SendWindow } from '../../lib/channel/send-window.js';
import type { Priority } from '../../lib/channel/types.js';

const none = (): number => 0;

interface Path {
  readonly bytesPerMs: number;
  readonly baseRttMs: number;
  /** Delay that is not a queue of ours: a busy processor at the other end. */
  readonly noiseMs: (now: number) => number;
}

interface Outcome {
  readonly windowBytes: number;
  /** What an urgent message would wait behind, over the second half of the run. */
  readonly queueMs: number;
  readonly utilization: number;
}

/** A saturating bulk sender over one bottleneck, in steps of 0.05 ms, with unlimited credit. */
function saturate(path: Path, durationMs: number, priority: Priority = 'bulk'): Outcome {
  const stepMs = 0.05;
  const window = new SendWindow();
  const inNetwork: { offset: number; asked: boolean; arrivesAt: number }[] = [];
  let sent = 0;
  let linkFreeAt = 0;
  let queueMs = 0;
  let samples = 0;
  let delivered = 0;
  // As a channel does when it opens: an ask while nothing else is under way shows the bare path.
  window.onAsk(-path.baseRttMs);
  window.onAck(0, Number.MAX_SAFE_INTEGER, 0);
  for (let now = 0; now < durationMs; now += stepMs) {
    for (let next = inNetwork[0]; next !== undefined && next.arrivesAt <= now; next = inNetwork[0]) {
      inNetwork.shift();
      if (now > durationMs / 2) delivered += 4_096;
      if (next.asked && !window.onAck(next.offset, Number.MAX_SAFE_INTEGER, now)) throw new Error('impossible ack');
    }
    while (window.room(priority) >= 4_096) {
      sent += 4_096;
      window.onSent(4_096, now);
      linkFreeAt = Math.max(linkFreeAt, now) + 4_096 / path.bytesPerMs;
      const isStuck = window.room(priority) < 4_096;
      const asked = window.shouldAsk(isStuck, priority === 'bulk');
      if (asked) window.onAsk(now);
      const arrivedAt = inNetwork.at(-1)?.arrivesAt ?? 0;
      inNetwork.push({
        offset: sent,
        asked,
        arrivesAt: Math.max(arrivedAt, linkFreeAt + path.baseRttMs + path.noiseMs(now)),
      });
    }
    window.onLimited();
    if (now > durationMs / 2) {
      queueMs += Math.max(0, linkFreeAt - now);
      samples++;
    }
  }
  const utilization = delivered / (path.bytesPerMs * (durationMs / 2));
  return { windowBytes: window.bytes, queueMs: queueMs / samples, utilization };
}

t.test('a slow link is kept busy with a queue of milliseconds, not of its whole buffer', async t => {
  const { queueMs, utilization } = saturate({ bytesPerMs: 12_500, baseRttMs: 0.3, noiseMs: none }, 2_000);
  t.ok(utilization > 0.95, `${utilization}`);
  t.ok(queueMs < 4, `${queueMs} ms`);
});

t.test('a long fast path is filled', async t => {
  const { utilization, queueMs, windowBytes } = saturate({ bytesPerMs: 125_000, baseRttMs: 20, noiseMs: none }, 4_000);
  t.ok(windowBytes > 2_000_000, `${windowBytes}`);
  t.ok(utilization > 0.8, `${utilization}`);
  t.ok(queueMs < 15, `${queueMs} ms`);
});

t.test('normal messages fill a slow link with a queue of few milliseconds too', async t => {
  const link = { bytesPerMs: 125_000, baseRttMs: 0.2, noiseMs: none };
  const { utilization, queueMs } = saturate(link, 2_000, 'normal');
  t.ok(utilization > 0.99, `${utilization}`);
  t.ok(queueMs < 6, `${queueMs} ms`);
});

t.test('a receiver that pauses now and then does not starve the path', async t => {
  // Four milliseconds in every ten somebody else has its processor.
  const noiseMs = (now: number): number => (now > 50 && now % 10 < 4 ? 4 - (now % 10) : 0);
  const path = { bytesPerMs: 400_000, baseRttMs: 0.1, noiseMs };
  const [bulk, normal] = [saturate(path, 2_000), saturate(path, 2_000, 'normal')];
  t.ok(bulk.utilization > 0.5, `${bulk.utilization}`);
  t.ok(normal.utilization > 0.9, `${normal.utilization}`);
});

t.test('the queue does not creep up while a sender saturates the path for minutes', async t => {
  const { queueMs, utilization } = saturate({ bytesPerMs: 12_500, baseRttMs: 3, noiseMs: none }, 120_000);
  t.ok(utilization > 0.97, `${utilization}`);
  t.ok(queueMs < 2, `${queueMs} ms`);
});

t.test('neither a late ask nor acks in a bunch look like a fast path', async t => {
  const credit = Number.MAX_SAFE_INTEGER;
  const grown = (askedAt: number, answeredAt: number): number => {
    const window = new SendWindow();
    window.onAsk(-0.1);
    window.onAck(0, credit, 0);
    // 100 KB leave in the course of 10 ms: 10 KB per ms, whatever the last of it looks like.
    for (let now = 0; now < 10; now++) window.onSent(10_000, now);
    window.onAsk(askedAt);
    window.onLimited();
    window.onAck(100_000, credit, answeredAt);
    return window.bytes;
  };
  t.equal(grown(10, 10.1), 32_768, 'the floor: 10 KB per ms and 0.35 ms are less');
  t.equal(grown(9, 10.1), 32_768);
});

t.test('a sender that does not use its window up keeps it, whatever the delay', async t => {
  const window = new SendWindow();
  const { bytes } = window;
  for (let now = 0; now < 1_000; now += 10) {
    window.onSent(1_000, now);
    window.onAsk(now);
    window.onAck((now / 10 + 1) * 1_000, Number.MAX_SAFE_INTEGER, now + (now > 500 ? 9 : 0.1));
  }
  t.equal(window.bytes, bytes);
});

t.test('normal messages have more room than bulk on a slow path, urgent ones more than both', async t => {
  const window = new SendWindow();
  window.onAck(0, Number.MAX_SAFE_INTEGER, 0);
  const [bulk, normal, urgent] = [window.room('bulk'), window.room('normal'), window.room('urgent')];
  t.ok(bulk < normal && normal < urgent);
  window.onSent(urgent, 0);
  t.equal(window.room('urgent'), 0);
});
