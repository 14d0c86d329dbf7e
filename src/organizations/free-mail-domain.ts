/**
 * Domains at which anybody can get an address: whoever proved one of them would let the whole world in. The list is our own.
 * Those that are published are made to find doubtful customers, and name companies as well, which an operator could then
 * never register; one that is missing here does little harm, as nobody can set a TXT record at such a provider.
 */

/** Providers that have their name in many countries (`yahoo.co.jp`, `hotmail.fr`). */
const EVERYWHERE = new Set(
  'aol gmail gmx googlemail hotmail hushmail mailinator outlook protonmail rocketmail tutanota yahoo yandex ymail yopmail zohomail'.split(
    ' ',
  ),
);

const ONE_BY_ONE = new Set(
  `
  10minutemail.com 10minutemail.net 126.com 139.com 163.com 189.cn 21cn.com abv.bg adelphia.net aim.com aleeas.com alice.it aliceadsl.fr
  aliyun.com anonaddy.com anonaddy.me arcor.de asia.com att.net azet.sk bbox.fr bellsouth.net bigfoot.com bigmir.net bigpond.com
  bigpond.net.au bk.ru blueyonder.co.uk bluewin.ch bol.com.br btinternet.com btopenworld.com caramail.com centrum.cz centurylink.net
  charter.net chello.at chello.nl citromail.hu club-internet.fr comcast.net compuserve.com consultant.com countermail.com cox.net
  daum.net disroot.org docomo.ne.jp doctor.com dr.com duck.com earthlink.net eircom.net email.com email.cz email.de engineer.com
  europe.com excite.com excite.co.jp ezweb.ne.jp fastmail.com fastmail.fm fastmail.us fastmail.co.uk fastmail.de foxmail.com free.fr
  freemail.hu freenet.de freeserve.co.uk frontier.com frontiernet.net gazeta.pl grr.la guerrillamail.com guerrillamail.de guerrillamail.net
  guerrillamail.org guerrillamailblock.com hanmail.net hetnet.nl hey.com hispeed.ch home.nl hot.ee i.ua icloud.com ig.com.br iinet.net.au
  in.gr inbox.com inbox.lv inbox.ru incredimail.com indiatimes.com interia.eu interia.pl internet.ru iname.com juno.com kakao.com
  keemail.me kolumbus.fi kpnmail.nl laposte.net lawyer.com libero.it list.ru live.at live.be live.ca live.cl live.cn live.co.kr live.co.uk
  live.co.za live.com live.com.ar live.com.au live.com.mx live.com.my live.com.pt live.com.sg live.de live.dk live.fi live.fr live.hk
  live.ie live.in live.it live.jp live.nl live.no live.ru live.se luukku.com lycos.com lycos.co.uk lycos.de mac.com magenta.de mail.bg
  mail.com mail.de mail.ee mail.kz mail.ru mailbox.org maildrop.cc mailfence.com maktoob.com mask.me me.com meta.ua mindspring.com
  mozmail.com msn.cn msn.co.uk msn.com msn.nl mynet.com myself.com nate.com naver.com netscape.net netzero.net neuf.fr nokiamail.com
  ntlworld.com numericable.fr o2.co.uk o2.pl o2online.de oath.com onet.eu onet.pl onionmail.org online.de online.no op.pl optimum.net
  optonline.net optusnet.com.au orange.fr ozemail.com.au pacbell.net passmail.net planet.nl pm.me pobox.com poczta.onet.pl post.com
  poste.it posteo.at posteo.ch posteo.de posteo.net posteo.org privaterelay.appleid.com prodigy.net proton.me ptd.net qq.com qwest.net
  rambler.ru rediff.com rediffmail.com riseup.net roadrunner.com rogers.com rr.com runbox.com sapo.pt sbcglobal.net seznam.cz sfr.fr
  sharklasers.com shaw.ca sify.com simplelogin.co simplelogin.com simplelogin.fr simplelogin.io sina.cn sina.com sky.com skynet.be
  slmail.me softbank.ne.jp sohu.com spray.se startmail.com supereva.it swbell.net sympatico.ca t-online.de talktalk.net tds.net
  techie.com telenet.be telus.net temp-mail.org tempmail.com terra.com.br terra.es tin.it tiscali.co.uk tiscali.it
  tlen.pl tom.com tpg.com.au trashmail.com trashmail.de trashmail.net tuta.com tuta.io tutamail.com ukr.net uol.com.br
  usa.com usa.net users.noreply.github.com verizon.net videotron.ca vip.163.com vip.qq.com virgilio.it virgin.net virginmedia.com
  vodafonemail.de volny.cz walla.co.il walla.com wanadoo.es wanadoo.fr web.de windowslive.com windstream.net wp.pl xs4all.nl xtra.co.nz
  ya.ru yeah.net zoho.com zoho.eu zoho.in zoznam.sk
  `
    .trim()
    .split(/\s+/),
);

/**
 * Whether the name is a free-mail domain, or one below it.
 * @param registrable the name's registrable domain and what it is without its public suffix, such as `yahoo` of `yahoo.co.uk`
 */
export function isFreeMail(
  name: string,
  registrable: { readonly label: string; readonly isBelowKnownSuffix: boolean },
): boolean {
  if (registrable.isBelowKnownSuffix && EVERYWHERE.has(registrable.label)) return true;
  const labels = name.split('.');
  return labels.some((_, index) => ONE_BY_ONE.has(labels.slice(index).join('.')));
}
