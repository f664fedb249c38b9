import { tcpTransport } from '../../dist/transports/tcp.js';
import { makeAdapter } from './peer-adapter.mjs';

export default makeAdapter({
  name: 'hopfair-tcp-large',
  label: 'hopfair channel over tcp, classical, messages up to 1 MiB',
  transport: tcpTransport(),
  postQuantum: 'off',
  maxMessageBytes: 1_048_576,
});
