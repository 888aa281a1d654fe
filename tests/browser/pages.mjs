// The pages in a real browser: every page in light, dark and on a phone, without script, with axe's
// rules and by keyboard. No page may be wider than its window. Each form is used once. Pictures go
// to $PICTURES. scripts/browser-test starts this file and passes the service's address.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { AxeBuilder } from "@axe-core/playwright";

const { BASE, TOKEN, PICTURES, CHROMIUM } = process.env;
const PATHS = ["/", "/customers", "/customers/demo-0", "/customers/demo-18", "/customers/demo-0/edit",
  "/customers/demo-0/erase", "/customers?state=not_reached&sort=name", "/queue", "/calls", "/?chart=days",
  "/do-not-call", "/journal"];
const DESK = { viewport: { width: 1280, height: 900 } };
const LOOKS = [
  ["light", { ...DESK, colorScheme: "light" }],
  ["dark", { ...DESK, colorScheme: "dark" }],
  ["phone", { viewport: { width: 320, height: 700 }, colorScheme: "light", isMobile: true }],
];
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
];

async function signIn(page) {
  await page.goto(BASE + "/queue");
  await page.keyboard.press("Tab"); // the link that skips to the content
  await page.fill("#token", TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Queue" }).waitFor();
}

// Checks the open page for its width and by axe, and takes its picture.
async function look(page, name, what) {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider <= 0, `${what} (${name}) is ${wider} px wider than its window`);
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
  assert.deepEqual(found, [], `${what} (${name})`);
  const file = `${PICTURES}/${name}-${what.replace(/^\/$/, "today").replace(/[^a-z0-9]+/g, "-")}.png`;
  await page.screenshot({ path: file.replace("--", "-"), fullPage: true });
  if (name === "light" && what === "/") await page.screenshot({ path: `${PICTURES}/page.png` });
}

async function heading(page, name) {
  await page.getByRole("heading", { name }).first().waitFor();
}

async function aWrongTokenStaysOutside(page) {
  await page.goto(BASE + "/");
  await page.fill("#token", "a-wrong-token");
  await page.keyboard.press("Enter");
  await page.getByText("not the token").waitFor();
  await look(page, "light", "sign-in");
}

// Asks for an extra call whose reply the provider loses, and waits for the doubt.
async function callNow(page) {
  await page.goto(BASE + "/customers/demo-0");
  const form = page.locator("form", { has: page.getByRole("button", { name: "Call now" }) });
  await form.locator("input[name=reason]").fill("she asked for it");
  await form.getByRole("button").click();
  for (let tries = 0; tries < 100; tries++) {
    await page.goto(BASE + "/calls?state=in_doubt");
    if (await page.getByRole("heading", { name: /In doubt/ }).count()) return;
    await page.waitForTimeout(100);
  }
  assert.fail("the call that was asked for is not in doubt");
}

async function settle(page) {
  await page.goto(BASE + "/calls?state=in_doubt");
  const form = page.locator("form", { has: page.getByRole("button", { name: "Settle" }) });
  await form.getByLabel("The phone rang").check();
  await form.getByRole("button").click();
  assert.ok(await form.count(), "a doubt was settled without a reason");
  await form.locator("input[name=reason]").fill("it is in the provider's log");
  await form.getByRole("button").click();
  await page.goto(BASE + "/calls?state=in_doubt");
  await page.getByText("No calls fit.").waitFor();
}

async function revealAPhone(page) {
  await page.goto(BASE + "/customers/demo-1");
  assert.equal(await page.getByText("+12125550101").count(), 0, "a phone is shown unasked");
  await page.getByRole("button", { name: "Reveal" }).click();
  await page.getByText("+12125550101").waitFor();
  await page.goto(BASE + "/journal");
  await page.getByText("reveal").first().waitFor();
}

async function pauseAndResume(page, name) {
  await page.goto(BASE + "/");
  await page.getByRole("link", { name: "Pause calls" }).click();
  await page.fill("#pause-reason", "a test");
  await page.click("button.danger");
  await heading(page, /All calls are paused/);
  await look(page, name, "paused");
  await page.fill("#resume-all", "the test is over");
  await page.click(".alarm button.main");
  await page.getByText("All calls are paused").waitFor({ state: "detached" });
}

async function signOut(page, context) {
  const [cookie] = await context.cookies();
  assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", "the cookie is open to scripts");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForSelector("#token");
  // A copy of the cookie no longer gives access.
  await context.addCookies([cookie]);
  await page.goto(BASE + "/queue");
  await page.waitForSelector("#token");
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
try {
  const desk = await browser.newContext(DESK);
  const page = await desk.newPage();
  await aWrongTokenStaysOutside(page);
  await signIn(page);
  await callNow(page);
  await revealAPhone(page);
  console.log("browser: sign-in, call now and reveal are well");
  for (const [name, options] of LOOKS) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => {
      if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
    });
    await signIn(page);
    for (const path of PATHS) {
      await page.goto(BASE + path);
      await look(page, name, path);
    }
    await pauseAndResume(page, name);
    assert.deepEqual(complaints, []);
    await signOut(page, context);
    await context.close();
    console.log(`browser: ${name} is well`);
  }
  await settle(page);
  console.log("browser: a doubt is settled, with a reason");
  const plain = await browser.newContext({ javaScriptEnabled: false });
  await signIn(await plain.newPage());
  console.log("browser: works without script");
} finally {
  await browser.close();
}
