import { chmod, cp, lstat, mkdir, readdir, readFile, readlink, realpath, rm, stat } from 'node:fs/promises';
import { rename, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { accountForNewCluster, canReach } from '../../src/database/embedded-account.ts';
import { joinEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { findPackage, preparePrograms } from '../../src/database/embedded-programs.ts';
import { isAlive, isRoot, itUnless, openWorkshop, postmasterPid, query } from './embedded-members.ts';

const workshop = openWorkshop();
const notRoot = isRoot ? undefined : 'only root has other accounts at hand';
const nobody = await accountForNewCluster();
const closedSources =
  notRoot ??
  ((await canReach(findPackage(), nobody)) && (await canReach(process.execPath, nobody))
    ? undefined
    : 'other accounts cannot read this checkout or run this Node');

describe('a data directory with a long path, spaces and commas', () => {
  const longPath = () => join(workshop.newPath(), 'a long, long "path"'.repeat(3), 'x'.repeat(60));

  it('has its socket among the temporary files, while it runs', async () => {
    const dataDir = longPath();
    const embedded = await workshop.join(dataDir);
    const { connection } = embedded;
    expect(Buffer.byteLength(connection.host)).toBeLessThan(86);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const { mode, uid } = await lstat(connection.host);
    expect([mode & 0o777, uid]).toEqual([0o700, nobody.uid]);
    const again = await workshop.join(dataDir);
    expect(again.connection).toEqual(connection);
    await again.release();
    await embedded.release();
    await expect(lstat(connection.host)).rejects.toThrow('ENOENT');
  });

  it('does not trust a folder that somebody else put in the place of the one it had', async () => {
    const dataDir = longPath();
    const member = await workshop.joined(workshop.start(dataDir));
    const { host } = member.connection;
    const pid = await postmasterPid(member.connection);
    await rename(host, `${host}-moved`);
    try {
      await symlink(`${host}-moved`, host);
      await expect(joinEmbeddedPostgres({ dataDir })).rejects.toThrow('belongs to somebody else');
      await rm(host);
      await mkdir(host, { mode: 0o755 });
      await expect(joinEmbeddedPostgres({ dataDir })).rejects.toThrow('open to others');
      await rm(host, { recursive: true });
    } finally {
      await rename(`${host}-moved`, host);
    }
    await member.release();
    expect(isAlive(pid)).toBe(false);
  });

  it('takes a new folder when the old one was cleaned away', async () => {
    const dataDir = longPath();
    const member = await workshop.joined(workshop.start(dataDir));
    const pid = await postmasterPid(member.connection);
    await member.kill();
    process.kill(pid, 'SIGKILL');
    await rm(member.connection.host, { recursive: true });
    const { connection } = await workshop.join(dataDir);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(connection.host).not.toBe(member.connection.host);
  });
});

describe('a short path with a comma and a space', () => {
  it('has its socket in the data directory', async () => {
    const dataDir = `${workshop.newPath()}, "b`;
    const { connection } = await workshop.join(dataDir);
    expect(connection.host.startsWith(dataDir)).toBe(true);
    expect(await query(connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('root', () => {
  itUnless(notRoot, 'keeps a cluster elsewhere when nobody cannot reach the data directory', async () => {
    const closed = workshop.newPath();
    await mkdir(closed, { mode: 0o700 });
    const dataDir = join(closed, 'data');
    const embedded = await workshop.join(dataDir);
    const { connection } = embedded;
    const folder = await readlink(join(dataDir, 'postgres'));
    try {
      expect(dirname(folder)).toBe('/var/lib/gatehouse');
      await query(connection, 'CREATE TABLE kept ()');
      const shared = await workshop.joined(workshop.start(dataDir));
      expect(await query(shared.connection, `SELECT FROM kept`)).toEqual([]);
      await shared.release();
      await embedded.release();
      await rm(dataDir, { recursive: true });
      const fresh = await workshop.join(dataDir);
      const names = await query(fresh.connection, `SELECT to_regclass('kept') AS kept`);
      expect(names).toEqual([{ kept: null }]);
      await fresh.release();
      await rm(await readlink(join(dataDir, 'postgres')), { recursive: true });
      await expect(joinEmbeddedPostgres({ dataDir })).rejects.toThrow('which is gone: remove');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  itUnless(
    closedSources,
    'joins the cluster of another account and leaves it usable to that account',
    async () => {
      const dataDir = workshop.newPath();
      await mkdir(dataDir);
      const { chown } = await import('node:fs/promises');
      await chown(dataDir, 1, 1);
      const theirs = await workshop.joined(workshop.start(dataDir, { uid: 1 }));
      expect((await stat(theirs.connection.host)).uid).toBe(1);
      const ours = await workshop.join(dataDir);
      await theirs.release();
      expect(await query(ours.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await ours.release();
      await (await workshop.join(dataDir)).release();
      const again = await workshop.joined(workshop.start(dataDir, { uid: 1 }));
      expect(await query(again.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    },
  );
});

describe('another account', () => {
  itUnless(closedSources, 'makes and runs a cluster as itself', async () => {
    const dataDir = workshop.newPath();
    await mkdir(dataDir);
    await chmod(dataDir, 0o777);
    const member = await workshop.joined(workshop.start(dataDir, nobody));
    const pid = await postmasterPid(member.connection);
    expect((await stat(join(dataDir, 'postgres', 'data'))).uid).toBe(nobody.uid);
    await member.release();
    expect(isAlive(pid)).toBe(false);
  });

  itUnless(closedSources, 'is told whose cluster it cannot join', async () => {
    const dataDir = workshop.newPath();
    await workshop.join(dataDir);
    await chmod(dataDir, 0o777);
    await expect(workshop.joined(workshop.start(dataDir, { uid: 1 }))).rejects.toThrow(
      `belongs to another account (uid ${nobody.uid})`,
    );
  });

  itUnless(closedSources, 'is told when it may not write in the data directory', async () => {
    const dataDir = workshop.newPath();
    await mkdir(dataDir);
    await expect(workshop.joined(workshop.start(dataDir, { uid: 1 }))).rejects.toThrow(
      `Cannot write to DATA_DIR ${dataDir} (EACCES). Make it writable, or set DATABASE_URL.`,
    );
  });
});

describe('the programs', () => {
  /** A package as it is when install scripts did not run. */
  async function packageWithoutLinks(): Promise<string> {
    const original = findPackage();
    const copy = join(workshop.newPath(), basename(original));
    await mkdir(copy, { recursive: true });
    await cp(join(original, 'package.json'), join(copy, 'package.json'));
    await cp(join(original, 'native'), join(copy, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: async (path) => !path.endsWith('.a') && !(await lstat(path)).isSymbolicLink(),
    });
    return copy;
  }

  async function linksOf(packageFolder: string): Promise<number> {
    const entries = await readdir(join(packageFolder, 'native', 'lib'), { withFileTypes: true });
    return entries.filter((entry) => entry.isSymbolicLink()).length;
  }

  it('get the links that the install script would have made', async () => {
    const copy = await packageWithoutLinks();
    const copiesFolder = workshop.newPath();
    const programs = await preparePrograms(copy, { account: nobody, copiesFolder });
    expect(programs.postgres).toBe(join(copy, 'native', 'bin', 'postgres'));
    expect(await linksOf(copy)).toBe(await linksOf(findPackage()));
    await expect(lstat(copiesFolder)).rejects.toThrow('ENOENT');
  });

  const writesAll = isRoot ? 'root may write everywhere' : undefined;
  itUnless(writesAll, 'are copied when the links are missing and cannot be made', async () => {
    const copy = await packageWithoutLinks();
    await chmod(join(copy, 'native', 'lib'), 0o555);
    const copiesFolder = workshop.newPath();
    const { postgres } = await preparePrograms(copy, { account: nobody, copiesFolder });
    await chmod(join(copy, 'native', 'lib'), 0o755);
    expect(postgres.startsWith(copiesFolder)).toBe(true);
    expect(await linksOf(dirname(dirname(dirname(postgres))))).toBe(await linksOf(findPackage()));
  });

  itUnless(notRoot, 'are copied once when nobody cannot reach them, by several at once', async () => {
    const copy = await packageWithoutLinks();
    await chmod(dirname(copy), 0o700);
    await chmod(join(copy, 'native', 'bin', 'postgres'), 0o700);
    const place = { account: nobody, copiesFolder: workshop.newPath() };
    const all = await Promise.all([1, 2, 3].map(() => preparePrograms(copy, place)));
    expect(new Set(all.map(({ postgres }) => postgres)).size).toBe(1);
    const { version } = JSON.parse(await readFile(join(copy, 'package.json'), 'utf8')) as { version: string };
    expect(await readdir(place.copiesFolder)).toEqual([`postgresql-${version}`]);
    const made = join(place.copiesFolder, `postgresql-${version}`);
    expect(await linksOf(made)).toBe(await linksOf(findPackage()));
    expect(await canReach(all[0]?.initdb ?? '', nobody)).toBe(true);
    expect((await stat(all[0]?.postgres ?? '')).mode & 0o777).toBe(0o755);
    expect(await realpath(made)).toBe(made);
  });
});

describe('a platform without a package', () => {
  const { platform, arch } = process;
  afterEach(() => {
    Object.defineProperty(process, 'platform', { value: platform });
    Object.defineProperty(process, 'arch', { value: arch });
    jest.restoreAllMocks();
  });

  it.each([
    ['win32', 'x64', 'does not support Windows'],
    ['darwin', 'ppc', 'for darwin-ppc is not installed'],
  ])('%s %s is told so', (name, processor, sentence) => {
    Object.defineProperty(process, 'platform', { value: name });
    Object.defineProperty(process, 'arch', { value: processor });
    expect(findPackage).toThrow(sentence);
    expect(findPackage).toThrow('set DATABASE_URL');
  });

  it('musl is told so', () => {
    Object.defineProperty(process, 'platform', { value: 'linux' });
    jest.spyOn(process.report, 'getReport').mockReturnValue({ header: {} });
    expect(findPackage).toThrow('has musl');
  });
});
