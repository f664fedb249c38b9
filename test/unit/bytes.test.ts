import t from 'tap';
import { compareBytes, Reader, Writer } from '../../lib/bytes.js';

t.test('what a Writer wrote a Reader reads back, and nothing is left', async t => {
  const bytes = new Writer(1)
    .u8(1)
    .u16(0xfffe)
    .u32(0xdeadbeef)
    .u64(2 ** 53 - 1)
    .text('größe')
    .bytes32(new Uint8Array(3))
    .finish();
  const r = new Reader(bytes);
  t.strictSame(
    [r.u8(), r.u16(), r.u32(), r.u64(), r.text(16), r.bytes32(3).length],
    [1, 0xfffe, 0xdeadbeef, 2 ** 53 - 1, 'größe', 3],
  );
  r.end();
});

t.test(
  'a Reader refuses overruns, lengths over the limit, integers above 2^53, bad UTF-8 and trailing bytes',
  async t => {
    const refused = (bytes: number[], read: (r: Reader) => unknown) =>
      t.throws(() => read(new Reader(Uint8Array.from(bytes))), { name: 'HopfairError', code: 'DECODE_FAILED' });
    refused([1], r => r.u16());
    refused([0, 5, 1], r => r.bytes16());
    refused([0, 2, 1, 1], r => r.bytes16(1));
    refused([0, 0x20, 0, 0, 0, 0, 0, 0], r => r.u64());
    refused([0, 1, 0xff], r => r.text(8));
    refused([0, 9], r => r.count16(8));
    refused([1, 2], r => {
      r.u8();
      r.end();
    });
  },
);

t.test('bytes compare as unsigned, a prefix first', async t => {
  t.ok(compareBytes(Uint8Array.of(0x7f), Uint8Array.of(0x80)) < 0);
  t.ok(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0)) < 0);
  t.equal(compareBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), 0);
});
