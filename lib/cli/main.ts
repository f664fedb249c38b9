#!/usr/bin/env node
import { defaultCrypto } from '../crypto/index.js';
import { processOutput, run } from './index.js';

process.exitCode = await run(process.argv.slice(2), defaultCrypto(), processOutput);
