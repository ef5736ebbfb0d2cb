// Fetches the page again and replaces the parts marked data-live. Nothing else: without a script all of it works by reloading.
"use strict";

const EVERY = 3000;
const parts = () => document.querySelectorAll("[data-live]");

// What somebody is in the middle of must not be taken away: an open menu, or text that is being selected.
const busy = (part) =>
  part.querySelector("details[open]") !== null ||
  (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));

async function refresh() {
  if (document.hidden) return;
  const away = document.getElementById("away");
  try {
    // The page's own address: after a form was refused, the browser shows that of the form.
    const at = document.body.dataset.page === location.pathname ? location.href : document.body.dataset.page;
    const answer = await fetch(at, { headers: { Accept: "application/xhtml+xml" } });
    if (answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.id;
    for (const part of parts()) {
      const next = fresh.getElementById(part.id);
      if (next && !busy(part)) part.replaceWith(document.adoptNode(next));
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    away.hidden = true;
  } catch {
    away.hidden = false;
  }
}

if (parts().length > 0) {
  const again = async () => {
    await refresh();
    setTimeout(again, EVERY);
  };
  setTimeout(again, EVERY);
}
