// What pages do beyond links and forms: everything here is an extra, and nothing needs it.
// Loaded with `defer`, so the document is there.
(() => {
  'use strict';
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times, in the same words as the server's (api/src/pages/time.rs).
  const ago = (then, now) => {
    const s = Math.max(0, Math.floor((now - then) / 1000));
    if (s < 60) return 'now';
    if (s < 3600) return Math.floor(s / 60) + ' min';
    if (s < 86400) return Math.floor(s / 3600) + ' h';
    return Math.floor(s / 86400) + ' d';
  };
  const times = () => {
    const now = Date.now();
    for (const time of $$('time[data-ago]')) {
      const then = Date.parse(time.dateTime);
      if (now - then < 7 * 86400e3) {
        const text = ago(then, now);
        if (time.textContent !== text) time.textContent = text;
      }
      if (!time.dataset.local) {
        time.dataset.local = '1';
        time.title = new Date(then).toLocaleString();
      }
    }
  };
  setInterval(times, 30e3);
  times();

  // How many characters are left: Unicode scalar values after trimming, as the server counts them.
  const count = (area) => {
    const left = $('.left', area.form);
    if (!left) return;
    const n = Number(area.dataset.most) - [...area.value.trim()].length;
    left.textContent = n;
    left.classList.toggle('over-by', n < 0);
    const say = $('.left-said', area.form);
    if (say) say.textContent = n < 0 ? `${-n} characters too many` : n <= 20 ? `${n} characters left` : '';
  };
  const counters = () => $$('textarea[data-most]').forEach(count);
  document.addEventListener('input', (e) => { if (e.target.matches('textarea[data-most]')) count(e.target); });
  // Ctrl+Enter sends.
  document.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && e.target.matches('textarea[data-most]')) {
      e.preventDefault();
      $('[data-send]', e.target.form)?.click();
    }
    if (e.key === 'Escape') {
      const menu = e.target.closest?.('details.menu[open]');
      if (menu) { menu.open = false; $('summary', menu).focus(); }
    }
  });
  // A menu closes when something else is clicked.
  document.addEventListener('click', (e) => {
    for (const menu of $$('details.menu[open]')) if (!menu.contains(e.target)) menu.open = false;
  });

  // What was typed survives a refusal whose page cannot show it: it is kept while its form is on the way, and given back
  // to the same form, unless that comes back with it, or it has become a post.
  const key = (form) =>
    ['draft', document.body.dataset.me, form.getAttribute('action'), form.elements.reply_to?.value].join(' ');
  // Without this a page cannot tell that a form has led to it.
  const way = performance.getEntriesByType?.('navigation')[0];
  const keep = (form) => {
    if (!way || !form.matches('form.compose')) return;
    try {
      sessionStorage.setItem(key(form), form.elements.content.value);
      sessionStorage.setItem('sent', key(form));
    } catch { /* storage is off or full */ }
  };
  const drop = (name) => { try { sessionStorage.removeItem(name); } catch { /* storage is off */ } };
  document.addEventListener('submit', (e) => keep(e.target));
  const restore = () => {
    try {
      const sent = sessionStorage.getItem('sent');
      sessionStorage.removeItem('sent');
      // A form that was taken leads to a post; one that was not leads to itself, the login or a refusal.
      if (sent && way?.redirectCount > 0 && /^\/posts\/\d+$/.test(location.pathname)) drop(sent);
      for (const form of $$('form.compose')) {
        const area = form.elements.content;
        const kept = sessionStorage.getItem(key(form));
        drop(key(form));
        if (kept && (!area.value.trim() || form.action.endsWith('/edit'))) area.value = kept;
      }
    } catch { /* storage is off */ }
  };
  restore();
  counters();

  // Sentences for a moment, read out by screen readers.
  const flash = $('#flash');
  let fading;
  const settle = () => {
    clearTimeout(fading);
    if (flash.firstElementChild) fading = setTimeout(() => flash.replaceChildren(), 8e3);
  };
  const say = (text) => {
    const p = document.createElement('p');
    p.className = 'toast';
    p.textContent = text;
    flash.replaceChildren(p);
    settle();
  };

  // htmx: answers that refuse are shown where they belong (a form with its errors, or #flash).
  document.addEventListener('htmx:beforeSwap', (e) => {
    const { xhr } = e.detail;
    if (xhr.status === 422 || xhr.getResponseHeader('HX-Retarget')) {
      e.detail.shouldSwap = true;
      e.detail.isError = false;
    }
  });
  document.addEventListener('htmx:responseError', () => say('That did not work. Try again in a moment.'));
  document.addEventListener('htmx:sendError', () => say('No connection: what you did has not been sent.'));
  // What had the focus is replaced with its like: keep the focus on it.
  let act;
  document.addEventListener('htmx:beforeRequest', (e) => {
    act = e.target.dataset?.act;
    const form = e.target.closest('form.compose');
    if (form) keep(form);
  });
  document.addEventListener('htmx:afterRequest', (e) => {
    // The form itself may have been replaced by now.
    const form = e.detail.requestConfig?.elt.closest('form.compose');
    // Refused or not, the answer has a form with what is to be in it; without one the form stands as it was.
    if (form && e.detail.xhr?.status !== 401) drop(key(form));
  });
  document.addEventListener('htmx:afterSettle', (e) => {
    if (act && document.activeElement === document.body) $(`[data-act="${act}"]`, e.target)?.focus();
    act = undefined;
    times();
    counters();
    settle();
    $('[aria-invalid]', e.target)?.focus();
    listen();
  });

  // Live: one stream for the page, for the posts that are on it. Browsers open few connections to one server, so a page
  // that nobody looks at gives its own back; what it missed it is told when it comes again.
  const feed = $('#feed[data-live]');
  const button = $('#new');
  const fresh = new Set();
  let source, watched, last, away, again;
  let tries = 0;
  const asked = new Set();
  const ids = () => [...new Set($$('[data-post]').map((a) => a.dataset.post))].slice(0, 100);
  const short = (n) => {
    if (!(n > 0)) return '';
    if (n < 1e3) return String(n);
    if (n < 1e4) return `${Math.floor(n / 1e3)}.${Math.floor(n % 1e3 / 100)}k`;
    if (n < 1e6) return `${Math.floor(n / 1e3)}k`;
    return `${Math.floor(n / 1e6)}.${Math.floor(n % 1e6 / 1e5)}M`;
  };
  const articles = (id) => $$(`article[data-post="${id}"]`);
  const coming = new Set();
  const replace = async (id) => {
    const [first] = articles(id);
    if (!first || coming.has(id)) return;
    // Everybody who has a post before them is told of its verdict at once; they shall not all ask for it at once. Its
    // author waits for it.
    if (!$('.menu', first)) {
      coming.add(id);
      await new Promise((done) => setTimeout(done, Math.random() * 1500));
      coming.delete(id);
      if (!articles(id).length) return;
    }
    const answer = await fetch(`/posts/${id}/card`, { headers: { accept: 'text/html' } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const body = $('.body', page);
    for (const article of articles(id)) {
      const old = $('.body', article);
      if (!body || !old) continue;
      const next = document.importNode(body, true);
      // Whoever has opened the veil keeps it open.
      if ($('details[open]', old) && $('details', next)) $('details', next).open = true;
      old.replaceWith(next);
    }
  };
  const offer = (text) => {
    $('a', button).textContent = text;
    button.hidden = false;
  };
  const handlers = {
    counts(d) {
      for (const article of articles(d.id)) {
        for (const what of ['likes', 'reposts', 'replies']) {
          const n = $(`[data-count="${what}"]`, article);
          if (n) n.textContent = short(d[what]);
        }
      }
    },
    analysis(d) { replace(String(d.id)); },
    post(d) {
      if (!feed || !button) return;
      for (const post of d.posts) {
        const mine = String(post.userId) === document.body.dataset.me;
        if (!mine && !$(`#p-${post.id}`)) fresh.add(post.id);
      }
      const many = fresh.size;
      if (many) offer(many > 99 ? '99+ new posts' : many === 1 ? '1 new post' : `${many} new posts`);
    },
    refresh() { if (feed && button) offer('See what is new'); },
    notification(d) {
      for (const badge of $$('.badge')) {
        badge.textContent = d.unread > 99 ? '99+' : d.unread;
        badge.hidden = !(d.unread > 0);
      }
      for (const said of $$('.unread-said')) said.textContent = d.unread > 0 ? `, ${d.unread} unread` : '';
    },
  };
  const stop = () => { clearTimeout(again); source?.close(); source = undefined; };
  // A verdict that came between the making of the page and its stream has been told to nobody here: ask once.
  const catchUp = () => {
    for (const article of $$('article[data-post]')) {
      const id = article.dataset.post;
      if (!$('.mood.wait', article) || asked.has(id)) continue;
      asked.add(id);
      replace(id);
    }
  };
  const listen = () => {
    const now = ids().join(',');
    if (document.hidden || (source && source.readyState !== EventSource.CLOSED && watched === now)) return;
    stop();
    watched = now;
    const kind = feed ? feed.dataset.live : 'none';
    const query = new URLSearchParams({ feed: kind, posts: now });
    if (last) query.set('last_event_id', last);
    source = new EventSource('/api/stream?' + query);
    // A browser comes back by itself when the connection breaks, but not when it is refused.
    const mine = source;
    source.addEventListener('error', () => {
      if (mine !== source || mine.readyState !== EventSource.CLOSED || ++tries > 8) return;
      clearTimeout(again);
      again = setTimeout(listen, 5e3 + Math.random() * 10e3);
    });
    source.addEventListener('open', () => {
      if (mine !== source) return;
      tries = 0;
      catchUp();
    });
    for (const [event, handle] of Object.entries(handlers)) {
      source.addEventListener(event, (e) => {
        last = e.lastEventId || last;
        try { handle(JSON.parse(e.data)); } catch { /* an event of another version */ }
      });
    }
  };
  document.addEventListener('visibilitychange', () => {
    clearTimeout(away);
    if (document.hidden) {
      away = setTimeout(stop, 30e3);
    } else {
      times();
      tries = 0;
      listen();
    }
  });
  window.addEventListener('pagehide', stop);
  window.addEventListener('pageshow', (e) => { if (e.persisted) listen(); });
  listen();
})();
