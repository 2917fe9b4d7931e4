// One call of OpenAI's Node client, unchanged but for its address; prints what came of it as JSON.
import OpenAI from "openai";

const [baseURL, method, parameters, headers] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: process.env.OPENAI_API_KEY, maxRetries: 2 });

const calls = {
  generate: () => client.images.generate(JSON.parse(parameters), { headers: JSON.parse(headers ?? "{}") }),
  models: () => client.models.list(),
};

try {
  const { data, response } = await calls[method]().withResponse();
  const found = method === "models" ? { data: data.data } : data;
  console.log(JSON.stringify({ answer: found, headers: Object.fromEntries(response.headers) }));
} catch (error) {
  const { name, status, code, type, param, message } = error;
  console.log(JSON.stringify({ error: { kind: error.constructor.name, name, status, code, type, param, message } }));
}
