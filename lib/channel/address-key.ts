/** What rates are counted by: who can have one IPv6 address has the whole /64. */

const IPV4_IN_IPV6 = '::ffff:';

function hostOf(remoteAddress: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(remoteAddress);
  if (bracketed !== null) return bracketed[1] ?? '';
  return /^([0-9.]+):\d+$/.exec(remoteAddress)?.[1] ?? remoteAddress;
}

/** The first four groups of an IPv6 address in full. */
function prefix64(host: string): string {
  const [address = ''] = host.split('%');
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...new Array<string>(zeros).fill('0'), ...tail];
  return groups
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':');
}

/** The IPv4 address, the /64 of an IPv6 address, or the address as it is where it is neither. */
export function addressKey(remoteAddress: string): string {
  const host = hostOf(remoteAddress).toLowerCase();
  if (host.startsWith(IPV4_IN_IPV6) && host.includes('.')) return host.slice(IPV4_IN_IPV6.length);
  return /^[0-9a-f:]*:[0-9a-f:.%a-z]*$/.test(host) && !host.includes('/') ? `${prefix64(host)}::/64` : host;
}

/** Loopback, and addresses that are no IP addresses at all: those of the same process. */
export function isLoopback(remoteAddress: string): boolean {
  const host = hostOf(remoteAddress).toLowerCase();
  const ipv4 = host.startsWith(IPV4_IN_IPV6) ? host.slice(IPV4_IN_IPV6.length) : host;
  return host === '::1' || ipv4.startsWith('127.') || host.startsWith('memory://');
}
