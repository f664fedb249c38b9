import { tcpTransport } from '../../dist/transports/tcp.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-tcp',
  label: 'hopfair channel over tcp, classical',
  transport: tcpTransport(),
  postQuantum: 'off',
});
