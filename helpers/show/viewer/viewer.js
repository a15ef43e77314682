// A face drawn by WebGL 2: mean + basis · coefficients is computed here, so a slider needs no answer from Python.
// Nothing else is loaded; the same file serves the widget, the playground and pages that open without a network.

const VERTEX = `#version 300 es
precision highp float;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 colour; in vec3 gain; in float own;
uniform mat4 project; uniform mat3 turn; uniform vec3 pivot; uniform float distance;
uniform int mode;  // 0 painted, 1 the model's colours in its light, 2 clay, 3 colours as they are, 4 colours in studio light
uniform vec3 light[9]; uniform vec3 lightA[9]; uniform vec3 lightB[9]; uniform vec3 studio[9]; uniform mat3 carried; uniform float power;
uniform float share;
out vec2 vUv; out vec3 vShaded; out vec3 vGainA; out vec3 vGainB; out float vOwn;
vec3 received(vec3 l[9], vec3 n) {
  vec3 e = l[0] + l[1] * n.x + l[2] * n.y + l[3] * n.z + l[4] * n.x * n.y + l[5] * n.x * n.z + l[6] * n.y * n.z
    + l[7] * (n.x * n.x - n.y * n.y) + l[8] * (3.0 * n.z * n.z - 1.0);
  // sRGB's curve by square roots, within 0.002 up to 1.5: without a graphics card a power takes several times as long.
  vec3 r = sqrt(clamp(e, 0.0, 4.0)), q = sqrt(r);
  return 0.585122381 * r + 0.783140355 * q - 0.368262736 * sqrt(q);
}
void main() {
  vec3 lit = received(light, carried * normal) * power;
  if (mode < 2) vShaded = colour * lit;
  else if (mode == 2) vShaded = vec3(0.72, 0.72, 0.74) * received(studio, turn * normal);
  else vShaded = mode == 3 ? colour : colour * received(studio, turn * normal);
  if (mode == 0) {  // the paint has the light of its photograph in it
    vGainA = gain * clamp(lit / max(received(lightA, normal), 0.12), 0.3, 2.5);
    if (share > 0.0) vGainB = gain * clamp(lit / max(received(lightB, normal), 0.12), 0.3, 2.5);
  }
  vUv = uv; vOwn = own;
  gl_Position = project * vec4(turn * (position - pivot) - vec3(0.0, 0.0, distance), 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float; precision highp int;
in vec2 vUv; in vec3 vShaded; in vec3 vGainA; in vec3 vGainB; in float vOwn;
uniform int mode; uniform sampler2D paintA; uniform sampler2D paintB; uniform float share; uniform float fresh;
out vec4 pixel;
void main() {
  vec3 shown = vShaded;
  if (mode == 0 && fresh > 0.0) {
    vec3 paint = texture(paintA, vUv).rgb * vGainA;
    if (share > 0.0) paint = mix(paint, texture(paintB, vUv).rgb * vGainB, share);
    shown = mix(shown, paint, fresh * (1.0 - vOwn));
  }
  pixel = vec4(clamp(shown, 0.0, 1.0), 1.0);
}`;
const MODES = { photograph: 0, model: 1, clay: 2, plain: 3, studio: 4 };
const STUDIO = [0.35, 0.22, 0.31, 0.66, 0, 0, 0, 0, 0].flatMap((each) => [each, each, each]);
const FAR = 1500;  // mm that the camera stands away
const SWAY = 42, PERIOD = 9;  // degrees to each side, seconds
const SLOW = 150, REST = 250;  // ms between two pictures of a head that turns slowly, and until a face counts as at rest
const RADIANS = Math.PI / 180;

const arrays = { f32: Float32Array, i16: Int16Array, i8: Int8Array, u32: Uint32Array, u16: Uint16Array, u8: Uint8Array };

/** What Python packed, {name: {type, data}} and numbers, as typed arrays. */
function unpacked(packed) {
  const mesh = {};
  for (const [name, value] of Object.entries(packed)) {
    if (value && value.type) {
      const { buffer, byteOffset, byteLength } = value.data;
      mesh[name] = new arrays[value.type](buffer.slice(byteOffset, byteOffset + byteLength));
    } else mesh[name] = value;
  }
  return mesh;
}

/** Values that follow coefficients: mean + Σ (coefficient · scale) · mode. Steps along one line, such as a slider makes, cost
 *  one mode, not all. */
class Sum {
  constructor(mean, parts) {
    this.mean = mean;
    this.modes = parts.flatMap(({ modes, scale }) => Array.from(scale, (each, k) => ({ scale: each, mode: modes.subarray(k * mean.length, (k + 1) * mean.length) })));
    this.counts = parts.map(({ scale }) => scale.length);
    this.now = new Float64Array(this.modes.length);
    this.value = Float32Array.from(mean);
    this.line = { along: null, value: new Float32Array(mean.length) };
  }
  set(...wanted) {
    const step = new Float64Array(this.now.length);
    let k = 0, largest = 0;
    this.counts.forEach((count, p) => {
      for (let i = 0; i < count; i++, k++) {
        step[k] = ((wanted[p] || [])[i] || 0) - this.now[k];
        if (Math.abs(step[k]) > Math.abs(step[largest])) largest = k;
      }
    });
    if (!this.modes.length || !step[largest]) return false;
    const { along, value } = this.line, size = along && along[largest] ? step[largest] / along[largest] : 0;
    const close = 1e-4 * Math.abs(step[largest]);
    if (size && step.every((each, i) => Math.abs(each - size * along[i]) <= close)) {
      this._add(value, size);
    } else {
      value.fill(0);
      step.forEach((each, i) => {
        const by = each * this.modes[i].scale, mode = this.modes[i].mode;
        if (by) for (let j = 0; j < value.length; j++) value[j] += by * mode[j];
      });
      this.line.along = step;
      this._add(value, 1);
    }
    step.forEach((each, i) => { this.now[i] += each; });
    return true;
  }
  _add(value, size) { for (let j = 0; j < value.length; j++) this.value[j] += size * value[j]; }
}

/** How far along a ray it first meets a triangle, in lengths of the ray; Infinity if nowhere. (Möller and Trumbore 1997.) */
function nearestHit(points, faces, eye, ray) {
  const [dx, dy, dz] = ray;
  let nearest = Infinity;
  for (let t = 0; t < faces.length; t += 3) {
    const a = 3 * faces[t], b = 3 * faces[t + 1], c = 3 * faces[t + 2];
    const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
    const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
    const px = dy * vz - dz * vy, py = dz * vx - dx * vz, pz = dx * vy - dy * vx, det = ux * px + uy * py + uz * pz;
    if (Math.abs(det) < 1e-12) continue;
    const sx = eye[0] - points[a], sy = eye[1] - points[a + 1], sz = eye[2] - points[a + 2];
    const u = (sx * px + sy * py + sz * pz) / det;
    if (u < 0 || u > 1) continue;
    const qx = sy * uz - sz * uy, qy = sz * ux - sx * uz, qz = sx * uy - sy * ux, v = (dx * qx + dy * qy + dz * qz) / det;
    if (v < 0 || u + v > 1) continue;
    const far = (vx * qx + vy * qy + vz * qz) / det;
    if (far > 0 && far < nearest) nearest = far;
  }
  return nearest;
}

class FaceView {
  /** Draws on a canvas. `told(view)` is called whenever the reader has turned the face, `drawn(view)` after each frame, and, where
   *  there is a `clicked`, that with the point of the mesh, mm, on which the reader has clicked without a drag. */
  constructor(canvas, { turning = true, told = () => {}, drawn = () => {}, clicked = null } = {}) {
    Object.assign(this, { drawn, clicked, steepest: clicked ? 180 : 60 });
    this.canvas = canvas;
    this.turning = turning;
    this.mode = "photograph";
    this.yaw = 0; this.pitch = 0; this.zoom = 1;
    this.share = 0; this.fresh = 0;
    this.light = STUDIO; this.lights = [STUDIO, STUDIO];
    this.around = 0; this.power = 1;
    this.told = told;
    this.frames = 0;
    // Without a graphics card smooth edges cost half of the pictures per second: there a face moves without them, and is drawn
    // once more, twice as fine, as soon as it rests.
    this.software = drawnBySoftware();
    const gl = canvas.getContext("webgl2", { antialias: !this.software, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser has no WebGL 2: the face cannot be drawn.");
    this.gl = gl;
    this._program();
    this._listen();
    this._observer = new ResizeObserver(() => this.draw());
    this._observer.observe(canvas);
    this._begun = performance.now();
    // There each picture also takes a processor that a fit may need: while one is `busy`, the head turns in fewer steps.
    this.busy = false;
    this.sharp = false;
    this._turned = this._painted = 0;
    const tick = (now) => {
      if (this.gone) return;
      if (this.turning && now - this._turned >= (this.software && this.busy ? SLOW : 0) && canvas.isConnected && canvas.offsetParent !== null) {
        this._turned = now;
        this.yaw = SWAY * Math.sin((2 * Math.PI * (now - this._begun)) / 1000 / PERIOD);
        this._dirty = true;
      }
      if (this.before) this.before(now);
      if (this._dirty) {
        this._painted = now;
        this._paint(!this.software);
      } else if (!this.sharp && now - this._painted > REST) this._paint(true);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  remove() {
    this.gone = true;
    this._observer.disconnect();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  draw() { this._dirty = true; }

  _program() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.at = (name) => gl.getUniformLocation(program, name);
    this.buffers = {};
    for (const [name, size] of Object.entries({ position: 3, normal: 3, uv: 2, colour: 3, gain: 3, own: 1 })) {
      const buffer = gl.createBuffer(), place = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, 0, 0);
      this.buffers[name] = buffer;
    }
    this.index = gl.createBuffer();
    this.paints = [0, 1].map(() => {
      const texture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array([180, 150, 135, 255]));
      return texture;
    });
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0);
  }

  /** `mesh` is what `unpacked` gives. */
  setMesh(mesh) {
    const gl = this.gl;
    this.mesh = mesh;
    this.shape = new Sum(mesh.mean, mesh.shape ? [{ modes: mesh.shape, scale: mesh.shape_scale },
      { modes: mesh.expression, scale: mesh.expression_scale }] : []);
    this.colour = new Sum(mesh.colours, mesh.texture ? [{ modes: mesh.texture, scale: mesh.texture_scale }] : []);
    this.base = new Sum(mesh.colours, mesh.texture ? [{ modes: mesh.texture, scale: mesh.texture_scale }] : []);
    const C = mesh.vertex.length;
    this.out = { position: new Float32Array(3 * C), normal: new Float32Array(3 * C), colour: new Float32Array(3 * C), gain: new Float32Array(3 * C).fill(1) };
    this.normals = new Float32Array(mesh.mean.length);
    // Triangles of the mesh's own vertices: their normals join what the texture cuts apart.
    this.faces = Uint32Array.from(mesh.triangles, (corner) => mesh.vertex[corner]);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.uv);
    gl.bufferData(gl.ARRAY_BUFFER, mesh.uv, gl.STATIC_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.own);  // vertices that keep the model's colours under the paint
    gl.bufferData(gl.ARRAY_BUFFER, Float32Array.from(mesh.vertex, (v) => mesh.own[v] / 255), gl.STATIC_DRAW);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.index);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, Uint32Array.from(mesh.triangles), gl.STATIC_DRAW);
    gl[mesh.closed ? "enable" : "disable"](gl.CULL_FACE);
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    mesh.mean.forEach((value, i) => { low[i % 3] = Math.min(low[i % 3], value); high[i % 3] = Math.max(high[i % 3], value); });
    this.pivot = mesh.pivot || low.map((value, i) => (value + high[i]) / 2);
    this.view = mesh.view || 1.12 * (high[1] - low[1]);
    this._geometry();
    this._colours();
  }

  /** Coefficients; `base` are those of the texture that the paint stands for. */
  set({ alpha = [], expression = [], beta = [], base = beta }) {
    if (this.shape.set(alpha, expression)) this._geometry();
    const moved = this.colour.set(beta), rebased = this.base.set(base);
    if (moved || rebased) this._colours();
    this._dirty = true;
  }

  /** The picture of the texture, `slot` 0 or 1, in the light (27 numbers) that it was taken in. */
  setPaint(slot, image, light) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.paints[slot]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.lights[slot] = light || STUDIO;
    this._dirty = true;
  }

  /** A painted head of a page: `packed_head` of Python, with bytes as base64. */
  showHead(packed) {
    const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const mesh = Object.entries(packed.mesh).map(([name, value]) => [name, value && value.type ? { type: value.type, data: bytes(value.data) } : value]);
    this.setMesh(unpacked(Object.fromEntries(mesh)));
    this.light = packed.light;
    imageOf(bytes(packed.paint)).then((image) => { this.setPaint(0, image, packed.light); this.fresh = 1; });
  }

  _send(name) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, this.out[name], gl.DYNAMIC_DRAW);
    this._dirty = true;
  }

  _spread(values, out) {
    const vertex = this.mesh.vertex;
    for (let c = 0, o = 0; c < vertex.length; c++) {
      let v = 3 * vertex[c];
      out[o++] = values[v++]; out[o++] = values[v++]; out[o++] = values[v];
    }
  }

  _geometry() {
    const p = this.shape.value, n = this.normals, f = this.faces;
    n.fill(0);
    for (let t = 0; t < f.length; t += 3) {
      const a = 3 * f[t], b = 3 * f[t + 1], c = 3 * f[t + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      n[a] += x; n[a + 1] += y; n[a + 2] += z;
      n[b] += x; n[b + 1] += y; n[b + 2] += z;
      n[c] += x; n[c + 1] += y; n[c + 2] += z;
    }
    for (let i = 0; i < n.length; i += 3) {
      const length = Math.hypot(n[i], n[i + 1], n[i + 2]) || 1;
      n[i] /= length; n[i + 1] /= length; n[i + 2] /= length;
    }
    this._spread(p, this.out.position);
    this._spread(n, this.out.normal);
    this._send("position");
    this._send("normal");
  }

  _colours() {
    const now = this.colour.value, base = this.base.value, gains = new Float32Array(now.length);
    for (let i = 0; i < now.length; i++) {
      const gain = Math.min(2.5, Math.max(0.3, Math.max(now[i], 0.03) / Math.max(base[i], 0.03)));
      gains[i] = 1 + (gain - 1) * (1 - this.mesh.eyes[Math.floor(i / 3)] / 255);  // eyes stay the photograph's
    }
    this._spread(now, this.out.colour);
    this._spread(gains, this.out.gain);
    this._send("colour");
    this._send("gain");
  }

  /** In software a `sharp` picture has four samples per pixel, as the others have by themselves. */
  _paint(sharp) {
    const gl = this.gl, canvas = this.canvas;
    if (!this.mesh || gl.isContextLost()) return;
    this._dirty = false;
    this.sharp = sharp;
    const ratio = this.software ? (sharp ? 2 : 1) : Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const { x, y, turn } = this._camera(width / height), near = FAR / 4, far = FAR * 2;
    gl.uniformMatrix4fv(this.at("project"), false, [1 / x, 0, 0, 0, 0, 1 / y, 0, 0,
      0, 0, -(far + near) / (far - near), -1, 0, 0, (-2 * far * near) / (far - near), 0]);
    gl.uniformMatrix3fv(this.at("turn"), false, turn);
    gl.uniform3fv(this.at("pivot"), this.pivot);
    gl.uniform1f(this.at("distance"), FAR);
    gl.uniform1i(this.at("mode"), MODES[this.mode]);
    gl.uniform1f(this.at("share"), this.share);
    gl.uniform1f(this.at("fresh"), this.fresh);
    gl.uniform1f(this.at("power"), this.power);
    // A lamp carried to the right lights what the normal turned to the left was lit by before.
    const r = this.around * RADIANS, c = Math.cos(r), s = Math.sin(r);
    gl.uniformMatrix3fv(this.at("carried"), false, [c, 0, s, 0, 1, 0, -s, 0, c]);
    gl.uniform3fv(this.at("light"), this.light);
    gl.uniform3fv(this.at("lightA"), this.lights[0]);
    gl.uniform3fv(this.at("lightB"), this.lights[1]);
    gl.uniform3fv(this.at("studio"), STUDIO);
    this.paints.forEach((texture, slot) => {
      gl.activeTexture(gl.TEXTURE0 + slot);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.uniform1i(this.at(slot ? "paintB" : "paintA"), slot);
    });
    gl.drawElements(gl.TRIANGLES, this.mesh.triangles.length, gl.UNSIGNED_INT, 0);
    this.frames++;
    this.drawn(this);
  }

  /** Half of what the picture shows, as tangents to the right and up, and the turn of the face, column by column. */
  _camera(aspect) {
    const half = this.view / 2 / FAR / this.zoom;  // the narrower side shows `view` mm
    const x = aspect < 1 ? half : half * aspect, a = this.yaw * RADIANS, b = this.pitch * RADIANS;
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    return { x, y: x / aspect, turn: [ca, sb * sa, -sa * cb, 0, cb, sb, sa, -sb * ca, cb * ca] };
  }

  /** Where a point of the mesh, mm, is drawn: CSS px from the corner of the canvas. */
  placeOf(point) {
    const { clientWidth: width, clientHeight: height } = this.canvas, { x, y, turn } = this._camera(width / height);
    const from = point.map((value, i) => value - this.pivot[i]);
    const [u, v, w] = [0, 1, 2].map((i) => turn[i] * from[0] + turn[3 + i] * from[1] + turn[6 + i] * from[2]);
    const depth = FAR - w;
    return [width / 2 * (1 + u / depth / x), height / 2 * (1 - v / depth / y)];
  }

  /** The point of the mesh, mm, that is seen at a place of the canvas, CSS px; null beside the face. */
  pointAt(left, top) {
    const { clientWidth: width, clientHeight: height } = this.canvas, { x, y, turn } = this._camera(width / height);
    const back = (v) => [0, 1, 2].map((i) => turn[3 * i] * v[0] + turn[3 * i + 1] * v[1] + turn[3 * i + 2] * v[2]);
    const eye = back([0, 0, FAR]).map((value, i) => value + this.pivot[i]);
    const ray = back([(2 * left / width - 1) * x, (1 - 2 * top / height) * y, -1]);
    const hit = nearestHit(this.shape.value, this.faces, eye, ray);
    return hit === Infinity ? null : eye.map((value, i) => value + hit * ray[i]);
  }

  _listen() {
    const canvas = this.canvas;
    let grip = null, pressed = null;
    const touched = () => { this.turning = false; this._dirty = true; this.told(this); };
    canvas.style.touchAction = "pan-y";
    canvas.onpointerdown = (event) => {
      grip = pressed = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
      touched();
    };
    canvas.onpointermove = (event) => {
      if (!grip) return;
      this.yaw += (event.clientX - grip[0]) * 0.4;
      this.pitch = Math.max(-this.steepest, Math.min(this.steepest, this.pitch + (event.clientY - grip[1]) * 0.4));
      grip = [event.clientX, event.clientY];
      touched();
    };
    canvas.onpointercancel = () => { grip = null; };
    canvas.onpointerup = (event) => {
      grip = null;
      const moved = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
      if (!this.clicked || moved === null || moved > 4) return;
      const point = this.pointAt(event.offsetX, event.offsetY);
      if (point) this.clicked(point);
    };
    // The wheel scrolls the page; with Ctrl, which is also what a pinch sends, it brings the face closer.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom = Math.max(0.6, Math.min(6, this.zoom * Math.exp(-event.deltaY * 0.003)));
      touched();
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const step = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.yaw += step[0];
      this.pitch = Math.max(-this.steepest, Math.min(this.steepest, this.pitch + step[1]));
      touched();
    };
    canvas.ondblclick = () => { if (this.clicked) return; this.yaw = 0; this.pitch = 0; this.zoom = 1; touched(); };
  }
}

/** Whether this browser draws without a graphics card. */
function drawnBySoftware() {
  const gl = document.createElement("canvas").getContext("webgl2"), names = gl && gl.getExtension("WEBGL_debug_renderer_info");
  const drawer = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
  if (gl) gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software/i.test(drawer);
}

/** An image that can be drawn, of JPEG or PNG bytes. */
async function imageOf(bytes) {
  return createImageBitmap(new Blob([bytes]));
}

/** Whether to draw on a dark page: JupyterLab's theme where there is one, else what the system asks for. */
function followTheme(element) {
  const asked = window.matchMedia("(prefers-color-scheme: dark)"), body = document.body;
  const look = () => {
    const lab = body.dataset.voila ? undefined : body.dataset.jpThemeLight;
    element.classList.toggle("face-dark", lab === undefined ? asked.matches : lab === "false");
  };
  look();
  asked.addEventListener("change", look);
  const observer = new MutationObserver(look);
  observer.observe(body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  return () => { asked.removeEventListener("change", look); observer.disconnect(); };
}
