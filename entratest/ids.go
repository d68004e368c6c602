package entratest

// The tenant that [Contoso] seeds.
const (
	TenantID = "5c0a7050-3a1e-4c3b-9d52-7e0000000001"
	Domain   = "contoso.example"
)

// The object IDs of the people that [Contoso] seeds.
const (
	AliceID = "a11ce000-1111-4000-8000-000000000001"
	BobID   = "b0b00000-2222-4000-8000-000000000002"
	CarolID = "ca501000-3333-4000-8000-000000000003"
	DaveID  = "da7e0000-4444-4000-8000-000000000004"
	ErinID  = "e5170000-5555-4000-8000-000000000005"
	FrankID = "f5a0c000-6666-4000-8000-000000000006"
)

// The application that [Contoso] seeds for Genkan: confidential client and API at once.
const (
	GenkanID        = "9e6ca000-7777-4000-8000-000000000101"
	GenkanURI       = "api://" + GenkanID
	GenkanScope     = "access_as_user"
	GenkanSecret    = "contoso-development-secret-of-genkan"
	GenkanPrincipal = "9e6ca000-7777-4000-8000-0000000001ff"
)

// The application that [Contoso] seeds for an API behind Genkan: it is called on people's behalf, and itself calls
// Microsoft Graph and Azure AI Search on theirs.
const (
	ProfileID        = "9e6ca000-7777-4000-8000-000000000103"
	ProfileURI       = "api://" + ProfileID
	ProfileSecret    = "contoso-development-secret-of-profile"
	ProfilePrincipal = "9e6ca000-7777-4000-8000-0000000003fe"
)

// GenkanToolsID is the public client that [Contoso] seeds for Genkan's programs at a terminal.
const GenkanToolsID = "9e6ca000-7777-4000-8000-000000000102"

// The managed identities that [Contoso] seeds. Genkan trusts both as a federated credential, by their
// principal IDs.
const (
	SystemIdentityID        = "3a4a9ed0-8888-4000-8000-000000000201"
	SystemIdentityPrincipal = "3a4a9ed0-8888-4000-8000-0000000002ff"
	UserIdentityID          = "3a4a9ed0-9999-4000-8000-000000000301"
	UserIdentityPrincipal   = "3a4a9ed0-9999-4000-8000-0000000003ff"
)

// Applications of Microsoft that every tenant knows, with their real client IDs.
const (
	GraphID    = "00000003-0000-0000-c000-000000000000"
	SearchID   = "880da380-985e-4198-81b9-e05b1cc53158"
	KeyVaultID = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
	VSCodeID   = "aebc6443-996d-45c2-90f0-388ff96faa56"
	AzureCLIID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

	GraphURI    = "https://graph.microsoft.com"
	SearchURI   = "https://search.azure.com"
	KeyVaultURI = "https://vault.azure.net"
)

// everybody stands for all people of the tenant, in an assignment or a consent.
const everybody = "everybody"
