/** What the server does without being asked: the wiring of its errands, and what of them is said in the log. No request waits for one. */
import { sealEvents } from './audit/seal-events.ts';
import { reportTroubles } from './connections/report-troubles.ts';
import { watchExpiry } from './expiry/watch-expiry.ts';
import { followProviders } from './login/follow-providers.ts';
import { startLogoutNotices } from './provider/logout-notices.ts';
import { watchDomainProofs } from './organizations/watch-domain-proofs.ts';
import { txtRecords } from './outbound/txt-records.ts';
import { keepHouse } from './housekeeping/keep-house.ts';
import type { HttpParts } from './http/parts.ts';
import { describeError } from './log.ts';

/** Starts all of them; each is closed by whoever stops the server. */
export function startErrands(parts: HttpParts) {
  const { database, feed, log, provider, login } = parts;
  return {
    sealing: sealEvents({
      database,
      secrets: login.secrets,
      onFault: (error) => {
        log.warn({ error: describeError(error) }, 'audit events are written but cannot be sealed now');
      },
      onBeginning: () => {
        log.warn(
          'audit events are sealed from now on; nothing vouches for what was there already: expected once, after an upgrade',
        );
      },
      onHeldUp: (since) => {
        log.warn(
          { since },
          'a transaction that does not end makes sealing audit events costly; see pg_stat_activity and pg_prepared_xacts',
        );
      },
    }),
    domains: startDomainWatch(parts),
    expiry: startExpiryWatch(parts),
    house: startHousekeeping(parts),
    notices: startLogoutNotices({
      database,
      feed,
      provider,
      onFault: (error) => {
        log.warn({ error: describeError(error) }, 'applications cannot be told of ended sessions now');
      },
    }),
    following: followProviders(login, (error, session) => {
      log.warn(
        { error: describeError(error), ...session },
        'whether a provider stands by a session is unknown',
      );
    }),
    troubles: reportTroubles({
      database,
      lines: () => login.connectors.lines(),
      now: login.now,
      onChange: (connectionId, reason) => {
        if (reason === undefined) log.info({ connectionId }, 'a provider answers again, or is asked no more');
        else log.warn({ connectionId, reason }, 'a provider is in trouble and is left alone for a while');
      },
      onFault: (error) => {
        log.warn(
          { error: describeError(error) },
          'which providers are in trouble cannot be written down now',
        );
      },
    }),
  };
}

function startExpiryWatch({ config, database, feed, log, login }: HttpParts) {
  return watchExpiry({
    database,
    feed,
    policy: config,
    now: login.now,
    onNotice: (thing, days) => {
      const { kind, organization, connectionId, subject, expiresAt, nextStep } = thing;
      log.warn(
        { kind, organization, connectionId, subject, expiresAt, days, nextStep },
        days > 0 ? 'something expires soon' : 'something has expired',
      );
    },
    onFault: (error) => {
      log.warn({ error: describeError(error) }, 'what expires cannot be read now');
    },
  });
}

function startHousekeeping({ database, log }: HttpParts) {
  return keepHouse({
    database,
    onRound: (removed) => {
      log.info({ removed }, 'removed what had expired');
    },
    onFault: (error) => {
      log.warn({ error: describeError(error) }, 'what has expired cannot be removed now');
    },
  });
}

function startDomainWatch({ database, config, log }: HttpParts) {
  return watchDomainProofs({
    database,
    askTxt: txtRecords(config.dnsServers),
    intervalSeconds: config.domainCheckSeconds,
    graceSeconds: config.domainGraceSeconds,
    onNews: (domain, { organizationId, news, answer }) => {
      const about = { domain, organizationId };
      if (news.includes('missing')) {
        log.warn(about, 'the DNS record that proves a domain is missing; after a while nobody new is let in');
      }
      if (news.includes('lapsed')) {
        log.warn(about, 'the DNS record that proves a domain is still missing; nobody new is let in');
      }
      if (news.includes('restored')) log.info(about, 'the DNS record that proves a domain is there again');
      if (news.includes('unanswered') && answer.kind === 'unanswered') {
        log.warn({ ...about, reason: answer.reason }, 'DNS does not say whether a domain is still proved');
      }
    },
    onFault: (error) => {
      log.warn({ error: describeError(error) }, 'whether domains are still proved cannot be looked up now');
    },
  });
}
