// Measures the matrices in a file as paper_code.diagnose does: reads it in pieces, adds up E'E in double precision, and
// takes the roots of its eigenvalues. One function without anything around it, so that a page can make a worker of its
// text, also when it is opened as a file; `self` is the worker, or what a test gives.
function tryItCore(self) {
  "use strict";

  const AT_ONCE = 1 << 22; // bytes that are read at a time, and rows are never cut
  const MOST_COLUMNS = 1024;
  const TABLE = /(?<![a-z])(emb|tables?(?![a-z])|lookup)|embed|Emb(?!l)|Table|Lookup/;
  const COLLAPSED_BELOW = 0.5;
  const RANDOM_NUMBERS = 1_000_000, FEWEST_DRAWS = 20, MOST_DRAWS = 10_000;

  // What is wrong with a file, in the words of the command.
  class FileError extends Error {}

  // ---- Linear algebra

  // Adds the products of the columns of count rows (row after row in x) to the upper triangle of gram (K x K).
  function addProducts(gram, x, count, K) {
    let row = 0;
    for (; row + 4 <= count; row += 4) {
      const a = row * K, b = a + K, c = b + K, d = c + K;
      for (let i = 0; i < K; i++) {
        const xa = x[a + i], xb = x[b + i], xc = x[c + i], xd = x[d + i], g = i * K;
        for (let j = i; j < K; j++) gram[g + j] += xa * x[a + j] + xb * x[b + j] + xc * x[c + j] + xd * x[d + j];
      }
    }
    for (; row < count; row++) {
      const a = row * K;
      for (let i = 0; i < K; i++) {
        const xa = x[a + i], g = i * K;
        for (let j = i; j < K; j++) gram[g + j] += xa * x[a + j];
      }
    }
  }

  // The eigenvalues of a symmetric matrix (n x n, its upper triangle), largest first; the matrix is overwritten.
  // Householder's reduction to three diagonals, then the implicit QL method (Wilkinson and Reinsch, 1971).
  function eigenvalues(a, n) {
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i];
    const diagonal = new Float64Array(n), beside = new Float64Array(n), p = new Float64Array(n);
    for (let i = n - 1; i > 0; i--) {
      const row = i * n;
      let scale = 0;
      for (let k = 0; k < i; k++) scale += Math.abs(a[row + k]);
      if (i === 1 || scale === 0) {
        beside[i] = a[row + i - 1];
        continue;
      }
      let h = 0;
      for (let k = 0; k < i; k++) h += (a[row + k] /= scale) ** 2;
      const f = a[row + i - 1], g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      beside[i] = scale * g;
      h -= f * g;
      a[row + i - 1] = f - g;
      let sum = 0;
      for (let j = 0; j < i; j++) {
        let product = 0;
        for (let k = 0; k <= j; k++) product += a[j * n + k] * a[row + k];
        for (let k = j + 1; k < i; k++) product += a[k * n + j] * a[row + k];
        p[j] = product / h;
        sum += p[j] * a[row + j];
      }
      const half = sum / (h + h);
      for (let j = 0; j < i; j++) {
        const u = a[row + j], q = (p[j] -= half * u);
        for (let k = 0; k <= j; k++) a[j * n + k] -= u * p[k] + q * a[row + k];
      }
    }
    for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i];
    for (let i = 1; i < n; i++) beside[i - 1] = beside[i];
    beside[n - 1] = 0;
    for (let l = 0; l < n; l++) {
      for (let round = 0; ; round++) {
        let m = l;
        for (; m < n - 1; m++) {
          const size = Math.abs(diagonal[m]) + Math.abs(diagonal[m + 1]);
          if (Math.abs(beside[m]) <= Number.EPSILON * size) break;
        }
        if (m === l) break;
        if (round > 60) throw new FileError("its eigenvalues were not found; use the command");
        let g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]);
        g = diagonal[m] - diagonal[l] + beside[l] / (g + Math.sign(g || 1) * Math.hypot(g, 1));
        let s = 1, c = 1, q = 0, i = m - 1;
        for (; i >= l; i--) {
          const f = s * beside[i], b = c * beside[i];
          let r = Math.hypot(f, g);
          beside[i + 1] = r;
          if (r === 0) {
            diagonal[i + 1] -= q;
            beside[m] = 0;
            break;
          }
          s = f / r;
          c = g / r;
          g = diagonal[i + 1] - q;
          r = (diagonal[i] - g) * s + 2 * c * b;
          q = s * r;
          diagonal[i + 1] = g + q;
          g = c * r - b;
        }
        if (i >= l) continue;
        diagonal[l] -= q;
        beside[l] = g;
        beside[m] = 0;
      }
    }
    return diagonal.sort().reverse();
  }

  // Singular values, largest first, of a matrix of that many rows with this E'E; what is below the rounding of E'E is 0.
  function singularValues(gram, rows, K) {
    const squares = eigenvalues(gram, K).subarray(0, Math.min(rows, K));
    const least = 2 * K * Number.EPSILON * squares[0];
    return Array.from(squares, (value) => (value > least ? Math.sqrt(value) : 0));
  }

  // ---- Measures, as spectra.py and diagnose/measures.py define them

  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const abundanceOf = (values) => total(values) / values[0];

  function measuresOf(values, rows, columns) {
    const random = randomAbundance(rows, columns);
    const found = { rows, columns, singular_values: values, random_information_abundance: random.mean };
    found.random_singular_values = random.spectrum;
    if (!values[0]) return { ...found, verdict: "all zeros" };
    const sum = total(values), scaled = values.map((value) => value / values[0]);
    const energies = [];
    for (const value of scaled) energies.push((energies.at(-1) ?? 0) + value ** 2);
    const edge = noiseEdge(scaled, rows, columns);
    const least = Number.EPSILON * Math.max(rows, columns);
    const share = abundanceOf(values) / random.mean;
    return {
      ...found,
      information_abundance: abundanceOf(values),
      share_of_random: share,
      effective_rank: Math.exp(-total(values.filter(Boolean).map((value) => (value / sum) * Math.log(value / sum)))),
      stable_rank: energies.at(-1),
      energy_dimensions: energies.findIndex((energy) => energy >= 0.99 * energies.at(-1)) + 1,
      alpha: powerLawAlpha(scaled),
      noise_edge: edge,
      above_noise: scaled.filter((value) => value > Math.max(edge, least)).length,
      verdict: rows < columns ? "too few rows" : share < COLLAPSED_BELOW ? "collapsed" : "not collapsed",
    };
  }

  function noiseEdge(values, rows, columns) {
    const shorter = Math.min(rows, columns), longer = Math.max(rows, columns), n = values.length;
    const median = (values[(n - 1) >> 1] + values[n >> 1]) / 2;
    const deviation = median / Math.sqrt(longer * marchenkoPasturMedian(shorter / longer));
    return deviation * (Math.sqrt(rows) + Math.sqrt(columns));
  }

  function marchenkoPasturMedian(ratio) {
    const least = (1 - Math.sqrt(ratio)) ** 2, most = (1 + Math.sqrt(ratio)) ** 2, steps = 20_000;
    const x = new Float64Array(steps), mass = new Float64Array(steps);
    for (let i = 0, sum = 0; i < steps; i++) {
      const angle = ((i + 0.5) * Math.PI) / 2 / steps;
      x[i] = least + (most - least) * Math.sin(angle) ** 2;
      mass[i] = sum += (Math.sin(angle) * Math.cos(angle)) ** 2 / x[i];
    }
    const half = mass[steps - 1] / 2, after = mass.findIndex((value) => value >= half);
    const part = (half - mass[after - 1]) / (mass[after] - mass[after - 1]);
    return x[after - 1] + part * (x[after] - x[after - 1]);
  }

  function powerLawAlpha(values) {
    const most = Math.max(...values);
    const logs = values.filter((value) => value > most * 1e-12).map((value) => 2 * Math.log(value));
    logs.sort((a, b) => a - b);
    let best = Infinity, alpha = null;
    for (let start = 0; start + 10 <= logs.length; start++) {
      const tail = logs.slice(start).map((value) => value - logs[start]), count = tail.length;
      if (tail[count - 1] <= 1e-9) break;
      const rate = count / total(tail);
      let distance = 0;
      tail.forEach((value, i) => {
        const fitted = -Math.expm1(-rate * value);
        distance = Math.max(distance, (i + 1) / count - fitted, fitted - i / count);
      });
      if (distance < best) [best, alpha] = [distance, 1 + rate];
    }
    return alpha;
  }

  // The mean over random matrices, as many as the command draws or more, by Bartlett's decomposition.
  function randomAbundance(rows, columns) {
    const most = Math.max(rows, columns), n = Math.min(rows, columns);
    const draws = Math.max(n <= 128 ? FEWEST_DRAWS : 1, Math.min(MOST_DRAWS, Math.ceil(RANDOM_NUMBERS / (rows * columns))));
    const spectrum = new Float64Array(n), random = generator(1);
    for (let draw = 0; draw < draws; draw++) {
      const triangle = new Float64Array(n * n), gram = new Float64Array(n * n);
      for (let i = 0; i < n; i++) {
        triangle[i * n + i] = Math.sqrt(2 * random.gamma((most - i) / 2));
        for (let j = i + 1; j < n; j++) triangle[i * n + j] = random.normal();
      }
      addProducts(gram, triangle, n, n);
      const values = singularValues(gram, n, n);
      values.forEach((value, i) => (spectrum[i] += value / values[0] / draws));
    }
    return { spectrum: Array.from(spectrum), mean: total(spectrum) };
  }

  // Random numbers by a seed: mulberry32, Box and Muller's normal ones, and Marsaglia and Tsang's gamma ones.
  function generator(seed) {
    let spare = null;
    const uniform = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    const normal = () => {
      if (spare !== null) [spare, seed] = [null, seed, (normal.last = spare)];
      else {
        const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
        spare = radius * Math.sin(angle);
        normal.last = radius * Math.cos(angle);
      }
      return normal.last;
    };
    const gamma = (shape) => {
      if (shape < 1) return gamma(shape + 1) * uniform() ** (1 / shape);
      const d = shape - 1 / 3, c = 1 / Math.sqrt(9 * d);
      for (;;) {
        const x = normal(), v = (1 + c * x) ** 3;
        if (v > 0 && Math.log(uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
      }
    };
    return { uniform, normal, gamma };
  }

  // ---- Numbers in bytes

  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }

  const HALVES = Float64Array.from({ length: 65536 }, (_, bits) => half(bits));
  const WORD = new Uint32Array(1), FLOAT = new Float32Array(WORD.buffer);
  const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const SIZES = { float16: 2, bfloat16: 2, float32: 4, float64: 8 };

  // The numbers in bytes (a Uint8Array), as doubles, or as they are where that needs no copy.
  function numbersIn(bytes, dtype, little) {
    const size = SIZES[dtype], count = bytes.length / size;
    const native = little === LITTLE && bytes.byteOffset % size === 0;
    if (native && dtype === "float64") return new Float64Array(bytes.buffer, bytes.byteOffset, count);
    if (native && dtype === "float32") return Float64Array.from(new Float32Array(bytes.buffer, bytes.byteOffset, count));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), found = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      if (dtype === "float64") found[i] = view.getFloat64(8 * i, little);
      else if (dtype === "float32") found[i] = view.getFloat32(4 * i, little);
      else if (dtype === "float16") found[i] = HALVES[view.getUint16(2 * i, little)];
      else {
        WORD[0] = view.getUint16(2 * i, little) << 16;
        found[i] = FLOAT[0];
      }
    }
    return found;
  }

  // ---- Files. A matrix is { name, shape, dtype, problem?, blocks }; blocks yields doubles, whole rows at a time.

  async function bytesOf(blob, start, stop) {
    return new Uint8Array(await blob.slice(start, stop).arrayBuffer());
  }

  const text = (bytes) => new TextDecoder().decode(bytes);
  const grouped = (number) => number.toLocaleString("en-US");
  const shapeText = (shape) => (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`);

  // Blocks of a matrix of shape whose bytes lie in a blob from an offset on, row after row or column after column.
  function blocksOf(blob, offset, [rows, columns], dtype, little, byColumns = false) {
    const size = SIZES[dtype], step = Math.max(1, Math.floor(AT_ONCE / (columns * size)));
    return async function* () {
      for (let row = 0; row < rows; row += step) {
        const count = Math.min(step, rows - row);
        if (!byColumns) {
          const start = offset + row * columns * size;
          yield numbersIn(await bytesOf(blob, start, start + count * columns * size), dtype, little);
          continue;
        }
        const block = new Float64Array(count * columns);
        for (let column = 0; column < columns; column++) {
          const start = offset + (column * rows + row) * size;
          const values = numbersIn(await bytesOf(blob, start, start + count * size), dtype, little);
          for (let i = 0; i < count; i++) block[i * columns + column] = values[i];
        }
        yield block;
      }
    };
  }

  // Shape, type and order from the first bytes of an .npy file, and where its numbers begin.
  function npyHeader(head) {
    const wide = head[6] > 1, view = new DataView(head.buffer, head.byteOffset);
    const length = wide ? view.getUint32(8, true) : view.getUint16(8, true), start = (wide ? 12 : 10) + length;
    const header = text(head.subarray(wide ? 12 : 10, start));
    const descr = /'descr':\s*'([<>|=]?)([^']*)'/.exec(header), order = /'fortran_order':\s*(True|False)/.exec(header);
    const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(header);
    if (![1, 2].includes(head[6]) || start > head.length || !descr || !order || !shape) {
      throw new SyntaxError("its header is not one of NumPy's");
    }
    const kinds = { f: "float", i: "int", u: "uint", c: "complex" }, code = descr[2];
    const dtype = code[0] in kinds ? kinds[code[0]] + 8 * code.slice(1) : { "b1": "bool", "O": "object" }[code] ?? code;
    const size = Number(code.slice(1)) || 0;
    const found = { dtype, little: descr[1] !== ">", byColumns: order[1] === "True", start, size };
    return { ...found, shape: shape[1].split(",").map((part) => part.trim()).filter(Boolean).map(Number) };
  }

  const product = (shape) => shape.reduce((a, b) => a * b, 1);

  async function readNpy(file) {
    const head = npyHeader(await bytesOf(file, 0, 1 << 16)), bytes = product(head.shape) * head.size;
    if (head.start + bytes > file.size) {
      throw new SyntaxError(`its header declares ${grouped(bytes)} bytes, it has ${grouped(file.size - head.start)}`);
    }
    const name = file.name.replace(/\.[^.]*$/, "");
    return [matrix(name, head, blocksOf(file, head.start, head.shape, head.dtype, head.little, head.byColumns))];
  }

  function matrix(name, { shape, dtype }, blocks) {
    let problem = null;
    if (!(dtype in SIZES)) problem = `${dtype}, expected dense floating-point numbers`;
    else if (!product(shape)) problem = "empty";
    else if (shape.length === 2 && shape[1] < 2) problem = "one column, where nothing can collapse";
    else if (shape.length === 2 && shape[1] > MOST_COLUMNS) problem = `more than ${grouped(MOST_COLUMNS)} columns; use the command`;
    else if (shape.length > 2) problem = `${shape.length} axes; use the command`;
    return { name, shape, dtype, problem, blocks };
  }

  async function readSafetensors(file) {
    const length = Number(new DataView((await bytesOf(file, 0, 8)).buffer).getBigUint64(0, true));
    if (8 + length > file.size) throw new SyntaxError("its header is longer than the file");
    const kinds = { F16: "float16", BF16: "bfloat16", F32: "float32", F64: "float64" };
    return Object.entries(JSON.parse(text(await bytesOf(file, 8, 8 + length))))
      .filter(([name]) => name !== "__metadata__")
      .map(([name, { dtype: kind, shape, data_offsets: [start, stop] }]) => {
        const dtype = kinds[kind] ?? kind.toLowerCase();
        if (8 + length + stop > file.size || (dtype in SIZES && stop - start !== product(shape) * SIZES[dtype])) {
          throw new SyntaxError(`${name} is not where its header says`);
        }
        return matrix(name, { shape, dtype }, blocksOf(file, 8 + length + start, shape, dtype, true));
      });
  }

  // The members of a zip archive: name, method, sizes, where the local header is.
  async function members(file) {
    const from = Math.max(0, file.size - 66_000), tail = await bytesOf(file, from), view = new DataView(tail.buffer);
    let end = tail.length - 22;
    while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
    if (end < 0) throw new SyntaxError("File is not a zip file");
    let count = view.getUint16(end + 10, true), size = view.getUint32(end + 12, true), start = view.getUint32(end + 16, true);
    if (start === 0xffffffff && end >= 20) {
      const place = Number(view.getBigUint64(end - 12, true)), wide = new DataView((await bytesOf(file, place, place + 56)).buffer);
      [count, size, start] = [32, 40, 48].map((at) => Number(wide.getBigUint64(at, true)));
    }
    const bytes = await bytesOf(file, start, start + size), list = new DataView(bytes.buffer), found = [];
    for (let at = 0; found.length < count; ) {
      if (at + 46 > bytes.length || list.getUint32(at, true) !== 0x02014b50) throw new SyntaxError("Bad magic number for central directory");
      const [nameSize, extraSize, noteSize] = [28, 30, 32].map((place) => list.getUint16(at + place, true));
      const member = { name: text(bytes.subarray(at + 46, at + 46 + nameSize)), method: list.getUint16(at + 10, true) };
      let [packed, unpacked, header] = [20, 24, 42].map((place) => list.getUint32(at + place, true));
      for (let extra = at + 46 + nameSize; extra + 4 <= at + 46 + nameSize + extraSize; ) {
        if (list.getUint16(extra, true) === 1) {
          let place = extra + 4;
          const next = () => Number(list.getBigUint64((place += 8) - 8, true));
          if (unpacked === 0xffffffff) unpacked = next();
          if (packed === 0xffffffff) packed = next();
          if (header === 0xffffffff) header = next();
        }
        extra += 4 + list.getUint16(extra + 2, true);
      }
      found.push({ ...member, packed, unpacked, header });
      at += 46 + nameSize + extraSize + noteSize;
    }
    return found;
  }

  // A reader of the bytes of a stream, so many at a time.
  function piecewise(stream) {
    const reader = stream.getReader();
    let rest = new Uint8Array(0);
    return async (count) => {
      const parts = [rest];
      let have = rest.length;
      while (have < count) {
        const { done, value } = await reader.read();
        if (done) throw new SyntaxError("it ends too early");
        parts.push(value);
        have += value.length;
      }
      const all = new Uint8Array(have);
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      rest = all.subarray(count);
      return all.slice(0, count);
    };
  }

  async function readNpz(file, list) {
    const found = [];
    for (const member of list.filter(({ name }) => name.endsWith(".npy"))) {
      const local = new DataView((await bytesOf(file, member.header, member.header + 30)).buffer);
      if (local.byteLength < 30 || local.getUint32(0, true) !== 0x04034b50) throw new SyntaxError("Bad magic number for file header");
      const start = member.header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
      const data = file.slice(start, start + member.packed);
      if (data.size < member.packed || ![0, 8].includes(member.method)) throw new SyntaxError(`${member.name} cannot be unpacked`);
      if (member.unpacked > 100 * file.size + 2 ** 30) {
        throw new FileError(
          `${file.name}: declares ${grouped(member.unpacked)} bytes in a file of ${grouped(file.size)}; at most ` +
            `${grouped(100 * file.size + 2 ** 30)} are believed. If it is right, save it without compression`,
        );
      }
      const open = () => piecewise(member.method ? data.stream().pipeThrough(new DecompressionStream("deflate-raw")) : data.stream());
      const name = member.name.replace(/\.npy$/, "");
      const first = await open()(Math.min(member.unpacked, 1 << 16)), head = npyHeader(first);
      const bytes = product(head.shape) * head.size;
      if (head.dtype !== "object" && head.start + bytes !== member.unpacked) {
        throw new FileError(
          `${file.name}: ${member.name} has ${grouped(member.unpacked)} bytes, its header declares ${grouped(bytes)}`,
        );
      }
      const [rows, columns] = head.shape;
      let blocks = blocksOf(data, head.start, head.shape, head.dtype, head.little, head.byColumns);
      if (member.method && head.byColumns) {
        blocks = async function* () {
          const next = open();
          await next(head.start);
          yield* blocksOf(new Blob([await next(bytes)]), 0, head.shape, head.dtype, head.little, true)();
        };
      } else if (member.method) {
        blocks = async function* () {
          const next = open(), step = Math.max(1, Math.floor(AT_ONCE / (columns * head.size)));
          await next(head.start);
          for (let row = 0; row < rows; row += step) {
            yield numbersIn(await next(Math.min(step, rows - row) * columns * head.size), head.dtype, head.little);
          }
        };
      }
      found.push(matrix(name, head, blocks));
    }
    return found;
  }

  const MISSING = new Set(["", "nan", "na", "null", "none", "\\n"]);
  const numberIn = (word) => (MISSING.has(word.toLowerCase()) ? NaN : Number(word));
  const isNumber = (word) => word !== "" && (MISSING.has(word.toLowerCase()) || !Number.isNaN(Number(word)));

  // Text, a row a line, with commas, semicolons, tabs or spaces between; columns that are no numbers are left out.
  async function readCsv(file) {
    const first = text(await bytesOf(file, 0, 1 << 16)).replace(/^\ufeff/, "").split(/\r?\n/).filter((line) => line.trim());
    const separator = ["\t", ";", ","].find((one) => first[0].includes(one)) ?? /\s+/;
    const wordsOf = (line) => line.trim().split(separator).map((word) => word.trim().replace(/^"(.*)"$/, "$1"));
    const header = first.length > 1 && !wordsOf(first[0]).some(isNumber);
    const example = wordsOf(first[header ? 1 : 0]), kept = [...example.keys()].filter((i) => isNumber(example[i]));
    if (!kept.length) return null;
    async function* rowsOf() {
      const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", number = 0, skip = header;
      for (let done = false; !done; ) {
        const piece = await reader.read();
        done = piece.done;
        const lines = (rest + (piece.value ?? "")).split(/\r?\n/);
        rest = done ? "" : lines.pop();
        for (const line of lines) {
          number++;
          if (!line.trim()) continue;
          if (skip) {
            skip = false;
            continue;
          }
          const words = wordsOf(number === 1 ? line.replace(/^\ufeff/, "") : line);
          if (words.length !== example.length) {
            throw new FileError(`${file.name}: line ${number}: expected ${example.length} values, found ${words.length}`);
          }
          const wrong = kept.find((i) => !isNumber(words[i]) && words[i] !== "");
          if (wrong !== undefined) {
            throw new FileError(`${file.name}: line ${number}: expected a number in column ${wrong + 1}, found "${words[wrong].slice(0, 40)}"`);
          }
          yield kept.map((i) => numberIn(words[i]));
        }
      }
    }
    let rows = 0;
    for await (const _ of rowsOf()) rows++;
    const shape = [rows, kept.length];
    const blocks = async function* () {
      const step = Math.max(1, Math.floor(AT_ONCE / (8 * kept.length)));
      let block = [];
      for await (const row of rowsOf()) {
        block.push(row);
        if (block.length === step) {
          yield Float64Array.from(block.flat());
          block = [];
        }
      }
      if (block.length) yield Float64Array.from(block.flat());
    };
    const left = example.length - kept.length;
    const name = file.name.replace(/\.[^.]*$/, "");
    return [{ ...matrix(name, { shape, dtype: "float64" }, blocks), note: left ? `${left} columns that are no numbers were left out` : null }];
  }

  const FOREIGN = [
    [0, "\x89HDF", "an HDF5 file, as Keras and h5py write"],
    [0, "PAR1", "a Parquet file"],
    [0, "GGUF", "a GGUF file of llama.cpp"],
    [0, "ARROW1", "an Arrow or Feather file"],
    [0, "\x1f\x8b", "compressed with gzip"],
    [0, "BZh", "compressed with bzip2"],
    [0, "\xfd7zXZ", "compressed with xz"],
    [0, "\x28\xb5\x2f\xfd", "compressed with zstd"],
    [0, "\x80\x02\x8a\nl\xfc\x9cF\xf9", "a checkpoint of PyTorch from before 1.6"],
    [257, "ustar", "a tar archive"],
  ];

  // The matrices in a file, recognised by its content.
  async function matricesIn(file) {
    const head = await bytesOf(file, 0, 1 << 12), start = Array.from(head.subarray(0, 300), (byte) => String.fromCharCode(byte)).join("");
    if (!head.length) throw new FileError(`${file.name}: the file is empty`);
    if (start.startsWith("\x93NUMPY")) return named(file, "NumPy array", () => readNpy(file));
    if (start.startsWith("PK")) {
      const list = await named(file, "an archive", () => members(file));
      if (list.some(({ name }) => name.endsWith("data.pkl"))) throw foreign(file, "a checkpoint of PyTorch");
      if (list.some(({ name }) => name.endsWith(".npy"))) return named(file, "NumPy archive", () => readNpz(file, list));
      throw foreign(file, `a zip archive of ${list.length} files`);
    }
    if (start.slice(5, 9) === "\0\0\0{") return named(file, "safetensors", () => readSafetensors(file));
    const known = FOREIGN.find(([at, magic]) => start.slice(at).startsWith(magic));
    if (known) throw foreign(file, known[2]);
    if (!/[\0-\x08\x0e-\x1f]/.test(start)) {
      const found = text(head).trim() && (await readCsv(file));
      if (found) return found;
      throw foreign(file, "text");
    }
    const hex = Array.from(head.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw foreign(file, `of no known kind (it begins with ${hex})`);
  }

  function foreign(file, what) {
    return new FileError(
      `${file.name}: is ${what}; expected an .npy, .npz, .safetensors or CSV file. To do: the command paper-code diagnose reads more kinds`,
    );
  }

  async function named(file, kind, read) {
    try {
      return await read();
    } catch (error) {
      if (error instanceof FileError) throw error;
      throw new FileError(`${file.name}: cannot be read as ${kind} (${error.message}); it may be cut short or damaged`);
    }
  }

  // The measures of one matrix; progress is called with how many of its rows were read.
  async function measure(found, file, progress) {
    const [rows, K] = found.shape, gram = new Float64Array(K * K);
    let seen = 0, bad = 0, first = null, largest = 0;
    for await (const block of found.blocks()) {
      for (let i = 0; i < block.length; i++) {
        const size = Math.abs(block[i]);
        if (size > largest) largest = size;
        if (!Number.isFinite(block[i])) {
          bad++;
          first ??= seen + Math.floor(i / K);
          block[i] = 0;
        }
      }
      addProducts(gram, block, block.length / K, K);
      seen += block.length / K;
      progress(seen, rows);
    }
    const place = `${found.name} ${shapeText(found.shape)}`;
    if (bad) {
      return {
        name: found.name,
        problem:
          `${place}: ${grouped(bad)} of ${grouped(rows * K)} numbers are not finite or are missing, the first in row ` +
          `${grouped(first)} (from 0); look into its training`,
      };
    }
    if (largest > 1e150) return { name: found.name, problem: `${place}: its numbers are too large for float64; divide them by a constant` };
    if (largest && largest < 1e-150) return { name: found.name, problem: `${place}: its numbers are too small to be squared; multiply them by a constant` };
    return { name: found.name, dtype: found.dtype, note: found.note ?? null, ...measuresOf(singularValues(gram, rows, K), rows, K) };
  }

  // Everything of a file: the tables measured, and what was not.
  async function diagnose(file, progress = () => {}) {
    const matrices = await matricesIn(file);
    const usable = matrices.filter(({ shape, problem }) => shape.length === 2 && !problem);
    const like = usable.filter(({ name }) => TABLE.test(name)), taken = like.length ? like : usable;
    const left = matrices
      .filter((it) => it.shape.length > 1 && !taken.includes(it))
      .map((it) => `${it.name} ${shapeText(it.shape)}: ${it.problem ?? "not named as a table"}`);
    const tables = [];
    for (const [number, it] of taken.entries()) {
      const outcome = await named(file, "a table", () => measure(it, file, (seen, rows) => progress(it.name, (number + seen / rows) / taken.length)));
      if (outcome.problem) left.unshift(outcome.problem);
      else tables.push(outcome);
    }
    if (!tables.length) throw new FileError(`${file.name}: no embedding table to measure. Matrices found: ${left.join("; ") || "none"}`);
    return { file: file.name, tables, left };
  }

  if (self) {
    self.onmessage = async ({ data: file }) => {
      let shown = 0;
      const progress = (name, part) => {
        if (Date.now() - shown < 50) return;
        shown = Date.now();
        self.postMessage({ progress: part, name });
      };
      try {
        self.postMessage({ report: await diagnose(file, progress) });
      } catch (error) {
        self.postMessage({ error: error instanceof FileError ? error.message : `${file.name}: ${error.message}` });
      }
    };
  }
  return { diagnose, eigenvalues, singularValues, addProducts, measuresOf, generator };
}
