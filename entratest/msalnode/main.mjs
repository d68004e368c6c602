// Every grant of MSAL for Node, unmodified, against the dev tenant. The only thing done by hand is what
// a person would do: clicking on an account and saying yes.
import { ConfidentialClientApplication, CryptoProvider, PublicClientApplication } from "@azure/msal-node";

const { BASE, TENANT, CLIENT, SECRET, TOOLS } = process.env;
const redirectUri = "http://localhost:8080/callback";
const auth = { authority: `${BASE}/${TENANT}`, knownAuthorities: [new URL(BASE).host] };
const confidential = new ConfidentialClientApplication({ auth: { ...auth, clientId: CLIENT, clientSecret: SECRET } });

function check(what, got, want) {
  if (got !== want) throw new Error(`${what}: got ${got}, want ${want}`);
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split(".")[1], "base64url"));

const unescapeHTML = (s) => s.replaceAll("&#43;", "+").replaceAll("&amp;", "&");

// The form on a page that mentions somebody, as an address and fields.
function formFor(html, text) {
  for (const [form, action] of html.matchAll(/<form method="post" action="([^"]+)">.*?<\/form>/gs)) {
    if (!form.includes(text)) continue;
    const fields = [...form.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)];
    return { action: new URL(action, BASE), body: new URLSearchParams(fields.map(([, k, v]) => [k, unescapeHTML(v)])) };
  }
  throw new Error(`no form with ${text}`);
}

const submit = ({ action, body }) => fetch(action, { method: "POST", body, redirect: "manual" });

async function signIn(url, who) {
  const picker = await (await fetch(url)).text();
  const answer = await submit(formFor(picker, who));
  return new URL(answer.headers.get("location")).searchParams.get("code");
}

async function approve({ verificationUri, userCode }, who) {
  const entered = await fetch(verificationUri, { method: "POST", body: new URLSearchParams({ otc: userCode }) });
  const confirm = await (await submit(formFor(await entered.text(), who))).text();
  const yes = formFor(confirm, "Continue");
  yes.body.set("answer", "accept");
  check("device approved", (await submit(yes)).status, 200);
}

const grants = {
  async "authorization code with PKCE, and refresh"() {
    const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
    const scopes = [`${CLIENT}/access_as_user`];
    const url = await confidential.getAuthCodeUrl({ scopes, redirectUri, codeChallenge: challenge, codeChallengeMethod: "S256", state: "s", nonce: "n" });
    const got = await confidential.acquireTokenByCode({ code: await signIn(url, "alice@contoso.example"), scopes, redirectUri, codeVerifier: verifier, state: "s", nonce: "n" }, { state: "s" });
    check("who", got.account.username, "alice@contoso.example");
    check("roles", claims(got.accessToken).roles.join(), "Weather.Read,Weather.Write");
    const cached = await confidential.acquireTokenSilent({ account: got.account, scopes });
    check("from the cache", cached.accessToken, got.accessToken);
    const fresh = await confidential.acquireTokenSilent({ account: got.account, scopes, forceRefresh: true });
    check("refreshed", fresh.accessToken !== got.accessToken, true);
    const graph = await confidential.acquireTokenSilent({ account: got.account, scopes: ["https://graph.microsoft.com/User.Read"] });
    const me = await (await fetch(`${BASE}/v1.0/me`, { headers: { authorization: `Bearer ${graph.accessToken}` } })).json();
    check("me", me.userPrincipalName, "alice@contoso.example");
  },

  async "client credentials"() {
    const got = await confidential.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] });
    check("roles", claims(got.accessToken).roles.join(), "User.Read.All,GroupMember.Read.All");
  },

  async "on behalf of"() {
    const scopes = [`${CLIENT}/access_as_user`];
    const url = await confidential.getAuthCodeUrl({ scopes, redirectUri });
    const own = await confidential.acquireTokenByCode({ code: await signIn(url, "bob@contoso.example"), scopes, redirectUri });
    const got = await confidential.acquireTokenOnBehalfOf({ oboAssertion: own.accessToken, scopes: ["https://search.azure.com/user_impersonation"] });
    check("audience", claims(got.accessToken).aud, "https://search.azure.com");
    check("who", claims(got.accessToken).upn, "bob@contoso.example");
  },

  async "device code"() {
    const tools = new PublicClientApplication({ auth: { ...auth, clientId: TOOLS } });
    const got = await tools.acquireTokenByDeviceCode({
      scopes: [`api://${CLIENT}/access_as_user`],
      deviceCodeCallback: (code) => approve(code, "carol@contoso.example"),
    });
    check("who", got.account.username, "carol@contoso.example");
  },

  async "a refusal keeps its number"() {
    const wrong = new ConfidentialClientApplication({ auth: { ...auth, clientId: CLIENT, clientSecret: "guess" } });
    const failure = await wrong.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] }).catch((e) => e);
    check("error", failure.errorCode, "invalid_client");
    check("number", failure.message.includes("AADSTS7000215"), true);
  },
};

for (const [name, grant] of Object.entries(grants)) {
  await grant();
  console.log(`ok ${name}`);
}
