package entra

import (
	"maps"
	"net/http"
)

// advice is what this package knows about one of Entra's numbers.
type advice struct {
	reason Reason
	remedy string
}

// Remedy says in one sentence what to do about an AADSTS number, and "" if it is not known here.
func Remedy(code int) string { return knownCodes()[code].remedy }

// sortFailure says what to do about a failure: by its number if that is known, else by its OAuth error.
func sortFailure(e *Error) (Reason, string) {
	if known, ok := knownCodes()[e.Code]; ok {
		return known.reason, known.remedy
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		return Unavailable, "Entra asks for patience: try again later, and less often."
	case e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.OAuth == "temporarily_unavailable" || e.OAuth == "server_error":
		return Unavailable, "Entra can't answer at the moment; try again later."
	case e.Claims != "":
		return Interaction, "The person must sign in again and satisfy the claims challenge."
	}
	switch e.OAuth {
	case "interaction_required", "login_required", "consent_required", "account_selection_required", "insufficient_claims":
		return Interaction, "The person must sign in again."
	case "access_denied", "authorization_declined":
		return Denied, "The person or an administrator's rule said no."
	case "invalid_grant":
		return sortGrant(e.Suberror)
	case "expired_token", "code_expired":
		return Ended, "The code was not used in time; start again."
	}
	return Misuse, "Look the number up at https://login.microsoftonline.com/error and repair the registration or the request."
}

func sortGrant(suberror string) (Reason, string) {
	switch suberror {
	case "basic_action", "additional_action", "message_only", "consent_required", "user_password_expired":
		return Interaction, "The person must sign in again."
	}
	return Ended, "The grant is over; the person must sign in anew."
}

// knownCodes is built when asked for: failures are rare, and a table that nobody can change is worth it.
func knownCodes() map[int]advice {
	all := signInCodes()
	maps.Copy(all, registrationCodes())
	maps.Copy(all, credentialCodes())
	maps.Copy(all, requestCodes())
	return all
}

// signInCodes are about people, their accounts and their sign-ins.
func signInCodes() map[int]advice {
	return map[int]advice{
		16000:  {Interaction, "More than one account is signed in: the person must choose one."},
		50020:  {Denied, "The account belongs to another tenant: invite it as a guest, or sign in with an account of this one."},
		50034:  {Denied, "The account does not exist in this tenant: sign in with another one."},
		50053:  {Denied, "The account is locked after too many attempts: wait, or have an administrator unlock it."},
		50055:  {Interaction, "The password has expired: the person must sign in and choose a new one."},
		50057:  {Ended, "The account is disabled: have an administrator enable it."},
		50058:  {Interaction, "Nobody is signed in to this browser: sign in without prompt=none."},
		50074:  {Interaction, "Multi-factor authentication is required: the person must sign in again."},
		50076:  {Interaction, "Multi-factor authentication is required for this resource: the person must sign in again with the claims challenge."},
		50079:  {Interaction, "The person must register for multi-factor authentication: they must sign in again."},
		50089:  {Ended, "The sign-in took too long: start again."},
		50097:  {Interaction, "The device must authenticate: the person must sign in again from a managed device."},
		50105:  {Denied, "The person is not assigned to the application: assign them under Enterprise applications, Users and groups."},
		50126:  {Ended, "The user name or password is wrong: sign in again."},
		50132:  {Ended, "The session was revoked or the password was changed: sign in again."},
		50133:  {Ended, "The password was changed since the sign-in: sign in again."},
		50158:  {Interaction, "An external security challenge was not satisfied: the person must sign in again."},
		50173:  {Ended, "The sign-in was revoked or the password was changed: sign in again."},
		53000:  {Interaction, "Conditional Access wants a compliant device: the person must sign in again from one."},
		53001:  {Interaction, "Conditional Access wants a domain-joined device: the person must sign in again from one."},
		53003:  {Interaction, "Conditional Access blocks this sign-in: an administrator finds the policy in the sign-in log under the correlation ID."},
		54005:  {Ended, "The authorization code was used before: start the sign-in again, and redeem each code once."},
		65001:  {Interaction, "Nobody has consented to this permission: the person must consent, or an administrator for everybody."},
		65004:  {Denied, "The person declined to consent."},
		70000:  {Ended, "The grant is not valid: sign in again."},
		70008:  {Ended, "The code or refresh token has expired: sign in again."},
		70043:  {Interaction, "The refresh token has ended under a sign-in frequency policy: the person must sign in again."},
		70044:  {Interaction, "The session has ended under a sign-in frequency policy: the person must sign in again."},
		70016:  {Unavailable, "The person has not entered the code yet: ask again."},
		70017:  {Denied, "The person declined the sign-in with a code."},
		70018:  {Misuse, "The device code is not one that Entra gave out: start again."},
		70019:  {Ended, "The code was not entered in time: start again."},
		70020:  {Ended, "The code was not entered in time: start again."},
		700082: {Ended, "The refresh token has expired after long disuse: sign in again."},
		700084: {Ended, "The refresh token of a single-page application ends after 24 hours: sign in again."},
		501481: {Ended, "The code verifier does not match the challenge: start the sign-in again in one browser."},
		90033:  {Unavailable, "Entra has a passing fault: try again later."},
		90055:  {Unavailable, "Entra asks for patience: try again later, and less often."},
	}
}

// registrationCodes are about how applications and permissions are registered.
func registrationCodes() map[int]advice {
	return map[int]advice{
		50011:   {Misuse, "Add the redirect URI to the app registration, exactly as it is sent."},
		500112:  {Misuse, "Redeem the code with the redirect URI that the sign-in was started with."},
		501051:  {Misuse, "The application is not assigned to a role of the resource: assign one under Enterprise applications."},
		500113:  {Misuse, "The app registration has no redirect URI: add the one that is sent."},
		500011:  {Misuse, "The resource is not known in this tenant: check the application ID URI and that its service principal exists here."},
		650053:  {Misuse, "The resource has no such scope: write the scope with its application ID URI in front, and expose it there."},
		650052:  {Misuse, "The tenant has no service principal for the resource: have an administrator add or license it."},
		650057:  {Misuse, "Add the resource to the API permissions of the app registration."},
		700016:  {Misuse, "The application is not known in this tenant: check the client ID and the tenant."},
		7000112: {Misuse, "The application is disabled in this tenant: have an administrator enable it."},
		7000114: {Misuse, "On-behalf-of needs a person: call with a person's token, or configure an application credential for such callers."},
		7000229: {Misuse, "The application has no service principal in this tenant: create one, or grant admin consent."},
		90002:   {Misuse, "The tenant does not exist in this cloud: check the tenant ID and the cloud."},
		90009:   {Misuse, "An application that asks for a token for itself must name itself by its GUID: ask for {client ID}/scope, not api://."},
		90094:   {Interaction, "Only an administrator may consent to this permission: have one do it for everybody."},
		500131:  {Misuse, "The assertion is for another application: on-behalf-of takes only tokens whose audience is this client."},
		50013:   {Ended, "The assertion is expired or not valid: get a fresh access token for this application first."},
		500133:  {Ended, "The assertion is outside its time: get a fresh access token for this application first."},
	}
}

// credentialCodes are about how an application proves who it is.
func credentialCodes() map[int]advice {
	return map[int]advice{
		7000215: {Misuse, "The client secret is wrong: use the secret's value, not its ID; better, use a managed identity."},
		7000218: {Misuse, "The application must authenticate: configure a credential, or allow public client flows."},
		7000222: {Misuse, "The client secret has expired: create a new one; better, use a managed identity, which has none."},
		50027:   {Misuse, "The client assertion can't be read: check the file or the identity that it comes from."},
		700021:  {Misuse, "The client assertion is for another application: check the client ID."},
		700023:  {Misuse, "The client assertion is for another tenant or cloud: check both."},
		5002738: {Misuse, "Entra can't fetch the federated issuer's keys: its discovery document must be public."},
		700024:  {Misuse, "The client assertion is outside its time: check this machine's clock."},
		700025:  {Misuse, "The application is registered as public: configure no credential."},
		700027:  {Misuse, "The client assertion's signature is not valid: upload this certificate to the app registration, and check that it has not expired."},
		700211:  {Misuse, "No federated credential has this issuer: compare it with the app registration, byte by byte."},
		700212:  {Misuse, "The federated token's audience is wrong: it must be api://AzureADTokenExchange, or the cloud's own."},
		700213:  {Misuse, "No federated credential has this subject: for a managed identity it is the principal (object) ID, not the client ID."},
		70021:   {Misuse, "No federated credential matches the token: compare issuer, subject and audience with the app registration."},
	}
}

// requestCodes are about the request itself.
func requestCodes() map[int]advice {
	return map[int]advice{
		28000:   {Misuse, "The scopes belong to more than one resource: ask for one resource at a time."},
		28003:   {Misuse, "The scope is empty or belongs to more than one resource: ask for one resource at a time."},
		70011:   {Misuse, "The scope is not valid: don't combine .default with named scopes, and name each scope in full."},
		1002012: {Misuse, "An application asks for all its permissions at once: the scope must be the resource with /.default."},
		900144:  {Misuse, "A parameter is missing from the request."},
		9002313: {Misuse, "The request is malformed."},
		901002:  {Misuse, "Entra does not take the resource parameter: bind it in your own tokens and don't forward it."},
		9010010: {Misuse, "The resource parameter does not match the scopes: bind it in your own tokens and don't forward it."},
		9002325: {Misuse, "PKCE is required: send a code challenge."},
		9002326: {Misuse, "The redirect URI is registered for single-page applications: register it for the platform Web."},
		9002327: {Misuse, "The code was issued to a single-page application: redeem it from the browser."},
	}
}
