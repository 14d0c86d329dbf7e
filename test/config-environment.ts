/** Environments of a server that others can reach, and what is said of their faults. */
import { ConfigError, readConfig } from '../src/config.ts';

export const SECRET_KEY = Buffer.alloc(32, 1).toString('base64');
export const PUBLIC = {
  PUBLIC_URL: 'https://sso.example',
  DATABASE_URL: 'postgres://gatehouse:hunter2@db.example/gatehouse',
  SECRET_KEY,
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** What `readConfig` says of a faulty environment. Anything but a ConfigError is a failure of its own. */
export function faultsOf(env: Environment): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

/** What has to be there as well for one variable to be the only fault. */
export const besideFault = (name: string): Environment =>
  name === 'REGION' ? { REGIONS: 'eu=https://sso.example' } : name === 'REGIONS' ? { REGION: 'eu' } : {};

export const namesIn = (faults: readonly string[]) => faults.map((fault) => fault.split(' ')[0]);
