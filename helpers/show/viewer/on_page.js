// On a page of the site: the picture in .turning-head gives way to the head itself where the browser has WebGL 2.
{
  const figure = document.querySelector(".turning-head"), picture = figure.querySelector("img"), canvas = document.createElement("canvas");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  canvas.className = "face-canvas";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${picture.alt}: drag to turn it, or use the arrow keys`);
  try {
    const view = new FaceView(canvas, { turning: !still });
    view.showHead(%PACKED%);
    picture.replaceWith(canvas);
    figure.querySelector("figcaption").append(" Drag it, or use the arrow keys, to turn it.");
  } catch (error) {
    console.info(error.message);  // the picture stays
  }
}
