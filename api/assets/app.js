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

  // Live: one stream for the page, for the posts that are on it.
  const feed = $('#feed[data-live]');
  const button = $('#new');
  const fresh = new Set();
  let source, topic, hiddenAt = 0;
  const ids = () => [...new Set($$('[data-post]').map((a) => a.dataset.post))].slice(0, 100);
  const on = (event, handle) => source.addEventListener(event, (e) => {
    try { handle(JSON.parse(e.data)); } catch { /* an event of another version */ }
  });
  const replace = async (id) => {
    const answer = await fetch(`/posts/${id}/card`, { headers: { accept: 'text/html' } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const body = $('.body', page);
    for (const article of $$(`article[data-post="${id}"]`)) {
      const old = $('.body', article);
      if (!body || !old) continue;
      // Whoever has opened the veil keeps it open.
      const open = $('details[open]', old);
      const next = body.cloneNode(true);
      if (open && $('details', next)) $('details', next).open = true;
      old.replaceWith(next);
    }
  };
  const listen = () => {
    if (document.hidden || !('EventSource' in window)) return;
    const now = ids().join(',');
    if (source && source.readyState !== EventSource.CLOSED && topic === now) return;
    source?.close();
    topic = now;
    source = new EventSource('/api/stream?posts=' + now);
    on('counts', (d) => {
      for (const article of $$(`article[data-post="${d.id}"]`)) {
        for (const what of ['likes', 'reposts', 'replies']) {
          const n = $(`[data-count="${what}"]`, article);
          if (n && d[what] !== undefined) n.textContent = d[what] > 0 ? d[what] : '';
        }
      }
    });
    on('analysis', (d) => replace(d.id));
    on('post', (d) => {
      if (!feed || !button || $(`#p-${d.id}`) || String(d.userId) === document.body.dataset.me) return;
      fresh.add(d.id);
      const many = fresh.size;
      $('a', button).textContent = many > 99 ? '99+ new posts' : many === 1 ? '1 new post' : `${many} new posts`;
      button.hidden = false;
    });
    on('notification', (d) => {
      for (const badge of $$('.badge')) {
        badge.textContent = d.unread > 99 ? '99+' : d.unread;
        badge.hidden = !(d.unread > 0);
      }
      for (const said of $$('.unread-said')) said.textContent = d.unread > 0 ? `, ${d.unread} unread` : '';
    });
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      hiddenAt = setTimeout(() => { source?.close(); source = undefined; }, 120e3);
    } else {
      clearTimeout(hiddenAt);
      times();
      listen();
    }
  });
  window.addEventListener('pagehide', () => source?.close());
  window.addEventListener('pageshow', (e) => { if (e.persisted) { source = undefined; listen(); } });
  listen();
})();
