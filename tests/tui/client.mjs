// OpenAI's client for JavaScript in a conversation with `ponder serve`: node client.mjs chat|responses BASE_URL
// Prints what it was told, a JSON object a line; test_clients.py looks at it. Runs where node_modules/openai is.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(process.cwd() + "/").resolve("openai");
const { default: OpenAI } = await import(pathToFileURL(found));

const [api, baseURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const PRODUCT = "What is 37 * 43?";
const RAIN = "How is the weather in Bern?";
const city = { type: "object", properties: { city: { enum: ["Bern", "Rome"] } }, required: ["city"] };
const weather = {
  type: "object",
  properties: { sky: { enum: ["rain", "sun"] }, degrees: { type: "integer", minimum: 0, maximum: 40 } },
  required: ["sky", "degrees"],
};
const tell = (told) => console.log(JSON.stringify(told));
const LOW = { model: "ponder-low", seed: 7 }; // an agent's sampling is its own, unless somebody asks for a seed
const LONG = { ...LOW, model: "ponder-max" };
const asked = (content) => ({ ...LOW, messages: [{ role: "user", content }] });

async function logged() {
  const answer = await fetch(`${baseURL}/runs?limit=1`);
  return (await answer.json()).data[0].answer;
}

async function chat() {
  const streamed = [];
  for await (const chunk of await client.chat.completions.create({ ...asked(PRODUCT), stream: true })) {
    const piece = chunk.choices[0]?.delta?.content;
    if (piece) streamed.push(piece);
  }
  tell({ streamed, logged: await logged() });

  const tools = [{ type: "function", function: { name: "forecast", parameters: city } }];
  const first = await client.chat.completions.create({ ...asked(RAIN), tools, tool_choice: "required" });
  const { message } = first.choices[0];
  const [call] = message.tool_calls;
  tell({ called: JSON.parse(call.function.arguments) });
  const result = { role: "tool", tool_call_id: call.id, content: "It rains." };
  const talk = { ...LOW, messages: [...asked(RAIN).messages, message, result], tools };
  tell({ answered: (await client.chat.completions.create(talk)).choices[0].message.content });

  const response_format = { type: "json_schema", json_schema: { name: "weather", schema: weather } };
  const shaped = await client.chat.completions.create({ ...asked(RAIN), response_format });
  tell({ shaped: JSON.parse(shaped.choices[0].message.content) });

  const stream = await client.chat.completions.create({ ...asked(PRODUCT), ...LONG, stream: true });
  for await (const chunk of stream) break;
}

async function responses() {
  const streamed = [];
  for await (const event of await client.responses.create({ ...LOW, input: PRODUCT, stream: true }))
    if (event.type === "response.output_text.delta") streamed.push(event.delta);
  tell({ streamed, logged: await logged() });

  const tools = [{ type: "function", name: "forecast", parameters: city, strict: false }];
  const first = await client.responses.create({ ...LOW, input: RAIN, tools, tool_choice: "required" });
  const call = first.output.at(-1);
  tell({ called: JSON.parse(call.arguments) });
  const result = { type: "function_call_output", call_id: call.call_id, output: "It rains." };
  const more = { ...LOW, input: [result], previous_response_id: first.id, tools };
  tell({ answered: (await client.responses.create(more)).output_text });

  const text = { format: { type: "json_schema", name: "weather", schema: weather } };
  tell({ shaped: JSON.parse((await client.responses.create({ ...LOW, input: RAIN, text })).output_text) });

  const stream = client.responses.stream({ ...LONG, input: PRODUCT });
  for await (const event of stream) {
    stream.abort();
    break;
  }
}

await { chat, responses }[api]();
