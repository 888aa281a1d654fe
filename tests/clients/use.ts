// A web application in TypeScript: types by openapi-typescript, requests by openapi-fetch. The
// compiler refuses a field that the API's description does not have.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined> };

const api = createClient<paths>({
  baseUrl: process.env.BASE ?? "",
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});

function need<T>(value: T | undefined, what: unknown): T {
  if (value === undefined) throw new Error(JSON.stringify(what));
  return value;
}

const customer: components["schemas"]["Upsert"] = {
  external_id: "ts-1",
  phone: "+12125550171",
  timezone: "America/New_York",
  call_time: "07:30",
  phone_validated: true,
  shared_phone: false,
  total_calls_made: 0,
  variables: { plan: "gold" },
  as_of: "2026-02-02T11:00:00Z",
};
const upserted = await api.POST("/api/customers", { body: customer });
const made = need(upserted.data, upserted.error);
const ignored: boolean = made.ignored;
if (ignored || made.customer.external_id !== "ts-1") throw new Error(JSON.stringify(made));

const path = { id: "external:ts-1" };
const wish = { reason: "asked", at: "2026-02-02T18:00:00Z", key: "ts-call-1" };
for (const status of [202, 200]) {
  const call = await api.POST("/api/customers/{id}/call", { params: { path }, body: wish });
  const queued = need(call.data, call.error);
  if (call.response.status !== status || queued.status !== "pending") {
    throw new Error(`${call.response.status} ${JSON.stringify(queued)}`);
  }
}
const night = await api.POST("/api/customers/{id}/call", {
  params: { path },
  body: { reason: "asked", at: "2026-02-03T08:00:00Z", key: "ts-call-2" },
});
const opens: string | undefined = need(night.error, night.data).next_opening;
if (night.response.status !== 422 || opens !== "2026-02-03T13:00:00.000Z") {
  throw new Error(JSON.stringify(night.error));
}

let cursor = 0;
const seen = new Map<string, components["schemas"]["Attempt"]>();
for (let more = true; more; ) {
  const page = await api.GET("/api/attempts", {
    params: { query: { changed_after: cursor, limit: 1 } },
  });
  const told = need(page.data, page.error);
  for (const attempt of told.attempts) seen.set(attempt.id, attempt);
  cursor = told.next ?? cursor;
  more = told.more ?? false;
}
const first = need([...seen.values()][0], "no attempt");
const mood: unknown = first.result?.structured["Mood"];
if (typeof mood !== "string") throw new Error(JSON.stringify(first));

const figures = await api.GET("/api/report", {
  params: { query: { from: "2026-02-01", to: "2026-02-28", by: "type" } },
});
const cost: number = need(figures.data, figures.error).total.cost;
if (!(cost >= 0)) throw new Error(`${cost}`);

const person = await api.GET("/api/customers/{id}/export", { params: { path } });
const items: number = need(person.data, person.error).items.length;
const erased = await api.DELETE("/api/customers/{id}", {
  params: { path },
  body: { reason: "letter of today" },
});
if (items !== 1 || need(erased.data, erased.error).skipped !== 1) {
  throw new Error(JSON.stringify(erased.data));
}
