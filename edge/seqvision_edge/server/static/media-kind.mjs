// The container and codec of a file, by its own bytes, in searchable terms.

const HEAD = 1 << 18;
const MOST_INDEX = 1 << 23; // of a "moov" box; a larger one is not parsed
const SOUND = /^(mp4a|ac-3|ec-3|alac|Opus|fLaC|samr|sowt|twos|lpcm|in24|in32|fl32|\.mp3|ulaw|alaw|tmcd|text|tx3g|mebx|rtp )$/;

const CODECS = [
  ["H.264", /^(avc[1-4]|h264|x264|V_MPEG4\/ISO\/AVC)/i],
  ["HEVC (H.265)", /^(hvc1|hev1|dvh1|dvhe|hevc|h265|V_MPEGH\/ISO\/HEVC)/i],
  ["AV1", /^(av01|V_AV1)/],
  ["VP9", /^(vp09|V_VP9)/],
  ["VP8", /^(vp08|V_VP8)/],
  ["ProRes", /^(ap[c4][a-z]|V_PRORES)/],
  ["MPEG-4 Part 2", /^(mp4v|xvid|divx|dx50|fmp4|3iv|V_MPEG4\/ISO\/)/i],
  ["MS MPEG-4", /^(mp4[123]|div[34]|mpg4)/i],
  ["MPEG-2", /^(mp2v|m2v1|xd[5v]|mx[35]|mpg2|V_MPEG2)/i],
  ["MPEG-1", /^(mpg1|V_MPEG1)/i],
  ["Motion JPEG", /^(jpeg|mjp[ab]|mjpg|V_MJPEG)/i],
  ["DNxHD", /^(AVdn|AVdh)/],
  ["DV", /^(dvc|dv[15]|dvsd|dvh[2-6q])/i],
  ["H.263", /^(s263|h263)/i],
  ["Windows Media Video", /^(wmv|wvc1|wmva)/i],
  ["Theora", /^(theo|V_THEORA)/i],
  ["Cinepak", /^cvid/i],
];

/** Return {codec, container} of a file; null if unknown. */
export async function kindOf(file) {
  const head = await bytes(file, 0, HEAD);
  const text = latin(head);
  if (text.slice(4, 8) === "ftyp") {
    const brand = text.slice(8, 12);
    if (/^(hei|hev|mif1|msf1)/.test(brand)) return { codec: null, container: "HEIC" };
    if (/^avi[fs]/.test(brand)) return { codec: null, container: "AVIF" };
    const container = brand === "qt  " ? "QuickTime" : brand.startsWith("3g") ? "3GP" : "MP4";
    return { codec: named(await boxCodec(file)), container };
  }
  if (["moov", "mdat", "wide", "free", "skip"].includes(text.slice(4, 8)))
    return { codec: named(await boxCodec(file)), container: "QuickTime" };
  if (text.startsWith("RIFF") && text.slice(8, 12) === "AVI ")
    return { codec: named(text.match(/strh....vids(....)/s)?.[1]), container: "AVI" };
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return { codec: null, container: "WebP" };
  if (text.startsWith("\x1aE\xdf\xa3"))
    return { codec: named(text.match(/V_[A-Z0-9/]+/)?.[0]), container: text.slice(0, 64).includes("webm") ? "WebM" : "Matroska" };
  if (text.startsWith("\x30\x26\xb2\x75")) return { codec: named(text.match(/WMV[123A]|WVC1|MP4[23]|MPG4/i)?.[0]), container: "ASF" };
  if (text.startsWith("FLV")) return { codec: null, container: "Flash Video" };
  if (text.startsWith("OggS")) return { codec: /theora/.test(text) ? "Theora" : null, container: "Ogg" };
  if (text.startsWith("\0\0\x01\xba")) return { codec: "MPEG-2", container: "an MPEG program stream" };
  if ([0, 188, 376].every((at) => text[at] === "G") || [4, 196, 388].every((at) => text[at] === "G"))
    return { codec: null, container: "an MPEG transport stream" };
  if (text.startsWith("II*\0") || text.startsWith("MM\0*")) return { codec: null, container: "TIFF" };
  return { codec: null, container: null };
}

/** Return the kind of a file in one phrase: `HEVC (H.265) in QuickTime`, or its ending. */
export function inWords({ codec, container }, name) {
  if (codec && container) return `${codec} in ${container}`;
  if (codec || container) return codec ?? container;
  const ending = name.match(/\.([a-z0-9]{1,6})$/i)?.[1];
  return ending ? `.${ending.toLowerCase()} files of this kind` : "this kind of file";
}

/** Return the FourCC of the first video codec in an MP4 or QuickTime file. */
async function boxCodec(file) {
  for (let at = 0; at + 16 <= file.size; ) {
    const head = new DataView((await bytes(file, at, 16)).buffer);
    const kind = latin(new Uint8Array(head.buffer, 4, 4));
    let size = head.getUint32(0);
    if (size === 1) size = Number(head.getBigUint64(8));
    if (size === 0) size = file.size - at;
    if (size < 8) return null;
    if (kind === "moov" && size <= MOST_INDEX) {
      const found = latin(await bytes(file, at, size)).matchAll(/stsd.{12}(.{4})/gs);
      return [...found].map(([, code]) => code).find((code) => !SOUND.test(code)) ?? null;
    }
    at += size;
  }
  return null;
}

function named(code) {
  if (!code) return null;
  const known = CODECS.find(([, pattern]) => pattern.test(code));
  const plain = code.replace(/[^\x21-\x7e]/g, "");
  return known ? known[0] : plain || null;
}

async function bytes(file, from, size) {
  return new Uint8Array(await file.slice(from, from + size).arrayBuffer());
}

function latin(data) {
  return new TextDecoder("latin1").decode(data);
}
