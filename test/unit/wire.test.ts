import t from 'tap';
import { HopfairError } from '../../lib/errors.js';
import { type PeerId, peerIdOf } from '../../lib/identity/index.js';
import {
  DATA_BACKWARD,
  DATA_FORWARD,
  dataAad,
  dataHeader,
  dataLabel,
  dataPacket,
  dataPath,
  dataPhase,
  dataTtl,
  dataUrgent,
  decodeContent,
  decodeLinkState,
  decodeNeighbourFrame,
  decodePacket,
  decodePathSetup,
  decodePubSub,
  encodeContent,
  encodeFlush,
  encodeFlushHeader,
  encodeLinkState,
  encodeNeighbourFrame,
  encodePacket,
  encodePathSetup,
  encodePubSub,
  isDataFrame,
  type NeighbourFrame,
  type Packet,
  type PubSubMessage,
  setDataLabel,
  setDataTtl,
} from '../../lib/wire/index.js';

const peers = [1, 2, 3, 4, 5, 6].map(byte => peerIdOf(new Uint8Array(32).fill(byte)));
type Six = [PeerId, PeerId, PeerId, PeerId, PeerId, PeerId];
const [a, b, c, d, e, f] = peers as Six;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const signature = new Uint8Array(64).fill(9);

const linkState = { origin: a, epoch: 7, sequence: 8, relay: true, edges: [{ peer: b, costMs: 1.25 }] };
const setup = {
  source: a,
  destination: b,
  relays: [c, d],
  epoch: 5,
  nonce: new Uint8Array(16).fill(1),
  expiresAtUnixMs: 1_723_075_200_000,
  purpose: 'join',
  messageHash: new Uint8Array(32).fill(2),
} as const;
const frames: NeighbourFrame[] = [
  { kind: 'link-announce', names: [{ origin: a, epoch: 1, sequence: 2 }] },
  { kind: 'link-pull', names: [] },
  { kind: 'link-state', body: encodeLinkState(linkState), signature },
  { kind: 'path-setup', label: 0xffff_ffff, body: encodePathSetup(setup), signature, message: bytes(1, 2) },
  { kind: 'path-reply', label: 1, message: bytes(3) },
  { kind: 'path-continue', label: 2, message: bytes() },
  { kind: 'path-close', label: 3, forward: true, reason: 'next-hop-lost' },
];
const packet: Packet = {
  elicits: true,
  atOnce: false,
  hello: bytes(1, 2, 3, 4, 5, 6, 7, 8),
  receipts: [
    {
      path: 15,
      delayMs: 4.25,
      ranges: [
        { first: 10, last: 2 ** 50 },
        { first: 0, last: 3 },
      ],
    },
  ],
  chunks: [
    { service: 'order/0', numbering: 'ordered', sequence: 1, offset: 0, total: 2, ttlMs: 0, bytes: bytes(1, 2) },
    { service: 's', numbering: 'expiring', sequence: 2 ** 40, offset: 2, total: 3, ttlMs: 50, bytes: bytes(5) },
    { service: 's', numbering: 'unordered', sequence: 3, offset: 0, total: 0, ttlMs: 0, bytes: bytes() },
  ],
  credits: [{ service: 'order/0', limit: 2 ** 50 }],
  runs: [
    { service: 'order/0', ordered: true, first: 2 ** 40, messages: [bytes(1, 2), bytes(), bytes(3)] },
    { service: 'marks', ordered: false, first: 7, messages: [bytes(9)] },
  ],
  close: true,
};
const topic = { publisher: a, name: 'book' };
const publications: Exclude<PubSubMessage, { kind: 'flush' }>[] = [
  { kind: 'subscribe', ...topic, from: undefined },
  { kind: 'subscribe', ...topic, from: { epoch: 1, sequence: 2 } },
  { kind: 'unsubscribe', ...topic },
  { kind: 'subscribed', ...topic, epoch: 1, next: 2, parent: undefined, helpers: [] },
  { kind: 'subscribed', ...topic, epoch: 1, next: 2, parent: b, helpers: [c, d] },
  { kind: 'fill', ...topic, late: true, epoch: 1, from: 2, to: 3 },
  { kind: 'unavailable', ...topic, epoch: 1, from: 2, to: 2 },
  { kind: 'key', ...topic, epoch: 1, id: 7, aead: 'AESGCM', key: new Uint8Array(32).fill(3) },
  { kind: 'refused', ...topic, reason: 'removed' },
  { kind: 'announce', ...topic, epoch: 1, next: 9 },
  { kind: 'forward', ...topic, children: [b, c] },
];
const flushHeader = encodeFlushHeader({ ...topic, epoch: 1, first: 2, count: 2, keyId: 7 });
const flush = encodeFlush(flushHeader, signature, bytes(1, 2, 3));

t.test('every format comes back as it was written', async t => {
  for (const frame of frames) t.same(decodeNeighbourFrame(encodeNeighbourFrame(frame)), frame, frame.kind);
  t.same(decodeLinkState(encodeLinkState(linkState)), linkState);
  t.same(decodePathSetup(encodePathSetup(setup)), setup);
  t.same(decodePacket(encodePacket(packet)), packet);
  for (const message of publications) t.same(decodePubSub(encodePubSub(message)), message, message.kind);
  t.match(decodePubSub(flush), {
    kind: 'flush',
    ...topic,
    epoch: 1,
    first: 2,
    count: 2,
    keyId: 7,
    header: flushHeader,
  });
  t.match(decodePubSub(flush), { signature, sealed: bytes(1, 2, 3), encoded: flush });
  t.same(decodeContent(encodeContent([bytes(1), bytes()]), 2), [bytes(1), bytes()]);
});

t.test(
  'truncated, lengthened and altered bytes are refused with DECODE_FAILED or decode to something else',
  async t => {
    const samples: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
      ...frames.map(frame => [frame.kind, encodeNeighbourFrame(frame), decodeNeighbourFrame] as never),
      ['link state', encodeLinkState(linkState), decodeLinkState],
      ['path set-up', encodePathSetup(setup), decodePathSetup],
      ['packet', encodePacket(packet), decodePacket],
      ...publications.map(message => [message.kind, encodePubSub(message), decodePubSub] as never),
      ['flush', flush, decodePubSub],
    ];
    const refuses = (decode: (bytes: Uint8Array) => unknown, input: Uint8Array): boolean => {
      try {
        decode(input);
        return false;
      } catch (error) {
        if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return true;
        throw error;
      }
    };
    for (const [name, encoded, decode] of samples) {
      if (name !== 'packet') {
        for (let length = 0; length < encoded.length; length++) {
          if (!refuses(decode, encoded.subarray(0, length))) t.fail(`${name} cut to ${length} bytes was accepted`);
        }
        t.ok(refuses(decode, Uint8Array.from([...encoded, 0])), `${name} with a trailing byte`);
      }
      for (let i = 0; i < encoded.length * 8; i++) {
        const altered = encoded.slice();
        altered[i >> 3] = (altered[i >> 3] as number) ^ (1 << (i & 7));
        refuses(decode, altered); // throws for anything but DECODE_FAILED
      }
    }
  },
);

t.test('what a route, a receipt, a chunk or a list must not say is refused', async t => {
  const refused = { code: 'DECODE_FAILED' };
  t.throws(() => decodePathSetup(encodePathSetup({ ...setup, relays: [c, c] })), refused, 'a relay twice');
  t.throws(() => decodePathSetup(encodePathSetup({ ...setup, relays: [a] })), refused, 'the source as relay');
  t.same(decodePathSetup(encodePathSetup({ ...setup, relays: [c, d, e] })).relays, [c, d, e], 'three relays pass');
  t.throws(() => decodePathSetup(encodePathSetup({ ...setup, relays: [c, d, e, f] })), refused, 'four relays');
  const edges = [...linkState.edges, ...linkState.edges];
  t.throws(() => decodeLinkState(encodeLinkState({ ...linkState, edges })), refused, 'a neighbour twice');
  const self = [{ peer: a, costMs: 1 }];
  t.throws(() => decodeLinkState(encodeLinkState({ ...linkState, edges: self })), refused, 'itself as neighbour');
  const receipt = (...ranges: { first: number; last: number }[]) =>
    encodePacket({ ...packet, receipts: [{ path: 0, delayMs: 0, ranges }] });
  t.throws(() => receipt({ first: 5, last: 4 }), 'a range backwards cannot be written');
  t.throws(() => receipt({ first: 1, last: 4 }, { first: 3, last: 3 }), 'ranges that overlap cannot be written');
  const below = Uint8Array.from([1, 2, 0, 0, 0, 1, 4, 5]);
  t.throws(() => decodePacket(below), refused, 'more packets than there are numbers');
  t.throws(() => decodePacket(receipt()), refused, 'no range');
  const chunk = (fields: object) =>
    encodePacket({
      ...packet,
      chunks: [
        { service: 's', numbering: 'ordered', sequence: 1, offset: 3, total: 4, ttlMs: 0, bytes: bytes(1), ...fields },
      ],
    });
  t.throws(() => decodePacket(chunk({ offset: 4 })), refused, 'a chunk beyond its message');
  t.throws(() => decodePacket(chunk({ total: 1_048_577 })), refused, 'a message above the limit');
  t.throws(() => decodePacket(chunk({ bytes: bytes() })), refused, 'an empty piece of something');
  const small = { offset: 0, bytes: new Uint8Array(1_023), total: 2_000 };
  t.throws(() => decodePacket(chunk(small)), refused, 'a small piece that does not end its message');
  t.equal(decodePacket(chunk({ ...small, bytes: new Uint8Array(1_024) })).chunks.length, 1);
  const run = { service: 's', ordered: true, first: 1, messages: [] };
  t.throws(() => decodePacket(encodePacket({ ...packet, runs: [run] })), refused, 'a run of nothing');
  const long = bytes(0x40, 0x3f);
  const longer = Uint8Array.from([1, 2, 0, 0, 0, 1, ...long, 0]);
  t.throws(() => decodePacket(longer), refused, 'a packet number in more bytes than it needs');
});

t.test('a data header keeps label, ttl, lane, path and packet number apart, and its AAD outlives relays', async t => {
  for (const kind of [DATA_FORWARD, DATA_BACKWARD] as const) {
    for (const number of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      const fields = { kind, label: 0xdead_beef, ttlMs: 0x1234, path: 14, packet: number };
      const header = dataHeader({ ...fields, urgent: true, phase: 0 });
      t.same(
        [
          dataLabel(header),
          dataTtl(header),
          dataUrgent(header),
          dataPhase(header),
          dataPath(header),
          dataPacket(header),
        ],
        [0xdead_beef, 0x1234, true, 0, 14, number],
      );
      const turned = dataHeader({ ...fields, urgent: false, phase: 1 });
      t.same([dataUrgent(turned), dataPhase(turned)], [false, 1], 'lane and phase share a byte, not a bit');
      t.notSame(
        dataAad(turned),
        dataAad(dataHeader({ ...fields, urgent: false, phase: 0 })),
        'the phase is in the AAD',
      );
      const aad = dataAad(header).slice();
      setDataLabel(header, 1);
      setDataTtl(header, 2);
      t.same(dataAad(header), aad, 'relays rewrite label and ttl only');
      t.same([dataLabel(header), dataTtl(header), dataPacket(header)], [1, 2, number]);
    }
  }
  t.notOk(isDataFrame(new Uint8Array(31).fill(DATA_FORWARD)), 'shorter than a header and a tag');
  t.notOk(isDataFrame(new Uint8Array(64).fill(1)));
});
