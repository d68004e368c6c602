package entratest

import "fmt"

// refusal is one of Entra's refusals: its AADSTS number, the OAuth error that goes with it, and text.
type refusal struct {
	code     int
	oauth    string
	status   int
	text     string
	suberror string
	claims   string
	// page: shown to the person; the application is not told.
	page bool
}

// Error says it as a log would.
func (r *refusal) Error() string { return fmt.Sprintf("AADSTS%d: %s", r.code, r.text) }

// refuse makes the refusal with that AADSTS number; args fill the text's gaps.
func refuse(code int, args ...any) *refusal {
	row, known := refusals[code]
	if !known {
		row = refusalRow{oauth: "invalid_request", text: "An error occurred."}
	}
	r := &refusal{code: code, oauth: row.oauth, status: 400, text: row.text, suberror: row.suberror, page: row.page}
	if len(args) > 0 {
		r.text = fmt.Sprintf(row.text, args...)
	}
	if r.oauth == "invalid_client" {
		r.status = 401
	}
	if row.status != 0 {
		r.status = row.status
	}
	return r
}

// with adds the claims challenge that the client has to bring to the next sign-in.
func (r *refusal) with(claims string) *refusal {
	r.claims = claims
	return r
}

func (r *refusal) because(suberror string) *refusal {
	r.suberror = suberror
	return r
}

type refusalRow struct {
	oauth    string
	text     string
	suberror string
	status   int
	page     bool
}

// refusals are the refusals of Entra that this tenant knows. docs/entra-parity.md says where each is
// known from.
//
//nolint:gochecknoglobals // a table, which nobody writes
var refusals = map[int]refusalRow{
	// Who may not sign in at all.
	90002:   {oauth: "invalid_request", page: true, text: "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."},
	700016:  {oauth: "unauthorized_client", page: true, text: "Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."},
	7000112: {oauth: "unauthorized_client", page: true, text: "Application '%s'(%s) is disabled."},
	50011:   {oauth: "invalid_request", page: true, text: "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this error."},
	500113:  {oauth: "invalid_request", page: true, text: "No reply address is registered for the application."},
	50020:   {oauth: "invalid_request", page: true, text: "User account '%s' from identity provider '%s' does not exist in tenant '%s' and cannot access the application '%s'(%s) in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different Azure Active Directory user account."},
	50034:   {oauth: "invalid_grant", page: true, text: "The user account %s does not exist in the %s directory. To sign into this application, the account must be added to the directory."},
	50057:   {oauth: "invalid_grant", page: true, text: "The user account is disabled."},
	50105:   {oauth: "invalid_grant", page: true, text: "Your administrator has configured the application %s ('%s') to block users unless they are specifically granted ('assigned') access to the application. The signed-in user '%s' is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator. Please contact your administrator to assign access to this application."},
	50126:   {oauth: "invalid_grant", text: "Error validating credentials due to invalid username or password."},
	53003:   {oauth: "interaction_required", suberror: "message_only", page: true, text: "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."},
	90094:   {oauth: "access_denied", page: true, text: "The grant requires admin permission. Application '%s' needs permission to access resources in your organization that only an admin can grant."},

	// The authorize endpoint tells the application.
	50058:   {oauth: "login_required", text: "A silent sign-in request was sent but no user is signed in."},
	16000:   {oauth: "interaction_required", text: "Either multiple user identities are available for the current request or selected account is not supported for the scenario."},
	65004:   {oauth: "access_denied", text: "User declined to consent to access the app."},
	65001:   {oauth: "invalid_grant", suberror: "consent_required", text: "The user or administrator has not consented to use the application with ID '%s' named '%s'. Send an interactive authorization request for this user and resource."},
	650053:  {oauth: "invalid_client", text: "The application '%s' asked for scope '%s' that doesn't exist on the resource '%s'. Contact the app vendor."},
	650057:  {oauth: "invalid_resource", text: "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration. Client app ID: %s. Resource value from request: %s."},
	700054:  {oauth: "unsupported_response_type", text: "response_type 'id_token' is not enabled for the application."},
	700051:  {oauth: "unsupported_response_type", text: "response_type 'token' is not enabled for the application."},
	70007:   {oauth: "invalid_request", text: "'%s' is not a supported value for 'response_mode' when requesting a token."},
	70016:   {oauth: "authorization_pending", text: "OAuth 2.0 device flow error. Authorization is pending. Continue polling."},
	90023:   {oauth: "invalid_request", text: "The authentication request with an unsupported 'prompt' value '%s' was received."},
	90100:   {oauth: "invalid_request", text: "The '%s' parameter is empty or not valid."},
	900144:  {oauth: "invalid_request", text: "The request body must contain the following parameter: '%s'."},
	9002325: {oauth: "invalid_request", text: "Proof Key for Code Exchange is required for cross-origin authorization code redemption."},
	50149:   {oauth: "invalid_request", text: "Invalid Code_Challenge_method parameter."},
	501491:  {oauth: "invalid_request", text: "Invalid size of Code_Challenge parameter."},
	9000411: {oauth: "invalid_request", page: true, text: "The request is not properly formatted. The parameter '%s' is duplicated."},
	9002313: {oauth: "invalid_request", text: "Invalid request. Request is malformed or invalid."},
	901002:  {oauth: "invalid_request", page: true, text: "The 'resource' request parameter is not supported."},
	9010010: {oauth: "invalid_target", page: true, text: "The resource parameter provided in the request doesn't match with the requested scopes."},

	// Scopes and resources.
	70011:   {oauth: "invalid_scope", text: "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope '%s' is not valid."},
	28000:   {oauth: "invalid_scope", text: "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope %s is not valid."},
	28003:   {oauth: "invalid_grant", text: "Provided value for the input parameter scope can't be empty when requesting an access token using the provided authorization code. Please specify a valid scope."},
	500011:  {oauth: "invalid_resource", text: "The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."},
	90009:   {oauth: "invalid_request", text: "Application '%s'(%s) is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier."},
	1002012: {oauth: "invalid_scope", text: "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."},

	// Grants.
	70000:   {oauth: "invalid_grant", text: "Provided grant is invalid or malformed.", suberror: "bad_token"},
	70008:   {oauth: "invalid_grant", text: "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."},
	700082:  {oauth: "invalid_grant", suberror: "token_expired", text: "The refresh token has expired due to inactivity. The token was issued on %s and was inactive for %s."},
	700084:  {oauth: "invalid_grant", suberror: "token_expired", text: "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which can't be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page. The token was issued on %s."},
	54005:   {oauth: "invalid_grant", text: "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."},
	500112:  {oauth: "invalid_grant", text: "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code."},
	50148:   {oauth: "invalid_grant", text: "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE."},
	501481:  {oauth: "invalid_grant", text: "The Code_Verifier does not match the code_challenge supplied in the authorization request."},
	50173:   {oauth: "invalid_grant", suberror: "bad_token", text: "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '%s' and the TokensValidFrom date (before which tokens are not valid) for this user is '%s'."},
	70043:   {oauth: "interaction_required", suberror: "token_expired", text: "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on %s and the maximum allowed lifetime for this request is %d."},
	70003:   {oauth: "unsupported_grant_type", text: "The app requested an unsupported grant type '%s'."},
	9002326: {oauth: "invalid_request", text: "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '%s'."},
	9002327: {oauth: "invalid_request", text: "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests."},

	// Client authentication.
	7000215: {oauth: "invalid_client", text: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'."},
	7000222: {oauth: "invalid_client", text: "The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."},
	7000218: {oauth: "invalid_client", text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
	7000216: {oauth: "invalid_client", text: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."},
	700025:  {oauth: "invalid_client", text: "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."},
	700027:  {oauth: "invalid_client", text: "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - %s]"},
	700024:  {oauth: "invalid_client", text: "Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s."},
	700023:  {oauth: "invalid_client", text: "Client assertion audience claim does not match Realm issuer. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials."},
	700021:  {oauth: "invalid_client", text: "Client assertion application identifier doesn't match 'client_id' parameter."},
	50027:   {oauth: "invalid_request", text: "JWT token is invalid or malformed."},
	700211:  {oauth: "invalid_client", text: "No matching federated identity record found for presented assertion issuer '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	700212:  {oauth: "invalid_client", text: "No matching federated identity record found for presented assertion audience '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	700213:  {oauth: "invalid_client", text: "No matching federated identity record found for presented assertion subject '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."},
	5002738: {oauth: "invalid_client", text: "The signing keys of the federated issuer '%s' can't be read: %s"},

	// On-behalf-of.
	50013:   {oauth: "invalid_grant", text: "Assertion failed signature validation. [Reason - %s]"},
	500131:  {oauth: "invalid_grant", text: "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '%s' and the expected audience is '%s' or one of the Application Uris of this application with App ID '%s'(%s). The downstream client must request a token for the expected audience (the application that made the OBO request) and this application should use that token as the assertion."},
	500133:  {oauth: "invalid_grant", text: "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token. Current time: %s, expiry time of assertion %s."},
	7000229: {oauth: "invalid_client", text: "The client application %s is missing service principal in the tenant %s. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"},
	501051:  {oauth: "invalid_grant", text: "Application '%s'(%s) is not assigned to a role for the application '%s'(%s)."},
	7000114: {oauth: "invalid_grant", text: "Application '%s' is not allowed to make application on-behalf-of calls."},

	// Conditional Access.
	50076: {oauth: "interaction_required", suberror: "basic_action", text: "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '%s'."},
	50079: {oauth: "interaction_required", suberror: "basic_action", text: "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '%s'."},

	// Device code.
	70018: {oauth: "bad_verification_code", text: "Bad verification code received from the client; the user may have entered a wrong code."},
	70019: {oauth: "expired_token", text: "Verification code expired."},
	70020: {oauth: "expired_token", text: "The provided value for the input parameter 'device_code' is not valid. This device code has expired."},
	70017: {oauth: "authorization_declined", text: "The end user denied the authorization request."},

	// The service itself.
	90033:  {oauth: "temporarily_unavailable", status: 503, text: "A transient error has occurred. Please try again."},
	50196:  {oauth: "invalid_grant", text: "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."},
	900023: {oauth: "invalid_request", text: "Specified tenant identifier '%s' is neither a valid DNS name, nor a valid external domain."},
	50049:  {oauth: "invalid_instance", text: "Unknown or invalid instance."},
	90055:  {oauth: "temporarily_unavailable", status: 429, text: "Server is currently too busy to handle the request. Please try again."},
}
