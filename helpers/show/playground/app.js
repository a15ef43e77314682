// The playground's page: photograph left, face right, sliders beside it. Numbers travel to Python only when a slider is
// released; what follows the finger is computed here.

const SVG = "http://www.w3.org/2000/svg";
const KINDS = { alpha: "shape α", expression: "expression e", beta: "skin β" };
const PAGE = 10, LIMIT = 5, TWEEN = 350, FADE = 500;  // modes shown at a time; standard deviations; ms; ms

/** A DOM node: attributes, and children that are nodes or text. Attributes that begin with "on" are listeners. */
function h(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (name.startsWith("aria-")) node.setAttribute(name, value);
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
const mix = (a, b, t) => a.map((value, k) => value + t * ((b[k] || 0) - value));
const plain = () => ({ named: [0, 0, 0, 0, 0], edits: { alpha: {}, expression: {}, beta: {} }, other: "",
  shape: 0, expression: 0, skin: 0, light: 0, around: 0, power: 1, likeness: 1 });

function render({ model, el }) {
  const get = (name) => model.get(name), send = (content, buffers) => model.send(content, undefined, buffers);
  const app = h("div", { class: "face-app" });
  el.append(app);
  const ends = [followTheme(app)];
  const on = (names, call) => names.split(" ").forEach((name) => {
    model.on(`change:${name}`, call);
    ends.push(() => model.off(`change:${name}`, call));
  });
  const urls = new Map();
  function urlOf(key, bytes) {
    const old = urls.get(key);
    if (old) URL.revokeObjectURL(old);
    const url = bytes.byteLength ? URL.createObjectURL(new Blob([bytes])) : "";
    urls.set(key, url);
    return url;
  }

  // ---- the bar: people, a photograph, undo
  const people = h("div", { class: "face-people", role: "radiogroup", "aria-label": "whose face" });
  const input = h("input", { type: "file", accept: "image/*", "aria-label": "a photograph", onchange: () => {
    if (input.files.length) upload(input.files[0]);
    input.value = "";
  } });
  const pick = h("button", { class: "face-main", onclick: () => input.click() }, "Photograph …");
  const shoot = h("button", { onclick: () => camera() }, "Camera");
  const undo = h("button", { onclick: () => send({ do: "undo" }), title: "take back the last change" }, "Undo");
  const said = h("div", { class: "face-said", role: "status" });
  const bar = h("div", { class: "face-progress" }, h("i"));
  app.append(h("div", { class: "face-bar" }, people, pick, input, navigator.mediaDevices ? shoot : "", undo, said), bar);

  // ---- the photograph
  const svg = h("svg:svg", { tabindex: 0, role: "application", class: "face-photo", "aria-label":
    "68 points on the photograph: drag one to move it, drag beside them to move all; arrow keys move the chosen point, with Shift all" });
  const picture = h("svg:image"), covered = h("svg:image", { class: "face-covered" });
  const boxes = h("svg:g"), lines = get("chains").map(() => h("svg:path", { class: "face-line" }));
  const dots = get("points").map((_, k) => h("svg:circle", { class: "face-dot", "data-point": k }, h("svg:title", {}, `point ${k}`)));
  const marks = h("svg:g", {}, ...lines, ...dots);
  svg.append(picture, covered, boxes, marks);
  const large = h("svg:image"), cross = h("svg:path"), lens = h("svg:svg", { class: "face-lens", "aria-hidden": true }, large, cross);
  const showPoints = h("input", { type: "checkbox", checked: true, onchange: () => { marks.style.display = showPoints.checked ? "" : "none"; } });
  const hidden = h("label", { class: "face-legend" }, h("i"), "covered: not looked at by the fit");
  const video = h("video", { autoplay: true, playsinline: true, muted: true });
  const take = h("div", { class: "face-camera" }, video, h("div", {},
    h("button", { class: "face-main", onclick: () => snap() }, "Take"), h("button", { onclick: () => stop() }, "Cancel")));
  const photo = h("section", { class: "face-left" }, h("div", { class: "face-frame" }, svg, lens), take, h("div", { class: "face-row" },
    h("label", {}, showPoints, "points"),
    h("button", { onclick: () => grow(1.05) , title: "enlarge all points" }, "larger"),
    h("button", { onclick: () => grow(1 / 1.05), title: "shrink all points" }, "smaller"),
    h("button", { onclick: () => grow(1, 3), title: "turn all points clockwise" }, "↻"),
    h("button", { onclick: () => send({ do: "find" }), title: "forget what was moved, ask the detector" }, "find again"), hidden),
    h("div", { class: "face-hint" }, "Drop a photograph of a face anywhere on this page. It stays on this computer."));

  // ---- the face
  const canvas = h("canvas", { class: "face-canvas", tabindex: 0, role: "img",
    "aria-label": "the face: drag to turn it, arrow keys turn it, Ctrl and the wheel bring it closer" });
  const modes = h("div", { class: "face-switch", role: "radiogroup", "aria-label": "how the face is drawn" },
    ...["photograph", "model", "clay"].map((mode) => h("button", { role: "radio", "data-mode": mode,
      onclick: () => { view.mode = mode; view.draw(); mark(); } }, mode)));
  const again = h("button", { class: "face-again", onclick: () => { view.turning = true; view.pitch = 0; mark(); } }, "turn by itself");
  const stage = h("div", { class: "face-stage" });
  const face = h("section", { class: "face-middle" }, canvas, stage, h("div", { class: "face-row" }, modes, again));

  // ---- the sliders
  const named = h("div"), numbers = h("div"), note = h("span", { role: "status" });
  const withWhom = h("select", { "aria-label": "with whom", onchange: () => { change({ other: withWhom.value, shape: 0, skin: 0, expression: 0, light: 0 }); } });
  const share = slider("Morph", "%", 0, 100, 1, (value) => {
    const t = value / 100;
    change({ shape: t, skin: t, expression: t, light: t }, true);
  });
  const swaps = h("div", { class: "face-row" }, ...Object.entries({ shape: "shape", skin: "skin", expression: "expression", light: "light" })
    .map(([part, label]) => h("button", { "data-part": part, title: `${label} of the other person`, onclick: () => change({ [part]: look[part] > 0.5 ? 0 : 1 }) }, label)));
  const around = slider("Lamps carried round", "°", -180, 180, 5, (value) => change({ around: value }, true));
  const power = slider("Brightness", "%", 40, 180, 5, (value) => change({ power: value / 100 }, true));
  const likeness = slider("Likeness", "%", 0, 250, 5, (value) => change({ likeness: value / 100 }, true));
  const blend = h("fieldset", {}, h("legend", {}, "With another person"), h("div", { class: "face-row" }, withWhom), share.row,
    h("div", { class: "face-hint" }, "or take from them"), swaps);
  const kind = h("select", { "aria-label": "which numbers", onchange: () => pages() },
    ...Object.entries(KINDS).map(([key, label]) => h("option", { value: key }, label)));
  const page = h("select", { "aria-label": "which modes", onchange: () => rows() });
  const files = h("div", { class: "face-row" }, ...Object.entries(get("kinds")).map(([key, label]) =>
    h("button", { "data-kind": key, title: label, onclick: () => { note.textContent = "making the file …"; send({ do: "file", kind: key }); } }, label.split(":")[0])));
  const sliders = h("section", { class: "face-right" }, named,
    h("div", { class: "face-row" },
      h("button", { onclick: () => { look = plain(); tween(); saved(); controls(); } }, "As fitted"),
      h("button", { onclick: () => random() }, "Random face")),
    blend,
    h("details", {}, h("summary", {}, "Light and likeness"), around.row, power.row, likeness.row),
    h("details", { ontoggle: () => rows() }, h("summary", {}, "All 228 numbers"), h("div", { class: "face-row" }, kind, page), numbers),
    h("details", { open: true }, h("summary", {}, "Take it with you"), files, note));
  app.append(h("div", { class: "face-grid" }, photo, face, sliders));

  let view;
  try {
    view = new FaceView(canvas, { told: () => mark() });
  } catch (error) {
    said.textContent = error.message;
    return () => ends.forEach((end) => end());
  }
  app.view = view;  // for tests, which count its pictures

  // ---- what is seen: the fitted numbers, and what the sliders make of them
  let look = plain(), shown = null, from = null, begun = 0, last = 0;
  const person = (id) => get("people").find((each) => each.id === id);
  function composed() {
    const now = get("now"), other = person(look.other), to = other && other.fitted ? other : now, out = {};
    for (const [key, part] of [["alpha", "shape"], ["expression", "expression"], ["beta", "skin"]]) {
      out[key] = mix(now[key], to[key], look[part]);
      if (key !== "expression") out[key] = out[key].map((value) => value * look.likeness);
      if (key === "beta") out.base = mix(now[key], to[key], look[part]);
      get("directions").forEach(({ kind, step }, d) => {
        if (kind === key && look.named[d]) out[key] = out[key].map((value, k) => value + look.named[d] * step[k]);
      });
      for (const [k, value] of Object.entries(look.edits[key])) out[key][k] += value;
    }
    out.light = mix(now.light, to.light, look.light);
    return out;
  }
  function put(numbers) {
    view.light = numbers.light;
    view.set(numbers);
    shown = numbers;
  }
  function draw() {
    from = null;
    put(composed());
    lit();
  }
  function tween() {
    if (!shown) return draw();
    from = shown;
    begun = performance.now();
    lit();
  }
  function lit() { view.around = look.around; view.power = look.power; view.share = look.skin; view.draw(); }
  view.before = (now) => {
    if (from) {
      const t = Math.min(1, (now - begun) / TWEEN), s = t * t * (3 - 2 * t), to = composed();
      put(Object.fromEntries(Object.keys(to).map((key) => [key, mix(from[key], to[key], s)])));
      if (t === 1) from = null;
    }
    if (view.fresh !== wanted) {
      view.fresh = wanted > view.fresh ? Math.min(wanted, view.fresh + (now - last) / FADE) : wanted;
      view.draw();
    }
    last = now;
  };
  function change(what, dragged = false) {
    Object.assign(look, what);
    if (what.other !== undefined) paint();
    if (dragged) draw(); else { tween(); saved(); controls(); }
  }
  function saved() { send({ do: "look", look }); }
  function random() {
    const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    look = { ...plain(), around: look.around, power: look.power };
    const now = get("now");
    for (const key of ["alpha", "beta"]) now[key].forEach((value, k) => { look.edits[key][k] = normal() - value; });
    tween(); saved(); controls();
  }

  // ---- paint: pictures of the texture, kept by person and version
  let wanted = 0;
  const kept = new Map();
  async function image(id) {
    const bytes = get("paints")[id];
    if (!bytes) return null;
    if (kept.get(id)?.bytes !== bytes) kept.set(id, { bytes, image: imageOf(bytes) });
    return kept.get(id).image;
  }
  async function paint() {
    const mine = get("chosen"), theirs = look.other;
    const [first, second] = await Promise.all([image(mine), image(theirs)]);
    if (mine !== get("chosen") || theirs !== look.other) return;
    if (first) view.setPaint(0, first, person(mine).light);
    if (second) view.setPaint(1, second, person(theirs).light);
    wanted = first && get("painted") ? 1 : 0;
    view.draw();
  }

  // ---- what Python says
  function mark() {
    for (const button of modes.children) button.setAttribute("aria-checked", button.dataset.mode === view.mode);
    again.style.visibility = view.turning ? "hidden" : "";
  }
  function crowd() {
    people.replaceChildren(...get("people").map((each) => h("button", { role: "radio", "aria-checked": each.id === get("chosen"), title: each.name,
      onclick: () => send({ do: "choose", id: each.id }) }, h("img", { src: thumb(each), alt: each.name }))));
    const others = get("people").filter((each) => each.fitted && each.id !== get("chosen"));
    blend.style.display = others.length ? "" : "none";
    withWhom.replaceChildren(...others.map((each) => h("option", { value: each.id }, each.name)));
    if (!others.some((each) => each.id === look.other)) look.other = others.length ? others[0].id : "";
    withWhom.value = look.other;
    paint();
  }
  const thumbs = new Map();
  function thumb(each) {
    if (!thumbs.has(each.id)) thumbs.set(each.id, URL.createObjectURL(new Blob([each.thumb])));
    return thumbs.get(each.id);
  }
  function words() {
    said.textContent = get("status");
    said.dataset.kind = get("verdict");
    undo.disabled = !get("can_undo");
    bar.style.visibility = get("progress") > 0 && get("progress") < 1 ? "" : "hidden";
    bar.firstChild.style.width = `${100 * get("progress")}%`;
    stage.textContent = get("stage");
    view.busy = get("progress") > 0 || get("people").some((each) => !each.fitted);
  }
  function seen() {
    const [width, height] = get("photo_size");
    picture.setAttribute("href", urlOf("photo", get("photo")));
    for (const [name, value] of Object.entries({ x: -0.5, y: -0.5, width, height })) picture.setAttribute(name, value);
    frame();
    hide();
    group();
  }
  function hide() {
    const { png, box } = get("covered");
    covered.style.display = hidden.style.display = png ? "" : "none";
    if (!png) return;
    covered.setAttribute("href", urlOf("covered", png));
    ["x", "y", "width", "height"].forEach((name, k) => covered.setAttribute(name, box[k]));
  }
  function group() {
    const faces = get("faces");
    boxes.replaceChildren(...(faces.length < 2 ? [] : faces.map(([x, y, right, bottom], number) => h("svg:rect", { class: "face-box", x, y, width: right - x, height: bottom - y,
      "data-face": number, "aria-label": `face ${number + 1}`, role: "button", onpointerdown: (event) => { event.stopPropagation(); send({ do: "face", number }); } }))));
  }

  // ---- the points
  let points = [], chosen = 8, grip = null, window_ = [0, 0, 1, 1];
  function frame() {  // the part of the photograph that is shown: all of it in a group, else around the face
    const [width, height] = get("photo_size"), all = get("faces").length > 1 || !get("found");
    const xs = get("points").map((p) => p[0]), ys = get("points").map((p) => p[1]);
    const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
    const room = 0.75 * Math.max(high[0] - low[0], high[1] - low[1]);
    const x0 = all ? 0 : Math.max(0, low[0] - room), y0 = all ? 0 : Math.max(0, low[1] - 1.2 * room);
    const x1 = all ? width : Math.min(width, high[0] + room), y1 = all ? height : Math.min(height, high[1] + room);
    window_ = [x0 - 0.5, y0 - 0.5, Math.max(16, x1 - x0), Math.max(16, y1 - y0)];
    svg.setAttribute("viewBox", window_.join(" "));
    svg.style.aspectRatio = `${window_[2]} / ${window_[3]}`;
    load();
  }
  function load() { if (!grip) { points = get("points").map((p) => [...p]); dotted(); } }
  function dotted() {
    const unit = window_[2] / Math.max(svg.clientWidth || 300, 100);
    get("chains").forEach(([first, last, closed], k) => {
      lines[k].setAttribute("d", "M" + points.slice(first, last).map((p) => p.join(" ")).join("L") + (closed ? "Z" : ""));
    });
    dots.forEach((dot, k) => {
      dot.setAttribute("cx", points[k][0]);
      dot.setAttribute("cy", points[k][1]);
      dot.setAttribute("r", (k === chosen && grip ? 5 : 2.6) * unit);
    });
    marks.style.strokeWidth = `${unit}px`;
  }
  new ResizeObserver(() => points.length && dotted()).observe(svg);
  function place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [at.x, at.y];
  }
  function shift(which, dx, dy) {
    for (const k of which) points[k] = [points[k][0] + dx, points[k][1] + dy];
    dotted();
  }
  const all = () => points.map((_, k) => k);
  const moved = () => send({ do: "points", points });
  function nearest([x, y]) {
    const away = points.map((p) => Math.hypot(p[0] - x, p[1] - y));
    const k = away.indexOf(Math.min(...away));
    return away[k] < (14 * window_[2]) / Math.max(svg.clientWidth, 100) ? k : -1;
  }
  svg.onpointerdown = (event) => {
    if (!showPoints.checked) return;
    const at = place(event), k = nearest(at);
    if (k >= 0) chosen = k;
    grip = { which: k >= 0 ? [k] : all(), at, moved: false };
    svg.setPointerCapture(event.pointerId);
    svg.focus({ preventScroll: true });
    event.preventDefault();
    if (k >= 0) magnify();
  };
  svg.onpointermove = (event) => {
    if (!grip) return;
    const [x, y] = place(event);
    shift(grip.which, x - grip.at[0], y - grip.at[1]);
    grip.at = [x, y];
    grip.moved = true;
    if (grip.which.length === 1) magnify();
  };
  svg.onpointerup = svg.onpointercancel = () => {
    const was = grip;
    grip = null;
    lens.style.display = "none";
    dotted();
    if (was && was.moved) moved();
  };
  function magnify() {  // what lies under the finger, four times as large
    const [x, y] = points[chosen], side = window_[2] / 9;
    lens.setAttribute("viewBox", `${x - side / 2} ${y - side / 2} ${side} ${side}`);
    for (const name of ["href", "x", "y", "width", "height"]) large.setAttribute(name, picture.getAttribute(name));
    const d = side / 8;
    cross.setAttribute("d", `M${x - d} ${y}H${x + d}M${x} ${y - d}V${y + d}`);
    cross.style.strokeWidth = side / 70;
    lens.style.display = "block";
  }
  svg.onkeydown = (event) => {
    const unit = window_[2] / 300, step = { ArrowLeft: [-unit, 0], ArrowRight: [unit, 0], ArrowUp: [0, -unit], ArrowDown: [0, unit] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    shift(event.shiftKey ? all() : [chosen], ...step);
    clearTimeout(svg.later);
    svg.later = setTimeout(moved, 500);
  };
  function grow(scale, degrees = 0) {
    const n = points.length, cx = points.reduce((s, p) => s + p[0], 0) / n, cy = points.reduce((s, p) => s + p[1], 0) / n;
    const c = scale * Math.cos((degrees * Math.PI) / 180), s = scale * Math.sin((degrees * Math.PI) / 180);
    points = points.map(([x, y]) => [cx + c * (x - cx) - s * (y - cy), cy + s * (x - cx) + c * (y - cy)]);
    dotted();
    clearTimeout(svg.later);
    svg.later = setTimeout(moved, 500);
  }

  // ---- sliders
  function slider(label, unit, low, high, step, moves) {
    const value = h("output"), range = h("input", { type: "range", min: low, max: high, step, "aria-label": label });
    const tell = () => { value.textContent = `${Number(range.value) > 0 && low < 0 ? "+" : ""}${Number(range.value).toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)} ${unit}`; };
    range.oninput = () => { tell(); moves(Number(range.value)); };
    range.onchange = () => saved();
    return { row: h("label", { class: "face-slider" }, h("span", {}, label), value, range), set: (to) => { range.value = to; tell(); } };
  }
  let five = [], ten = [];
  function name() {
    five = get("directions").map(({ label, unit, low, high }, d) => slider(label, unit, low, high, 10 ** Math.floor(Math.log10((high - low) / 100)), (value) => {
      look.named[d] = value;
      draw();
    }));
    named.replaceChildren(...five.map((each) => each.row));
    controls();
  }
  function pages() {
    const count = get("now")[kind.value].length, runs = [];
    for (let k = 0; k < count; k += PAGE) runs.push(h("option", { value: k }, `${k + 1} to ${Math.min(k + PAGE, count)}`));
    page.replaceChildren(...runs);
    rows();
  }
  function rows() {
    if (!numbers.parentNode.open) return;
    const key = kind.value, first = Number(page.value), now = composed()[key];
    ten = now.slice(first, first + PAGE).map((start, i) => {
      const k = first + i, made = slider(`${key === "expression" ? "e" : key === "alpha" ? "α" : "β"} ${k + 1}`, "σ", -LIMIT, LIMIT, 0.05, (value) => {
        look.edits[key][k] = (look.edits[key][k] || 0) + value - composed()[key][k];
        draw();
      });
      made.set(start);
      return made;
    });
    numbers.replaceChildren(...ten.map((each) => each.row));
  }
  function controls() {
    five.forEach((each, d) => each.set(look.named[d]));
    share.set(100 * look.shape);
    around.set(look.around);
    power.set(100 * look.power);
    likeness.set(100 * look.likeness);
    for (const button of swaps.children) button.setAttribute("aria-pressed", look[button.dataset.part] > 0.5);
    rows();
  }

  // ---- a photograph of the reader's
  const LONGEST = 2400, PART = get("part");
  async function smaller(file) {  // what the browser can read is shrunk here; the rest is Python's to explain
    try {
      const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
      const factor = LONGEST / Math.max(whole.width, whole.height);
      if (factor >= 1) return file;
      const page = h("canvas", { width: Math.round(whole.width * factor), height: Math.round(whole.height * factor) });
      const context = page.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(whole, 0, 0, page.width, page.height);
      return await new Promise((done) => page.toBlob(done, "image/jpeg", 0.95));
    } catch { return file; }
  }
  async function upload(file, title = file.name) {
    said.textContent = `Reading ${title} …`;
    said.dataset.kind = "";
    const small = await smaller(file), largest = get("largest"), mb = (bytes) => Math.round(bytes / 1e6);
    if (small.size > largest) {
      said.textContent = `${title}: ${mb(small.size)} MB: at most ${mb(largest)} MB: save a smaller version`;
      said.dataset.kind = "error";
      return;
    }
    const parts = Math.max(1, Math.ceil(small.size / PART));
    for (let number = 0; number < parts; number++) {
      send({ do: "upload", name: title, number, parts }, [await small.slice(number * PART, (number + 1) * PART).arrayBuffer()]);
    }
  }
  app.ondragover = (event) => { event.preventDefault(); app.classList.add("face-over"); };
  app.ondragleave = () => app.classList.remove("face-over");
  app.ondrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    app.classList.remove("face-over");
    if (event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
  };
  let stream = null;
  async function camera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 960 } });
    } catch (error) {
      said.textContent = `No camera: ${error.name === "NotAllowedError" ? "the browser was not allowed to use it" : "none was found"}.`;
      said.dataset.kind = "error";
      return;
    }
    video.srcObject = stream;
    photo.classList.add("face-filming");
  }
  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    photo.classList.remove("face-filming");
  }
  function snap() {
    const page = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    page.getContext("2d").drawImage(video, 0, 0);
    stop();
    page.toBlob((blob) => upload(blob, "camera.jpg"), "image/jpeg", 0.95);
  }
  ends.push(stop);

  // ---- files
  const arrived = (content, buffers) => {
    if (content.said !== undefined) note.textContent = content.said;
    if (!content.name) return;
    const url = URL.createObjectURL(new Blob(buffers, { type: "application/octet-stream" }));
    const link = h("a", { href: url, download: content.name });
    app.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
  model.on("msg:custom", arrived);
  ends.push(() => model.off("msg:custom", arrived));

  on("people chosen", crowd);
  on("paints painted", paint);
  on("photo photo_size faces", seen);
  on("points", load);
  on("covered", hide);
  on("status verdict progress can_undo stage", words);
  on("directions", name);
  on("now", () => { tween(); if (!ten.length) pages(); });
  on("look", () => {
    look = { ...plain(), ...structuredClone(get("look").look || {}) };
    crowd();
    tween();
    controls();
  });
  look = { ...plain(), ...structuredClone(get("look").look || {}) };
  view.setMesh(unpacked(get("mesh")));
  pages();
  name();
  draw();
  crowd();
  seen();
  words();
  mark();
  return () => {
    ends.forEach((end) => end());
    for (const url of [...urls.values(), ...thumbs.values()]) if (url) URL.revokeObjectURL(url);
    view.remove();
  };
}
export default { render };
