/** Addresses as commands take them: as arguments, or one a line of a file. */
import { Refusal } from '../errors.ts';
import { canonicalEmail, type EmailAddress } from '../organizations/email-address.ts';
import { readInput, showable, type Terminal } from './terminal.ts';

/**
 * Each address once, canonical.
 * @param file one address a line; empty lines and those that begin with # do not count; `-` for standard input
 * @throws Refusal for what is no address, naming the line
 */
export async function readAddresses(
  terminal: Terminal,
  given: readonly string[],
  file: string | undefined,
): Promise<readonly EmailAddress[]> {
  const lines = file === undefined ? [] : (await readInput(terminal, file)).split(/\r?\n/);
  const found = new Set<EmailAddress>();
  for (const text of given) found.add(checked(text, ''));
  for (const [index, line] of lines.entries()) {
    const text = line.trim();
    if (text !== '' && !text.startsWith('#')) found.add(checked(text, `Line ${index + 1}: `));
  }
  return [...found];
}

function checked(text: string, where: string): EmailAddress {
  const email = canonicalEmail(text);
  if (email === undefined)
    throw new Refusal(`${where}"${showable(text.slice(0, 80))}" is not an e-mail address. Nothing was done.`);
  return email.address;
}
