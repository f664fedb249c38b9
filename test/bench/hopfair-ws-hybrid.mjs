import { webSocketTransport } from '../../dist/transports/websocket.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-ws-hybrid',
  label: 'hopfair channel over ws, hybrid',
  transport: webSocketTransport(),
  postQuantum: 'required',
});
