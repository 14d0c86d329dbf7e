// Stops the run's PostgreSQL and removes its folder; on a server of somebody's own, drops the template.
import { rm } from 'node:fs/promises';
import pg from 'pg';

export default async function tearDown() {
  const { GATEHOUSE_TEST_SERVER: serverUrl, GATEHOUSE_TEST_TEMPLATE: template } = process.env;
  const run = globalThis.gatehouseTestRun;
  if (run === undefined) {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    await client.query(`DROP DATABASE IF EXISTS ${template}`);
    await client.end();
    return;
  }
  await run.embedded.release();
  await rm(run.folder, { recursive: true, force: true });
}
