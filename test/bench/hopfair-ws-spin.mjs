import { webSocketTransport } from '../../dist/transports/websocket.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-ws-spin',
  label: 'hopfair channel over ws, classical, spinning',
  transport: webSocketTransport(),
  postQuantum: 'off',
  spin: true,
});
