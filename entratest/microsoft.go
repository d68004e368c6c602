package entratest

// microsoftApps are the applications of Microsoft that every tenant knows. The IDs of the permissions
// are the real ones, because scripts name permissions by ID.
func microsoftApps() []App {
	return []App{
		graphApp(),
		{
			Name: "Azure AI Search", ClientID: SearchID, URIs: []string{SearchURI}, Microsoft: true,
			Scopes: []Scope{{Name: "user_impersonation", Description: "Query search indexes as you"}},
		},
		{
			Name: "Azure Key Vault", ClientID: KeyVaultID, URIs: []string{KeyVaultURI}, Microsoft: true,
			Scopes: []Scope{{Name: "user_impersonation", Description: "Use keys in Key Vault as you"}},
		},
		{
			Name: "Azure AD Token Exchange", ClientID: exchangeID, URIs: []string{exchangeAudience},
			Microsoft: true, TokenVersion: 2,
		},
		{
			Name: "Visual Studio Code", ClientID: VSCodeID, Microsoft: true, PublicFlows: true,
			Public: []string{"http://localhost", "http://127.0.0.1:33418/", "https://vscode.dev/redirect"},
		},
		{
			Name: "Microsoft Azure CLI", ClientID: AzureCLIID, Microsoft: true, PublicFlows: true,
			Public: []string{"http://localhost"},
		},
	}
}

func graphApp() App {
	return App{
		Name: "Microsoft Graph", ClientID: GraphID, URIs: []string{GraphURI}, Microsoft: true,
		Scopes: []Scope{
			{ID: "37f7f235-527c-4136-accd-4a02d197296e", Name: "openid", Description: "Sign you in"},
			{ID: "14dad69e-099b-42c9-810b-d002981feec1", Name: "profile", Description: "See your basic profile"},
			{ID: "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0", Name: "email", Description: "See your e-mail address"},
			{ID: "7427e0e9-2fba-42fe-b0c0-848c9e6a8182", Name: "offline_access", Description: "Keep the access that you gave it"},
			{ID: "e1fe6dd8-ba31-4d61-89e7-88639da4683d", Name: "User.Read", Description: "Read your profile"},
			{ID: "a154be20-db9c-4678-8ab7-66f6cc099a59", Name: "User.Read.All", Description: "Read everybody's full profile", AdminOnly: true},
			{ID: "bc024368-1153-4739-b217-4326f2e966d0", Name: "GroupMember.Read.All", Description: "Read group memberships", AdminOnly: true},
			{ID: "06da0dbc-49e2-44d2-8312-53f166ab848a", Name: "Directory.Read.All", Description: "Read directory data", AdminOnly: true},
			{ID: "bdfbf15f-ee85-4955-8675-146e8e5296b5", Name: "Application.ReadWrite.All", Description: "Manage app registrations", AdminOnly: true},
			{ID: "41ce6ca6-6826-4807-84f1-1c82854f7ee5", Name: "DelegatedPermissionGrant.ReadWrite.All", Description: "Manage consent", AdminOnly: true},
			{ID: "84bccea3-f856-4a8a-967b-dbe0a3d53a64", Name: "AppRoleAssignment.ReadWrite.All", Description: "Manage role assignments", AdminOnly: true},
			{ID: "024d486e-b451-40bb-833d-3e66d98c5c73", Name: "Mail.Read", Description: "Read your mail"},
			{ID: "570282fd-fa5c-430d-a7fd-fc8dc98a9dca", Name: "Mail.ReadWrite", Description: "Read and write your mail"},
		},
		Roles: []Role{
			{ID: "df021288-bdef-4463-88db-98f22de89214", Value: "User.Read.All", Applications: true, NoPeople: true},
			{ID: "98830695-27a2-44f7-8c18-0c3ebc9698f6", Value: "GroupMember.Read.All", Applications: true, NoPeople: true},
			{ID: "7ab1d382-f21e-4acd-a863-ba3e13f7da61", Value: "Directory.Read.All", Applications: true, NoPeople: true},
			{ID: "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", Value: "Application.ReadWrite.All", Applications: true, NoPeople: true},
			{ID: "8e8e4742-1d95-4f68-9d56-6ee75648c72a", Value: "DelegatedPermissionGrant.ReadWrite.All", Applications: true, NoPeople: true},
			{ID: "06b708a9-e830-4db3-a914-8e69da51d44f", Value: "AppRoleAssignment.ReadWrite.All", Applications: true, NoPeople: true},
		},
	}
}
