// A photograph with points to drag; beside it the picture that Python draws of them.
function render({ model, el }) {
  const SVG = "http://www.w3.org/2000/svg", make = (name, of) => of.appendChild(document.createElementNS(SVG, name));
  const url = (name) => URL.createObjectURL(new Blob([model.get(name)]));
  const box = document.createElement("div"), svg = document.createElementNS(SVG, "svg"), heads = document.createElement("img");
  const side = model.get("side"), height = model.get("height");
  box.style.cssText = "display: flex; flex-wrap: wrap; align-items: flex-end; gap: 6px";
  svg.setAttribute("viewBox", `-0.5 -0.5 ${side} ${side}`);
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-label", "68 points on the photograph: drag one, or choose one by a click and move it with the arrow keys");
  svg.tabIndex = 0;
  svg.style.cssText = `width: ${height}px; max-width: 100%; cursor: crosshair; touch-action: none`;
  heads.style.cssText = "max-width: 100%; height: auto";
  const photo = make("image", svg);
  for (const [name, value] of Object.entries({ x: -0.5, y: -0.5, width: side, height: side, href: url("photo") })) photo.setAttribute(name, value);
  let points = model.get("points").map((p) => [...p]), chosen = 30, grip = false, waiting = false;
  const dots = points.map(() => make("circle", svg));
  const again = document.createElement("button");
  again.className = "jupyter-button";
  again.textContent = "all points back";

  function dotted() {
    dots.forEach((dot, k) => {
      const [x, y] = points[k];
      for (const [name, value] of Object.entries({ cx: x, cy: y, r: k === chosen ? 3.2 : 1.8, fill: "#3DDBB0", stroke: "#10302A", "stroke-width": 0.5 })) dot.setAttribute(name, value);
    });
  }
  function send() {  // at most once a picture of the screen
    dotted();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; model.set("points", points.map((p) => [...p])); model.save_changes(); });
  }
  function place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [at.x, at.y];
  }
  svg.onpointerdown = (event) => {
    const [x, y] = place(event), away = points.map((p) => Math.hypot(p[0] - x, p[1] - y));
    chosen = away.indexOf(Math.min(...away));
    grip = true;
    svg.setPointerCapture(event.pointerId);
    dotted();
  };
  svg.onpointermove = (event) => {
    if (!grip) return;
    points[chosen] = place(event).map((each) => Math.max(0, Math.min(side - 1, each)));
    send();
  };
  svg.onpointerup = svg.onpointercancel = () => { grip = false; };
  svg.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    points[chosen] = points[chosen].map((each, i) => Math.max(0, Math.min(side - 1, each + step[i])));
    send();
  };
  again.onclick = () => { points = model.get("found").map((p) => [...p]); send(); };
  function follow() {
    const old = heads.src;
    heads.src = url("picture");
    heads.alt = model.get("words");
    if (old) URL.revokeObjectURL(old);
  }
  model.on("change:picture", follow);
  follow();
  dotted();
  box.append(svg, heads);
  el.append(box, again);
}
export default { render };
