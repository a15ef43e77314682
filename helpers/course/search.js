// Below each page that Sphinx's search finds: the sections that have the words, each a link, and the text around the first hit.
// `SEARCH_TEXTS` holds [anchor, heading, text] of each section by page; `stopwords`, `Stemmer` and `splitQuery` are Sphinx's own.
{
  const SECTIONS = 3, BEFORE = 60, LENGTH = 220;  // of a page; characters
  const stemmer = new Stemmer();
  const query = new URLSearchParams(location.search).get("q") || "";
  const terms = [...new Set(splitQuery(query.toLowerCase()).filter((word) => !stopwords.has(word)).map((word) => stemmer.stemWord(word)))];

  /** Which term a word of the text is, -1 for none: by its stem, or as the beginning of a part of a name. */
  function termOf(word) {
    const small = word.toLowerCase();
    return terms.findIndex((term) => small.startsWith(term) || small.includes(`_${term}`) || (small[0] === term[0] && stemmer.stemWord(small) === term));
  }

  function hits(text) {
    return [...text.matchAll(/[\p{Letter}\p{Number}_]+/gu)]
      .map((word) => ({ from: word.index, to: word.index + word[0].length, term: termOf(word[0]) })).filter((hit) => hit.term >= 0);
  }

  const kinds = (some) => new Set(some.map((hit) => hit.term)).size;

  /** The piece of the text with the most different terms, and the terms in it marked. */
  function excerpt(text, found) {
    const within = (hit) => found.filter((other) => other.from >= hit.from && other.to <= hit.from + LENGTH - BEFORE);
    const best = found.reduce((a, b) => (kinds(within(b)) > kinds(within(a)) ? b : a));
    let from = Math.max(0, best.from - BEFORE), to = Math.min(text.length, from + LENGTH);
    if (from > 0) from = Math.min(best.from, text.indexOf(" ", from) + 1);  // whole words
    if (to < text.length) to = Math.max(best.to, text.lastIndexOf(" ", to));
    const piece = document.createElement("p");
    piece.className = "context";
    let at = from;
    for (const hit of found.filter((each) => each.from >= from && each.to <= to)) {
      const mark = document.createElement("mark");
      mark.textContent = text.slice(hit.from, hit.to);
      piece.append(text.slice(at, hit.from), mark);
      at = hit.to;
    }
    piece.append(text.slice(at, to));
    if (from > 0) piece.prepend("… ");
    if (to < text.length) piece.append(" …");
    return piece;
  }

  function explain(item) {
    const link = item.querySelector("a"), [page, anchor] = link.getAttribute("href").split("#");
    const found = (SEARCH_TEXTS[page] || []).filter(([id]) => !anchor || id === anchor)
      .map(([id, heading, text]) => ({ id, heading, text, inText: hits(text), inAll: hits(`${heading} ${text}`) }))
      .filter((section) => section.inText.length);
    found.sort((a, b) => kinds(b.inAll) - kinds(a.inAll) || b.inAll.length - a.inAll.length);
    for (const { id, heading, text, inText } of found.slice(0, SECTIONS)) {
      const piece = excerpt(text, inText);
      if (!anchor && heading) {
        const to = document.createElement("a");
        to.href = `${page}#${id}`;
        to.textContent = heading;
        piece.prepend(to, " ");
      }
      item.append(piece);
    }
  }

  if (terms.length) {
    const results = document.getElementById("search-results"), seen = new Set();
    new MutationObserver(() => {
      for (const item of results.querySelectorAll("ul.search > li")) {
        if (seen.has(item)) continue;
        seen.add(item);
        explain(item);
      }
    }).observe(results, { childList: true, subtree: true });
  }
}
