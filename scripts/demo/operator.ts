/**
 * The vendor's operator in the demonstration: types the real commands, so that what is registered is registered as anybody would,
 * and shows them with what they answer.
 */
import type { GatewayProcess } from './gateway-process.ts';
import { asTyped } from './terminal.ts';
import type { Terminal } from './terminal.ts';

/** Types commands and shows what they answer. */
export class Operator {
  readonly #gateway: GatewayProcess;
  readonly #terminal: Terminal;

  constructor(gateway: GatewayProcess, terminal: Terminal) {
    this.#gateway = gateway;
    this.#terminal = terminal;
  }

  /** @throws with what the command said, unless its exit code is among the expected ones */
  async type(args: readonly string[], expectedExitCodes: readonly number[] = [0]): Promise<string> {
    const terminal = this.#terminal;
    terminal.line(`${terminal.paint('green', '$')} gatehouse ${asTyped(args)}`);
    const { exitCode, stdout, stderr } = await this.#gateway.run(args);
    for (const line of `${stdout}${stderr}`.split('\n')) {
      if (line.trim() !== '') terminal.line(terminal.paint('dim', `  ${line}`));
    }
    if (!expectedExitCodes.includes(exitCode)) {
      throw new Error(`gatehouse ${args.slice(0, 2).join(' ')} ended with exit code ${exitCode}.`);
    }
    return stdout;
  }

  async typeForJson(args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse(await this.type([...args, '--json'])) as Record<string, unknown>;
  }
}

export function textMember(record: Readonly<Record<string, unknown>>, name: string): string {
  const value = record[name];
  if (typeof value !== 'string') throw new Error(`"connection add --json" printed no ${name}.`);
  return value;
}
