import { tcpTransport } from '../../dist/transports/tcp.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-tcp-spin',
  label: 'hopfair channel over tcp, classical, spinning',
  transport: tcpTransport(),
  postQuantum: 'off',
  spin: true,
});
