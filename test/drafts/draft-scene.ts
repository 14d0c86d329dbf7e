/** A gateway, the command line beside it, and a provider that asks nobody anything. */
import { CommandLine } from '../cli/command-line.ts';
import { startTestGateway, type TestGateway } from '../support/test-gateway.ts';
import { startOpenIdStub, type OpenIdStub } from '../tenants/openid-stub.ts';

export interface DraftScene {
  readonly gateway: TestGateway;
  readonly cli: CommandLine;
  readonly provider: OpenIdStub;
  /** Rows of a table that an organization has. */
  rowsOf(table: string, slug: string): Promise<number>;
  close(): Promise<void>;
}

export async function openDraftScene(): Promise<DraftScene> {
  const gateway = await startTestGateway();
  const provider = await startOpenIdStub();
  const cli = new CommandLine({
    PUBLIC_URL: gateway.url,
    DATABASE_URL: gateway.databaseUrl,
    SECRET_KEY: gateway.config.secretKeys?.[0]?.toString('base64') ?? '',
  });
  return {
    gateway,
    cli,
    provider,
    async rowsOf(table, slug) {
      const [row] = await gateway.sql<{ count: number }>(
        `SELECT CAST(count(*) AS integer) AS count FROM ${table} t JOIN organizations o ON o.id = t.organization_id WHERE o.slug = $1`,
        [slug],
      );
      return row?.count ?? -1;
    },
    async close() {
      await provider.close();
      await gateway.close();
    },
  };
}
