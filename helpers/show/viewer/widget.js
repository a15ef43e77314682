/** Landmarks that the reader sets by clicks, one after the other: options of `FaceView`. */
function picking(model, el) {
  const line = document.createElement("div"), undo = document.createElement("button"), words = document.createElement("span");
  const dots = document.createElement("div");
  undo.textContent = "Undo";
  line.className = "face-line";
  dots.className = "face-dots";
  line.append(undo, words);
  el.append(line);
  el.classList.add("face-picking");
  el.append(dots);
  const write = (points) => { model.set("picked", points); model.save_changes(); };
  const look = () => {
    const wanted = model.get("wanted"), count = model.get("picked").length, said = model.get("said");
    words.textContent = count < wanted.length ? `Click: ${wanted[count]} (${count + 1} of ${wanted.length})` : said;
    undo.disabled = !count;
    dots.replaceChildren(...model.get("picked").map((_, k) => Object.assign(document.createElement("i"), { title: wanted[k] })));
  };
  undo.onclick = () => write(model.get("picked").slice(0, -1));
  model.on("change:picked change:said", look);
  look();
  return {
    turning: false,
    clicked: (point) => {
      if (model.get("picked").length < model.get("wanted").length) write([...model.get("picked"), point]);
    },
    drawn: (view) => model.get("picked").forEach((point, k) => {
      const [left, top] = view.placeOf(point), dot = dots.children[k];
      dot.style.left = `${view.canvas.offsetLeft + left}px`;
      dot.style.top = `${view.canvas.offsetTop + top}px`;
    }),
  };
}

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.className = "face-canvas";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${model.get("about")}: drag to turn it, Ctrl and the wheel bring it closer`);
  canvas.style.height = `${model.get("height")}px`;
  el.append(canvas);
  const unfollow = followTheme(el);
  let view;
  try {
    view = new FaceView(canvas, model.get("wanted").length ? picking(model, el) : {});
  } catch (error) {
    el.textContent = error.message;
    return unfollow;
  }
  const load = () => view.setMesh(unpacked(model.get("mesh")));
  const look = () => { view.mode = model.get("mode"); view.draw(); };
  const follow = () => view.set(model.get("coefficients"));
  const paint = async () => {
    const bytes = model.get("paint");
    if (!bytes.byteLength) return;
    view.setPaint(0, await imageOf(bytes), view.light);
    view.fresh = 1;
  };
  load();
  look();
  follow();
  paint();
  model.on("change:mesh", load);
  model.on("change:mode", look);
  model.on("change:coefficients", follow);
  model.on("change:paint", paint);
  model.on("change:picked", () => view.draw());
  return () => { unfollow(); view.remove(); };
}
export default { render };
