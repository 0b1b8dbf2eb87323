// An operators' client that knows nothing of this program but docs/protocol.md: an envelope and a
// body, two msgpack arrays one behind the other, over a CURVE DEALER.
//   node client.mjs ENDPOINT DOOR-KEY-FILE KEY-FILE-OR-"" WHAT
// WHAT: sales | pause SALE | garbage.  Prints what comes back; exit 5 when nothing does.
import { readFileSync } from "node:fs";
import { decodeMulti, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const [endpoint, doorFile, keyFile, what, word] = process.argv.slice(2);
const read = (file, name) => new RegExp(`${name}\\s*=\\s*"([^"]+)"`).exec(readFileSync(file, "utf8"))[1];
const messages = { sale_rows: 0x050b, sale_move: 0x0509, sale_view: 0x0517, rows_end: 0x0006, failed: 0x0005 };
const named = (number) => Object.keys(messages).find((name) => messages[name] === number) ?? number;

const socket = new Dealer({ linger: 0, receiveTimeout: 4000, sendTimeout: 4000 });
if (keyFile !== "") {
  socket.curveServerKey = read(doorFile, "public-key");
  socket.curvePublicKey = read(keyFile, "public-key");
  socket.curveSecretKey = read(`${keyFile}_secret`, "secret-key");
}
socket.connect(endpoint);

const pack = (type, ...fields) =>
  Buffer.concat([encode([type]), encode(fields, { useBigInt64: true })]);

async function receive() {
  const [frame] = await socket.receive();
  const [envelope, body] = [...decodeMulti(frame, { useBigInt64: true })];
  return [named(Number(envelope[0])), body];
}

try {
  if (what === "garbage") {
    for (let i = 0; i < 100; i++) {
      await socket.send(Buffer.from(Array.from({ length: i * 7 + 1 }, (_, k) => (k * 31 + i) % 256)));
      const [name, body] = await receive();
      if (name !== "failed" || Number(body[0]) !== 1001) throw new Error(`${name} ${body}`);
    }
    console.log("refused 100");
  } else if (what === "pause") {
    await socket.send(pack(messages.sale_move, BigInt(word), 6));
    const [name, body] = await receive();
    console.log(name, name === "failed" ? Number(body[0]) : body.slice(0, 3).join(" "));
  } else {
    await socket.send(pack(messages.sale_rows));
    for (;;) {
      const [name, body] = await receive();
      console.log(name, body.slice(0, 3).join(" "));
      if (name !== "sale_view") break;
    }
  }
} catch (error) {
  if (error.code !== "EAGAIN") throw error;
  console.log("no answer");
  process.exitCode = 5;
} finally {
  socket.close();
}
