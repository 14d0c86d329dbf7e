/**
 * The log: JSON lines on standard output. What is logged of an error is its class, code and reason. Messages of libraries
 * are left out where they may quote a request, a token or an address.
 */
import { isNativeError } from 'node:util/types';
import { pino, type Logger } from 'pino';
import type { LogLevel } from './config.ts';
import { GatewayError } from './errors.ts';
import { logOutput } from './log-output.ts';

export type { Logger } from 'pino';

const LONGEST_FIELD = 1_024;

/** DEL and the C1 controls, line separators, and what reorders text. */
const ACTIVE = /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

const asEscape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

export function openLog(level: LogLevel, destination?: { write(line: string): void }): Logger {
  const options = {
    level,
    base: { name: 'gatehouse' },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    // JSON leaves these as they are, and a terminal may act on them.
    hooks: { streamWrite: (line: string) => line.replace(ACTIVE, asEscape) },
    redact: ['*.cookie', '*.authorization', '*.token', '*.secret', '*.password'],
  };
  return pino(options, destination ?? logOutput());
}

/** An error and its causes as short words: `GatewayError temporarily_unavailable (database) < error 57P01`. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let current = error; isNativeError(current) && parts.length < 6; current = current.cause) {
    parts.push(describeOne(current));
  }
  return (parts.length > 0 ? parts.join(' < ') : typeof error).slice(0, LONGEST_FIELD);
}

function describeOne(error: Error): string {
  // Who tried too often is for the audit trail.
  if (error instanceof GatewayError)
    return `${error.name} ${error.code === 'rate_limited' ? error.code : error.message}`;
  const { code } = error as { code?: unknown };
  const named =
    typeof code === 'string' || typeof code === 'number' ? `${error.name} ${String(code)}` : error.name;
  // Where it happened says what the message might say too freely.
  const frame = /^\s+at .*$/m.exec(error.stack ?? '')?.[0].trim();
  return frame === undefined ? named : `${named} ${frame}`;
}
