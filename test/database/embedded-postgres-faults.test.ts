import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { accountForNewCluster, runningAs } from '../../src/database/embedded-account.ts';
import { EmbeddedPostgresError, joinEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { isAlive, openWorkshop, postmasterPid, query, until, untilMembers } from './embedded-members.ts';

const workshop = openWorkshop();

/** Made once, as a new cluster takes a while: the tests get copies. */
let original: { readonly dataDir: string; readonly socketFolder: string };

beforeAll(async () => {
  const dataDir = workshop.newPath();
  const embedded = await workshop.join(dataDir);
  const { connection } = embedded;
  await query(connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await embedded.release();
  original = { dataDir, socketFolder: connection.host };
});

/** A cluster that was stopped, with a table in it. */
async function stoppedCluster(): Promise<{ dataDir: string; dataFolder: string; socketFolder: string }> {
  const dataDir = workshop.newPath();
  // Owners and modes are those of the original.
  await promisify(execFile)('cp', ['-a', original.dataDir, dataDir]);
  const socketFolder = original.socketFolder.replace(original.dataDir, dataDir);
  return { dataDir, dataFolder: join(dataDir, 'postgres', 'data'), socketFolder };
}

async function expectKept(dataDir: string): Promise<void> {
  const { connection } = await workshop.join(dataDir);
  expect(await query(connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
}

/** A cluster whose only member was killed and whose server was killed after it. */
async function killedCluster(): Promise<{ dataDir: string; dataFolder: string; socketFolder: string }> {
  const stopped = await stoppedCluster();
  const member = await workshop.joined(workshop.start(stopped.dataDir));
  const pid = await postmasterPid(member.connection);
  await member.kill();
  process.kill(pid, 'SIGKILL');
  await until('dead', () => !isAlive(pid));
  return stopped;
}

/** A mutex that nobody has kept up for a minute. */
async function ageMutex(dataDir: string): Promise<void> {
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(join(dataDir, 'postgres.lock'), longAgo, longAgo);
}

/** A process of the account that runs PostgreSQL, and that is not PostgreSQL. */
async function withForeignProcess(work: (pid: number) => Promise<void>): Promise<void> {
  const child = spawn('sleep', ['60'], { ...runningAs(await accountForNewCluster()), cwd: '/' });
  await once(child, 'spawn');
  try {
    await work(Number(child.pid));
  } finally {
    child.kill();
  }
}

describe('a server that was killed', () => {
  it('is started again by whoever joins next, with what was stored', async () => {
    const { dataDir } = await killedCluster();
    await expectKept(dataDir);
  });

  it('is started again for a member that stays, which still counts then', async () => {
    const dataDir = workshop.newPath();
    const { connection } = await workshop.join(dataDir);
    const pid = await postmasterPid(connection);
    process.kill(pid, 'SIGKILL');
    await until('back', () =>
      query(connection, 'SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    await untilMembers(connection, 1);
    const restarted = await postmasterPid(connection);
    await (await workshop.join(dataDir)).release();
    expect(await postmasterPid(connection)).toBe(restarted);
  });

  it('does not stop a member from leaving at once', async () => {
    const dataDir = workshop.newPath();
    const embedded = await workshop.join(dataDir);
    const { connection } = embedded;
    process.kill(await postmasterPid(connection), 'SIGKILL');
    await embedded.release();
    const next = await workshop.join(dataDir);
    const pid = await postmasterPid(next.connection);
    await next.release();
    expect(isAlive(pid)).toBe(false);
  });

  it('is waited for while one of its processes is still at work', async () => {
    const dataDir = workshop.newPath();
    const embedded = await workshop.join(dataDir);
    const { connection } = embedded;
    const busy = query(connection, 'SELECT count(*) FROM generate_series(1, 12000000)').catch(
      () => undefined,
    );
    const active = `SELECT FROM pg_stat_activity WHERE query LIKE '%generate_series%' AND pid <> pg_backend_pid()`;
    await until('busy', async () => (await query(connection, active)).length === 1);
    process.kill(await postmasterPid(connection), 'SIGKILL');
    await embedded.release();
    const next = await workshop.join(dataDir);
    expect(await query(next.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await busy;
  });
});

describe('what is left over', () => {
  it('of a socket whose lock file names a process that lives', async () => {
    const { dataDir, socketFolder } = await killedCluster();
    await withForeignProcess(async (pid) => {
      await writeFile(
        join(socketFolder, '.s.PGSQL.5432.lock'),
        `${pid}\n/nowhere\n0\n5432\n${socketFolder}\n`,
      );
      await expectKept(dataDir);
    });
  });

  it('of a server whose process number now belongs to another process, which is left alone', async () => {
    const { dataDir, dataFolder } = await killedCluster();
    await withForeignProcess(async (pid) => {
      const file = join(dataFolder, 'postmaster.pid');
      await writeFile(file, (await readFile(file, 'utf8')).replace(/^\d+/, String(pid)));
      await expectKept(dataDir);
      expect(isAlive(pid)).toBe(true);
    });
  });

  it('of a server that was killed before it could write its number', async () => {
    const { dataDir, dataFolder } = await stoppedCluster();
    await writeFile(join(dataFolder, 'postmaster.pid'), '');
    await expectKept(dataDir);
  });

  it('of a mutex whose holder was killed', async () => {
    const { dataDir } = await stoppedCluster();
    await mkdir(join(dataDir, 'postgres.lock'));
    await ageMutex(dataDir);
    await expectKept(dataDir);
  });

  it('of a first start that was killed midway', async () => {
    const dataDir = workshop.newPath();
    const child = workshop.start(dataDir);
    const names = () => readdir(dataDir).catch(() => [] as string[]);
    await until('under way', async () => {
      const draft = (await names()).find((name) => name.includes('draft'));
      return (
        draft !== undefined &&
        (await stat(join(dataDir, draft, 'data', 'base')).catch(() => undefined)) !== undefined
      );
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await ageMutex(dataDir);
    expect(await names()).not.toContain('postgres');
    const { connection } = await workshop.join(dataDir);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await names()).filter((name) => name.includes('draft'))).toEqual([]);
  });

  it('of a server whose socket was removed: it is stopped, and started where it can be reached', async () => {
    const dataDir = workshop.newPath();
    const { connection } = await workshop.join(dataDir);
    await query(connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const pid = await postmasterPid(connection);
    await rm(join(connection.host, '.s.PGSQL.5432'));
    await expectKept(dataDir);
    expect(isAlive(pid)).toBe(false);
  });

  it('of an empty folder in the place of the cluster', async () => {
    const dataDir = workshop.newPath();
    await mkdir(join(dataDir, 'postgres'), { recursive: true });
    const { connection } = await workshop.join(dataDir);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('a data directory that is removed while the server runs', () => {
  it('takes the server with it when its last member leaves', async () => {
    const dataDir = workshop.newPath();
    const embedded = await workshop.join(dataDir);
    const { connection } = embedded;
    const pid = await postmasterPid(connection);
    await rm(dataDir, { recursive: true, maxRetries: 3 });
    await embedded.release();
    expect(isAlive(pid)).toBe(false);
  });
});

describe('a refusal names the fault and the next step', () => {
  async function refusal(dataDir: string): Promise<string> {
    const error: unknown = await joinEmbeddedPostgres({ dataDir, durable: false }).catch(
      (fault: unknown) => fault,
    );
    expect(error).toBeInstanceOf(EmbeddedPostgresError);
    const { message } = error as EmbeddedPostgresError;
    expect(message).toMatch(/[Oo]r set DATABASE_URL( to a PostgreSQL server instead)?\.$/);
    return message;
  }

  it('when the server does not start, with the end of its log', async () => {
    const { dataDir, dataFolder } = await stoppedCluster();
    await rename(join(dataFolder, 'global'), join(dataFolder, 'elsewhere'));
    const message = await refusal(dataDir);
    expect(message).toContain('could not find the database system');
    expect(message).toContain(join(dataDir, 'postgres.log'));
    expect(message.split('\n').length).toBeLessThan(14);
  });

  it('when others may enter the folder of the socket', async () => {
    const { dataDir, socketFolder } = await stoppedCluster();
    await chmod(socketFolder, 0o755);
    expect(await refusal(dataDir)).toContain(`remove ${socketFolder}`);
  });

  it('when something else is in the place of the cluster', async () => {
    const dataDir = workshop.newPath();
    await mkdir(join(dataDir, 'postgres'), { recursive: true });
    await writeFile(join(dataDir, 'postgres', 'notes.txt'), 'mine');
    expect(await refusal(dataDir)).toContain('is no database');
  });

  it('when the data directory cannot be made', async () => {
    const file = workshop.newPath();
    await writeFile(file, '');
    expect(await refusal(join(file, 'data'))).toContain('ENOTDIR');
  });
});
