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
    view = new FaceView(canvas);
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
  return () => { unfollow(); view.remove(); };
}
export default { render };
