/** Keys of SECRET_KEY that nobody drew by lot: whoever guesses one opens everything that it sealed. */
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding } from './finding.ts';

export function checkSecretKey(parts: CheckParts): Promise<readonly Finding[]> {
  const keys = isForOthers(parts) ? (parts.config.secretKeys ?? []) : [];
  const findings = keys.flatMap((key, index): readonly Finding[] => {
    const why = whyGuessable(key);
    if (why === undefined) return [];
    return [
      {
        kind: 'secret_key',
        severity: 'critical',
        subject: `SECRET_KEY ${index + 1}`,
        message: `key ${index + 1} of SECRET_KEY can be guessed: ${why}`,
        nextStep:
          'put a new key in front of it (openssl rand -base64 32), and take it away once nothing is sealed with it',
      },
    ];
  });
  return Promise.resolve(findings);
}

/** 32 bytes by lot have about 30 different ones; fewer than this once in 10^18 times. */
const FEWEST_DIFFERENT = 18;

function whyGuessable(key: Buffer): string | undefined {
  const steps = new Set(key.subarray(1).map((byte, index) => byte - (key[index] ?? 0)));
  if (steps.size === 1) return 'its bytes follow from one another';
  if (new Set(key).size < FEWEST_DIFFERENT) return 'it repeats few different bytes';
  // By lot once in 10^14 times. Examples in guides are often a sentence.
  if (key.every((byte) => byte >= 0x20 && byte < 0x7f)) return 'it is text';
  return undefined;
}
