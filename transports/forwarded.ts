/** Whose address counts behind a proxy: what `X-Forwarded-For` says, as far as proxies of the operator wrote it. */
import { BlockList, isIP } from 'node:net';
import { HopfairError } from '../lib/errors.js';

const MAPPED = '::ffff:';

function unmapped(host: string): string {
  return host.toLowerCase().startsWith(MAPPED) && host.includes('.') ? host.slice(MAPPED.length) : host;
}

function familyOf(host: string): 'ipv4' | 'ipv6' {
  return isIP(host) === 4 ? 'ipv4' : 'ipv6';
}

/** The proxies that an operator lists, as addresses or prefixes: `10.0.0.7`, `fd00::/8`. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** Throws ADDRESS_INVALID. */
  constructor(proxies: readonly string[]) {
    for (const proxy of proxies) {
      const [host = '', prefix] = proxy.split('/');
      const maxPrefix = isIP(host) === 4 ? 32 : 128;
      const length = prefix === undefined ? maxPrefix : Number(prefix);
      if (isIP(host) === 0 || prefix === '' || !Number.isInteger(length) || length < 0 || length > maxPrefix) {
        throw new HopfairError('ADDRESS_INVALID', `"${proxy}" is no address and no prefix`);
      }
      this.#list.addSubnet(host, length, familyOf(host));
    }
  }

  has(host: string | undefined): boolean {
    if (host === undefined) return false;
    const address = unmapped(host);
    return isIP(address) !== 0 && this.#list.check(address, familyOf(address));
  }

  /**
   * The last address in the chain that no listed proxy has: what stands before it, anybody can have written. Undefined
   * where the chain says nothing; IPv6 comes in brackets, and no port is known.
   */
  client(forwardedFor: string | readonly string[] | undefined): string | undefined {
    const chain = (typeof forwardedFor === 'string' ? forwardedFor : (forwardedFor ?? []).join(',')).split(',');
    for (let i = chain.length - 1; i >= 0; i--) {
      const host = unmapped((chain[i] as string).trim().replace(/^\[|\]$/g, ''));
      if (isIP(host) === 0) return undefined;
      if (!this.has(host)) return isIP(host) === 6 ? `[${host}]` : host;
    }
    return undefined;
  }
}
