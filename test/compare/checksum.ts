/**
 * Checksums of the packets inside VXLAN. Virtual interfaces leave them to hardware that there is none of, which nobody
 * notices until the packets pass through a process: so whoever passes them on has to do the sums. Pure.
 */
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const TCP = 6;
const UDP = 17;
/** Where each protocol keeps its checksum. */
const CHECKSUM_AT: Readonly<Record<number, number>> = { [TCP]: 16, [UDP]: 6 };

/** What is inside an Ethernet frame that begins at `offset`; undefined for anything but TCP and UDP over IP, unfragmented. */
export interface Segment {
  readonly protocol: number;
  /** Of both addresses together. */
  readonly addresses: readonly [from: number, to: number];
  readonly from: number;
  readonly to: number;
}

export function segmentOf(packet: Buffer, offset: number): Segment | undefined {
  const ip = offset + 14;
  if (packet.length < ip + 20) return undefined;
  const type = packet.readUInt16BE(ip - 2);
  let segment: Segment;
  if (type === ETHERTYPE_IPV4) {
    const isFragment = (packet.readUInt16BE(ip + 6) & 0x3fff) !== 0;
    if (isFragment) return undefined;
    const from = ip + (packet.readUInt8(ip) & 0x0f) * 4;
    const to = ip + packet.readUInt16BE(ip + 2);
    segment = { protocol: packet.readUInt8(ip + 9), addresses: [ip + 12, ip + 20], from, to };
  } else if (type === ETHERTYPE_IPV6 && packet.length >= ip + 40) {
    const from = ip + 40;
    const to = from + packet.readUInt16BE(ip + 4);
    segment = { protocol: packet.readUInt8(ip + 6), addresses: [ip + 8, ip + 40], from, to };
  } else return undefined;
  const at = CHECKSUM_AT[segment.protocol];
  const isWhole = at !== undefined && segment.from + at + 2 <= segment.to && segment.to <= packet.length;
  return isWhole ? segment : undefined;
}

/** Ones' complement sum of 16-bit words, the last byte padded with zero. */
function sum(packet: Buffer, from: number, to: number, start: number): number {
  let total = start;
  for (let i = from; i + 1 < to; i += 2) total += packet.readUInt16BE(i);
  if ((to - from) % 2 === 1) total += packet.readUInt8(to - 1) << 8;
  return total;
}

/** Writes the checksum of this segment into the packet. */
export function writeChecksum(packet: Buffer, { protocol, addresses, from, to }: Segment): void {
  const at = from + (CHECKSUM_AT[protocol] ?? 0);
  packet.writeUInt16BE(0, at);
  let total = sum(packet, from, to, sum(packet, ...addresses, protocol + to - from));
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  const checksum = ~total & 0xffff;
  packet.writeUInt16BE(checksum === 0 && protocol === UDP ? 0xffff : checksum, at);
}
