/** A transport whose connections can all be cut at once, as when a process dies. */
import { HopfairError } from '../../lib/errors.js';
import type { Connection, ConnectionHandler, Listener, Transport } from '../../lib/transport.js';

export interface Severable {
  readonly transport: Transport;
  /** Cuts every connection without a word, stops listening, and fails every dial from now on. */
  readonly sever: () => void;
}

export function severable(inner: Transport): Severable {
  const open = new Set<Connection>();
  const listeners = new Set<Listener>();
  let severed = false;

  const track = (connection: Connection): Connection => {
    if (severed) connection.destroy();
    else open.add(connection);
    const { attach } = connection;
    connection.attach = (handler: ConnectionHandler) =>
      attach.call(connection, {
        onMessage: message => handler.onMessage(message),
        onDrain: () => handler.onDrain(),
        onClose: cause => {
          open.delete(connection);
          handler.onClose(cause);
        },
      });
    return connection;
  };

  const transport: Transport = {
    schemes: inner.schemes,
    dial(address, limits, events) {
      if (!severed)
        return inner.dial(address, limits, {
          ...events,
          onConnection: connection => events.onConnection(track(connection)),
        });
      events.onError(new HopfairError('DIAL_FAILED', 'this node has crashed'));
      return () => undefined;
    },
    async listen(address, limits, onConnection) {
      if (inner.listen === undefined) throw new HopfairError('LISTEN_FAILED', 'this transport cannot listen');
      const listener = await inner.listen(address, limits, connection => onConnection(track(connection)));
      listeners.add(listener);
      return listener;
    },
  };
  const sever = (): void => {
    severed = true;
    for (const connection of open) connection.destroy();
    for (const listener of listeners) void listener.close();
  };
  return { transport, sever };
}
