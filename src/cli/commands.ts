/** The list of all commands, in the order in which help shows them. */
import type { Command } from 'commander';
import { applicationCommands } from './app.ts';
import { auditCommands } from './audit.ts';
import { breakGlassCommand } from './break-glass.ts';
import { connectionCommands } from './connection.ts';
import { cutoverCommands } from './cutover.ts';
import { doctorCommand } from './doctor.ts';
import { domainCommands } from './domain.ts';
import { explainCommand } from './explain.ts';
import { hostCommands } from './host.ts';
import { signingKeyCommands } from './keys.ts';
import { organizationCommands } from './org.ts';
import { restoredCommand } from './restored.ts';
import { serverCommands } from './serve.ts';
import { sessionCommands } from './session.ts';
import { userCommands } from './user.ts';
import type { Terminal } from './terminal.ts';

export const allCommands: readonly ((program: Command, terminal: Terminal) => void)[] = [
  serverCommands,
  organizationCommands,
  domainCommands,
  connectionCommands,
  cutoverCommands,
  breakGlassCommand,
  userCommands,
  applicationCommands,
  hostCommands,
  signingKeyCommands,
  sessionCommands,
  explainCommand,
  auditCommands,
  doctorCommand,
  restoredCommand,
];
