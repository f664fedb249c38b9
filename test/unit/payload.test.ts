import { addExtension } from 'msgpackr/pack';
import t from 'tap';
import { fromHex, fromUtf8, toHex } from '../../lib/bytes.js';
import { HopfairError } from '../../lib/errors.js';
import { LIMITS } from '../../lib/limits.js';
import { decodePayload, encodePayload, type PayloadValue } from '../../lib/wire/index.js';

const DECODE_FAILED = { name: 'HopfairError', code: 'DECODE_FAILED' };
const INVALID_ARGUMENT = { name: 'HopfairError', code: 'INVALID_ARGUMENT' };

/** Arrays inside each other. */
function nested(depth: number): PayloadValue {
  let value: PayloadValue = [];
  for (let i = 1; i < depth; i++) value = [value];
  return value;
}

/** Numbers from 0 up to below `n`, the same in every run. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return n => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * n);
  };
}

t.test('what is encoded comes back the same, type by type', async t => {
  const values: PayloadValue[] = [
    ...[null, true, false, '', 'größe 🚢', '\0', 'a\ufeff', 'x'.repeat(31), 'ü'.repeat(300), 'x'.repeat(16_000)],
    ...[0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65_535, 65_536, -32_769, 2 ** 31, 2 ** 32, -(2 ** 31)],
    ...[0.5, -1e300, 2 ** 53 - 1, -(2 ** 53) + 1, Number.NaN, Number.POSITIVE_INFINITY],
    ...[0n, 5n, -5n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
    ...[new Uint8Array(0), Uint8Array.of(1, 2, 255), new Uint8Array(300).fill(7)],
    ...[[], {}, [[], {}, [null]], Array.from({ length: 1_000 }, (_, i) => i)],
    Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key ${i}`, i])),
    { side: 'buy', quantity: 10n, price: 1.25, tags: ['a', 'b'], raw: Uint8Array.of(9), inner: { deep: [{}] } },
    nested(LIMITS.maxPayloadDepth),
    Array.from({ length: LIMITS.maxPayloadElements }, () => 0),
  ];
  for (const value of values) t.strictSame(decodePayload(encodePayload(value)), value);
  // tap does not compare objects with such members
  const members = {
    constructor: { prototype: { x: 1 } },
    toJSON: 'x',
    hasOwnProperty: null,
    toString: [],
    '': 0,
    ü: 1,
  };
  const read = decodePayload(encodePayload(members)) as typeof members;
  t.strictSame(Object.keys(read), Object.keys(members));
  t.strictSame([read.constructor.prototype.x, read.toJSON, read.hasOwnProperty], [1, 'x', null]);
  const shared = [1];
  t.strictSame(decodePayload(encodePayload([shared, shared])), [[1], [1]], 'twice the same is no cycle');
  t.strictSame(decodePayload(encodePayload(Object.assign(Object.create(null), { a: 1 }))), { a: 1 });
  t.ok(Object.is(decodePayload(encodePayload(-0)), 0), '-0 is 0');
});

t.test('every form of a number, text, bytes, array and map that other implementations write is read', async t => {
  const read = (hex: string, value: PayloadValue) => t.strictSame(decodePayload(fromHex(hex)), value, hex);
  for (const hex of ['05', 'cc05', 'cd0005', 'ce00000005', 'd005', 'd10005', 'd200000005', 'ca40a00000']) read(hex, 5);
  read('cf0000000000000005', 5n);
  read('d3fffffffffffffffb', -5n);
  for (const hex of ['a161', 'd90161', 'da000161', 'db0000000161']) read(hex, 'a');
  for (const hex of ['c401ff', 'c50001ff', 'c600000001ff']) read(hex, Uint8Array.of(0xff));
  for (const hex of ['9101', 'dc000101', 'dd0000000101']) read(hex, [1]);
  for (const hex of ['81a16101', 'de0001a16101', 'df00000001d9016101']) read(hex, { a: 1 });
  for (const hex of ['40', '5f', '7f']) read(hex, Number.parseInt(hex, 16)); // ids of records elsewhere
});

t.test('the results are plain, and neither views of the input nor of each other', async t => {
  const input = Buffer.from(encodePayload({ a: Uint8Array.of(1, 2), b: Uint8Array.of(3) }));
  const keys = Object.keys(input).length;
  const { a, b } = decodePayload(input) as { a: Uint8Array; b: Uint8Array };
  input.fill(0);
  t.strictSame([...a, ...b], [1, 2, 3]);
  t.equal(Object.getPrototypeOf(a), Uint8Array.prototype);
  t.equal(a.buffer.byteLength, 2);
  t.equal(Object.keys(input).length, keys, 'nothing was put on the input');
  const first = encodePayload('first');
  const copy = toHex(first);
  for (let i = 0; i < 1_000; i++) encodePayload('other');
  t.equal(toHex(first), copy, 'what was encoded stays');
  t.equal(first.buffer.byteLength, first.length);
  t.equal(Object.getPrototypeOf(first), Uint8Array.prototype);
  t.strictSame(decodePayload(encodePayload(Buffer.of(1))), Uint8Array.of(1));
});

t.test('bytes that are no plain data are refused', async t => {
  const refused = (what: string, hex: string) => t.throws(() => decodePayload(fromHex(hex)), DECODE_FAILED, what);
  refused('nothing', '');
  refused('trailing byte', 'c0c0');
  refused('reserved type', 'c1');
  refused('reserved type inside', '91c1');
  for (const hex of [
    '91',
    '9201',
    '81',
    '81a161',
    'a2',
    'a261',
    'd9',
    'd902',
    'da00',
    'db000000',
    'c4',
    'c401',
    'c500',
  ])
    refused('truncated', hex);
  for (const hex of [
    'cc',
    'cd00',
    'ce000000',
    'cf00',
    'd0',
    'd100',
    'd2000000',
    'd300',
    'ca000000',
    'cb00',
    'dc00',
    'de00',
  ])
    refused('truncated', hex);
  refused('undefined', 'd40000');
  refused('date', 'd6ff00000000');
  refused('date, 64 bits', 'd7ff0000000000000000');
  refused('date, 96 bits', 'c70cff000000000000000000000000');
  refused('set', 'd473009101');
  refused('error', 'd4650093a15461a1');
  refused('regular expression', 'd4780092a161a0');
  refused('big integer', 'c70142ff');
  refused('typed array', 'c7027401ff');
  refused('reference', 'd67000000001');
  refused('structured clone id', 'd6690000000190');
  refused('bundled strings', 'd66200000001');
  refused('record definition', 'd4724091a16101');
  refused('record definition, two bytes', 'd572400091a16101');
  refused('record definition inside', '91d4724091a16101');
  for (const hex of ['c70001', 'c8000001', 'c90000000001', 'd80100000000000000000000000000000000'])
    refused('extension', hex);
  for (const key of ['01', 'c0', 'c3', 'cb3ff0000000000000', 'c40161', '90', '80', 'd40000'])
    refused('key that is no string', `81${key}01`);
  const proto = toHex(fromUtf8('__proto__'));
  for (const key of [`a9${proto}`, `d909${proto}`, `da0009${proto}`, `db00000009${proto}`]) {
    refused('__proto__', `81${key}80`);
    refused('__proto__ inside', `9181a16181${key}80`);
  }
  refused('key twice', '82a16101a16102');
  refused('key twice in two forms', '82a16101d9016102');
  refused('malformed UTF-8', 'a1ff');
  refused('malformed UTF-8 in a key', '81a1ff01');
  refused('lone surrogate', 'a3eda080');
  refused('byte order mark', 'a4efbbbf61');
  t.equal(({} as { polluted?: unknown }).polluted, undefined);
});

t.test('size, depth and elements are bounded at the limit, on both sides', async t => {
  const deep = (depth: number) => Uint8Array.from({ length: depth }, (_, i) => (i === depth - 1 ? 0x90 : 0x91));
  decodePayload(deep(LIMITS.maxPayloadDepth));
  t.throws(() => decodePayload(deep(LIMITS.maxPayloadDepth + 1)), DECODE_FAILED);
  t.throws(() => decodePayload(deep(LIMITS.maxPayloadBytes)), DECODE_FAILED);
  t.throws(() => encodePayload(nested(LIMITS.maxPayloadDepth + 1)), INVALID_ARGUMENT);
  const maps = fromHex(`${'81a0'.repeat(LIMITS.maxPayloadDepth)}80`);
  t.throws(() => decodePayload(maps), DECODE_FAILED, 'maps count');
  const wide = (count: number) => Uint8Array.of(0xdc, count >> 8, count & 0xff, ...new Uint8Array(count));
  decodePayload(wide(LIMITS.maxPayloadElements));
  t.throws(() => decodePayload(wide(LIMITS.maxPayloadElements + 1)), DECODE_FAILED);
  const half = LIMITS.maxPayloadElements / 2;
  t.throws(() => decodePayload(Uint8Array.of(0x92, ...wide(half), ...wide(half))), DECODE_FAILED, 'all together');
  t.throws(() => encodePayload(Array.from({ length: LIMITS.maxPayloadElements + 1 }, () => 0)), INVALID_ARGUMENT);
  const header = 3;
  const longest = 'x'.repeat(LIMITS.maxPayloadBytes - header);
  t.equal(decodePayload(encodePayload(longest)), longest);
  t.throws(() => encodePayload(`${longest}x`), INVALID_ARGUMENT, 'its header does not fit');
  t.throws(() => encodePayload('ü'.repeat(LIMITS.maxPayloadBytes - 10)), INVALID_ARGUMENT);
  t.throws(() => encodePayload(new Uint8Array(LIMITS.maxPayloadBytes + 1)), INVALID_ARGUMENT);
  const large = encodePayload(`${longest}x`, 100_000);
  t.throws(() => decodePayload(large), DECODE_FAILED);
  t.equal(decodePayload(large, 100_000), `${longest}x`);
});

t.test('a huge claimed length is refused, and nothing is allocated for it', async t => {
  const claims = [
    'ddffffffff',
    'dfffffffff',
    'dbffffffff',
    'c6ffffffff',
    'dcffff',
    'deffff',
    '91ddffffffff',
    'c9ffffffff01',
  ];
  const inputs = claims.map(hex => fromHex(hex));
  const before = process.memoryUsage();
  let refusals = 0;
  for (let i = 0; i < 1_000; i++) for (const bytes of inputs) if (refuses(bytes)) refusals++;
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  t.equal(refusals, 1_000 * inputs.length);
  t.ok(grown < 100_000_000, `${grown} bytes`);
});

/** True if it is refused as it must be; throws what else it throws. */
function refuses(bytes: Uint8Array): boolean {
  try {
    decodePayload(bytes);
    return false;
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return true;
    throw error;
  }
}

t.test('random and damaged bytes never throw anything but DECODE_FAILED; what passes encodes again', async t => {
  const upTo = numbers(7);
  const sample = encodePayload({ id: 5n, list: [1, 'two', null, { three: Uint8Array.of(3) }], text: 'größe', f: 0.5 });
  let accepted = 0;
  for (let i = 0; i < 40_000; i++) {
    let bytes: Uint8Array;
    if (i % 2 === 0) bytes = Uint8Array.from({ length: upTo(64) }, () => upTo(256));
    else {
      bytes = sample.slice(0, upTo(4) === 0 ? upTo(sample.length + 1) : sample.length);
      for (let n = upTo(4); n >= 0 && bytes.length > 0; n--) bytes[upTo(bytes.length)] = upTo(256);
    }
    if (refuses(bytes)) continue;
    accepted++;
    const value = decodePayload(bytes);
    const again = decodePayload(encodePayload(value));
    if (toHex(encodePayload(again)) !== toHex(encodePayload(value))) t.fail(toHex(bytes));
  }
  t.ok(accepted > 1_000, `${accepted} accepted`);
});

t.test('a value that could not come back is the mistake of the caller', async t => {
  const cyclic: unknown[] = [];
  cyclic.push({ cyclic });
  class Order {
    side = 'buy';
  }
  class List extends Array {}
  let reads = 0;
  const values: Record<string, unknown> = {
    undefined,
    function: () => 1,
    symbol: Symbol('x'),
    date: new Date(0),
    'regular expression': /x/,
    error: new Error('x'),
    map: new Map(),
    set: new Set(),
    instance: new Order(),
    'array of a class': new List(),
    'inherited members': Object.create({ a: 1 }),
    'array buffer': new ArrayBuffer(1),
    'other typed array': new Float64Array(1),
    'data view': new DataView(new ArrayBuffer(1)),
    'symbol as key': { [Symbol('x')]: 1 },
    '__proto__ as key': JSON.parse('{"__proto__":{"polluted":true}}'),
    'sparse array': new Array(2),
    'huge sparse array': new Array(2 ** 32 - 1),
    cyclic,
    'large bigint': 2n ** 64n,
    'small bigint': -(2n ** 63n) - 1n,
    'lone surrogate': '\ud800',
    'lone surrogate in a long text': `\udc00${'x'.repeat(100)}`,
    'lone surrogate in a key': { '\ud800': 1 },
    'byte order mark': '\ufeffx',
    'getter that changes its mind': {
      get a() {
        return reads++ % 2 === 0 ? 1 : new Date(0);
      },
    },
  };
  for (const [what, value] of Object.entries(values)) {
    t.throws(() => encodePayload(value as PayloadValue), INVALID_ARGUMENT, what);
    t.throws(() => encodePayload({ a: [value] } as PayloadValue), INVALID_ARGUMENT, `${what} inside`);
  }
  t.strictSame(decodePayload(encodePayload('still works')), 'still works');
});

t.test('an extension that the application gave to msgpackr changes nothing', async t => {
  class Money {}
  addExtension({ Class: Money, type: 1, pack: () => Buffer.of(1), unpack: () => new Money() });
  t.throws(() => decodePayload(fromHex('d40101')), DECODE_FAILED);
  t.throws(() => encodePayload(new Money() as unknown as PayloadValue), INVALID_ARGUMENT);
});
