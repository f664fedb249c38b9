import { webSocketTransport } from '../../dist/transports/websocket.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-ws-large',
  label: 'hopfair channel over ws, classical, messages up to 1 MiB',
  transport: webSocketTransport(),
  postQuantum: 'off',
  maxMessageBytes: 1_048_576,
});
