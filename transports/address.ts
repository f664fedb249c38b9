import { HopfairError } from '../lib/errors.js';

/** Host and port of `scheme://host:port`; throws ADDRESS_INVALID. IPv6 hosts come without their brackets. */
export function parseHostPort(address: string, schemes: readonly string[]): { host: string; port: number; url: URL } {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw new HopfairError('ADDRESS_INVALID', `malformed address "${address}"`, { cause });
  }
  const scheme = url.protocol.slice(0, -1);
  if (!schemes.includes(scheme)) {
    throw new HopfairError('ADDRESS_INVALID', `"${address}" does not begin with ${schemes.join(':// or ')}://`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port !== '' ? Number(url.port) : scheme === 'wss' ? 443 : scheme === 'ws' ? 80 : undefined;
  if (host === '' || port === undefined) {
    throw new HopfairError('ADDRESS_INVALID', `"${address}" lacks its host or port`);
  }
  return { host, port, url };
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatHostPort(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return 'unknown';
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
