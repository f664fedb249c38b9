import { webSocketTransport } from '../../dist/transports/websocket.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-ws',
  label: 'hopfair channel over ws, classical',
  transport: webSocketTransport(),
  postQuantum: 'off',
});
