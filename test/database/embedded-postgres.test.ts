import { stat } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  isAlive,
  itUnless,
  openWorkshop,
  postmasterPid,
  query,
  until,
  untilMembers,
} from './embedded-members.ts';

const workshop = openWorkshop();

describe('the first start', () => {
  it('makes a durable cluster that a relative path may name, and answers', async () => {
    const dataDir = workshop.newPath();
    const { connection } = await workshop.join(relative(process.cwd(), dataDir), true);
    const [row] = await query(
      connection,
      `SELECT current_database() AS database, current_user AS user, version() LIKE 'PostgreSQL 18.%' AS is18,
         pg_encoding_to_char(encoding) AS encoding, datcollate AS collation,
         current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
         current_setting('full_page_writes') AS pages, current_setting('jit') AS jit
       FROM pg_database WHERE datname = current_database()`,
    );
    expect(row).toEqual({
      database: 'gatehouse',
      user: 'gatehouse',
      is18: true,
      encoding: 'UTF8',
      collation: 'C',
      fsync: 'on',
      commit: 'on',
      pages: 'on',
      jit: 'off',
    });
  });

  it('listens on nothing but a socket in a folder that only its account can enter', async () => {
    const { connection } = await workshop.join(workshop.newPath());
    const [row] = await query(connection, `SELECT current_setting('listen_addresses') AS addresses`);
    expect(row).toEqual({ addresses: '' });
    const folder = await stat(connection.host);
    const socket = await stat(`${connection.host}/.s.PGSQL.${connection.port}`);
    expect(folder.mode & 0o777).toBe(0o700);
    expect(socket.mode & 0o777).toBe(0o700);
    expect(socket.uid).toBe(folder.uid);
    expect(folder.uid).not.toBe(0);
  });

  it('says that it takes a moment, and later starts do not', async () => {
    const dataDir = workshop.newPath();
    const first = await workshop.joined(workshop.start(dataDir));
    await first.release();
    const second = await workshop.joined(workshop.start(dataDir));
    expect(first.progress).toEqual([
      `Preparing the embedded PostgreSQL in ${dataDir} (first start, a few seconds) ...`,
    ]);
    expect(second.progress).toEqual([]);
  });

  it('leaves out what makes a cluster durable where a test wants it quick', async () => {
    const { connection } = await workshop.join(workshop.newPath());
    expect(await query(connection, 'SHOW fsync')).toEqual([{ fsync: 'off' }]);
  });
});

describe('members', () => {
  it('share the cluster: the first to leave does not stop it, the last one does, and nothing is lost', async () => {
    const dataDir = workshop.newPath();
    const first = await workshop.join(dataDir);
    const second = await workshop.join(dataDir);
    const pid = await postmasterPid(first.connection);
    await first.release();
    await query(second.connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
    expect(await postmasterPid(second.connection)).toBe(pid);
    await second.release();
    await second.release();
    expect(isAlive(pid)).toBe(false);
    const third = await workshop.join(dataDir);
    expect(await query(third.connection, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('end up on one cluster when they find an empty folder at the same moment', async () => {
    const dataDir = workshop.newPath();
    const children = Array.from({ length: 3 }, () => workshop.start(dataDir));
    const members = await Promise.all(children.map((child) => workshop.joined(child)));
    const pids = await Promise.all(members.map(({ connection }) => postmasterPid(connection)));
    expect(new Set(pids).size).toBe(1);
    await Promise.all(members.map((member) => member.release()));
    expect(isAlive(Number(pids[0]))).toBe(false);
  });

  it('come and go at the same time without ever finding the cluster gone', async () => {
    const dataDir = workshop.newPath();
    const founder = await workshop.join(dataDir);
    await query(founder.connection, 'CREATE TABLE visits (lane int)');
    await founder.release();
    const comeAndGo = async (lane: number) => {
      for (let visit = 0; visit < 4; visit++) {
        const member = await workshop.joined(workshop.start(dataDir));
        await query(member.connection, `INSERT INTO visits VALUES (${lane})`);
        await member.release();
      }
    };
    await Promise.all([1, 2, 3].map(comeAndGo));
    const { connection } = await workshop.join(dataDir);
    expect(await query(connection, 'SELECT count(*)::int AS visits FROM visits')).toEqual([{ visits: 12 }]);
  });

  it('no longer count once they are killed', async () => {
    const dataDir = workshop.newPath();
    const killed = await workshop.joined(workshop.start(dataDir));
    const member = await workshop.join(dataDir);
    const pid = await postmasterPid(member.connection);
    await killed.kill();
    await untilMembers(member.connection, 1);
    await member.release();
    expect(isAlive(pid)).toBe(false);
  });

  it('leave the cluster to whoever is connected to it besides', async () => {
    const dataDir = workshop.newPath();
    const member = await workshop.join(dataDir);
    const pid = await postmasterPid(member.connection);
    const stranger = query(member.connection, 'SELECT pg_sleep(1)');
    const sleeping = `SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1)'`;
    await until('asleep', async () => (await query(member.connection, sleeping)).length === 1);
    await member.release();
    expect(isAlive(pid)).toBe(true);
    await stranger;
    await (await workshop.join(dataDir)).release();
    expect(isAlive(pid)).toBe(false);
  });

  it('do not keep their process alive when it forgets to leave, nor the server in its session', async () => {
    const dataDir = workshop.newPath();
    const member = await workshop.joined(workshop.start(dataDir));
    const pid = await postmasterPid(member.connection);
    member.process.disconnect();
    await until('ended', () => member.process.exitCode !== null);
    expect(member.process.exitCode).toBe(0);
    expect(isAlive(pid)).toBe(true);
    await (await workshop.join(dataDir)).release();
    expect(isAlive(pid)).toBe(false);
  });

  const noProc = process.platform === 'linux' ? undefined : 'reads /proc';
  itUnless(noProc, 'start the server in a session of its own, out of reach of Ctrl-C', async () => {
    const { connection } = await workshop.join(workshop.newPath());
    const pid = await postmasterPid(connection);
    const [, , group, session] = (await readFile(`/proc/${pid}/stat`, 'utf8'))
      .replace(/.*\) /, '')
      .split(' ');
    expect([Number(group), Number(session)]).toEqual([pid, pid]);
  });
});
