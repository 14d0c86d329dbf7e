#!/usr/bin/env node
/** The program: arguments in, an exit status out. The one place that ends the process. */
import { runProgram } from './cli/program.ts';

process.exit(await runProgram(process.argv.slice(2)));
