/** Who sits between two honest ends and gives them what they said: reflected handshakes, reflected and repeated records. */
import { LIMITS } from '../../lib/limits.js';
import type { Connection, Listener, Transport } from '../../lib/transport.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import type { TransportName } from './wire.js';

const transportOf = (name: TransportName): Transport => (name === 'ws' ? webSocketTransport() : tcpTransport());

async function listen(name: TransportName, onConnection: (connection: Connection) => void): Promise<Listener> {
  const listener = await transportOf(name).listen?.(`${name}://127.0.0.1:0`, LIMITS, onConnection);
  if (listener === undefined) throw new Error(`${name} cannot listen`);
  return listener;
}

/** Sends every message back to whoever dials. */
export function mirror(name: TransportName): Promise<Listener> {
  return listen(name, connection =>
    connection.attach({
      onMessage: message => connection.send([message.slice()]),
      onDrain: () => undefined,
      onClose: () => undefined,
    }),
  );
}

export type Meddling = 'reflect' | 'repeat' | 'swap';

/**
 * Passes messages on between whoever dials and the victim, until `meddle` is called: then once, with the next record,
 * gives the victim its own record back, the dialler's twice, or two of the dialler's in the wrong order.
 */
export async function inBetween(
  name: TransportName,
  port: number,
  meddling: Meddling,
): Promise<{ readonly listener: Listener; meddle(): void }> {
  let isDue = false;
  let kept: Uint8Array | undefined;

  function passOn(near: Connection, far: Connection): void {
    near.attach({
      onMessage: message => {
        const copy = message.slice();
        if (isDue && meddling === 'swap' && kept === undefined) {
          kept = copy;
          return;
        }
        far.send([copy]);
        if (kept !== undefined) far.send([kept]);
        else if (isDue && meddling === 'repeat') far.send([copy.slice()]);
        if (meddling !== 'reflect') isDue = false;
        kept = undefined;
      },
      onDrain: () => undefined,
      onClose: () => far.destroy(),
    });
    far.attach({
      onMessage: message => {
        const copy = message.slice();
        near.send([copy]);
        if (isDue && meddling === 'reflect') {
          isDue = false;
          far.send([copy.slice()]);
        }
      },
      onDrain: () => undefined,
      onClose: () => near.destroy(),
    });
  }

  const listener = await listen(name, near => {
    transportOf(name).dial(`${name}://127.0.0.1:${port}`, LIMITS, {
      onConnection: far => passOn(near, far),
      onError: () => near.destroy(),
    });
  });
  return {
    listener,
    meddle: () => {
      isDue = true;
    },
  };
}
