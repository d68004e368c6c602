package entratest

import "fmt"

// Contoso is the tenant contoso.example: alice (Weather.Read and Weather.Write), bob (Weather.Read),
// carol (no role), dave (disabled), erin (in 250 groups), frank (Genkan.Admin and Weather.Read, and an
// administrator), and the applications that Genkan and its samples need, with consent given.
func Contoso() Directory {
	d := Directory{TenantID: TenantID, Domain: Domain, Name: "Contoso"}
	d.People = contosoPeople()
	d.Groups = []Group{{Name: "Forecasters"}, {Name: "All staff"}, {Name: "Platform team"}}
	for i := range 250 {
		name := fmt.Sprintf("Project %03d", i+1)
		d.Groups = append(d.Groups, Group{Name: name})
		erin := d.person("erin")
		erin.Groups = append(erin.Groups, name)
	}
	d.Apps = append([]App{
		genkanApp(), genkanTools(), profileApp(),
		{Name: "genkan-host", ClientID: SystemIdentityID, PrincipalID: SystemIdentityPrincipal, Managed: true},
		{Name: "genkan-identity", ClientID: UserIdentityID, PrincipalID: UserIdentityPrincipal, Managed: true},
	}, microsoftApps()...)
	graph := d.client(GraphID)
	graph.Assignments = []Assignment{{To: GenkanID, Role: "User.Read.All"}, {To: GenkanID, Role: "GroupMember.Read.All"}}
	d.Indexes = []Index{handbook()}
	d.Consents = []Consent{
		{Client: GenkanID, Resource: GenkanID, Person: everybody, Scopes: []string{GenkanScope}},
		{Client: GenkanID, Resource: GraphID, Person: everybody,
			Scopes: []string{"openid", "profile", "email", "offline_access", "User.Read", "GroupMember.Read.All"}},
		{Client: GenkanID, Resource: SearchID, Person: everybody, Scopes: []string{"user_impersonation"}},
		{Client: GenkanID, Resource: KeyVaultID, Person: everybody, Scopes: []string{"user_impersonation"}},
		{Client: GenkanID, Resource: ProfileID, Person: everybody, Scopes: []string{GenkanScope}},
		{Client: ProfileID, Resource: GraphID, Person: everybody,
			Scopes: []string{"openid", "profile", "email", "offline_access", "User.Read"}},
		{Client: ProfileID, Resource: SearchID, Person: everybody, Scopes: []string{"user_impersonation"}},
		{Client: GenkanToolsID, Resource: GenkanID, Person: everybody, Scopes: []string{GenkanScope}},
		{Client: GenkanToolsID, Resource: GraphID, Person: everybody,
			Scopes: []string{"openid", "profile", "email", "offline_access", "User.Read"}},
	}
	return d
}

func contosoPeople() []Person {
	staff := []string{"All staff"}
	return []Person{
		{Alias: "alice", ID: AliceID, Name: "Alice Arai", GivenName: "Alice", Surname: "Arai",
			JobTitle: "Meteorologist", Note: "Weather.Read, Weather.Write", Groups: []string{"All staff", "Forecasters"}},
		{Alias: "bob", ID: BobID, Name: "Bob Brandt", GivenName: "Bob", Surname: "Brandt",
			JobTitle: "Event planner", Note: "Weather.Read", Groups: []string{"All staff", "Forecasters"}},
		{Alias: "carol", ID: CarolID, Name: "Carol Costa", GivenName: "Carol", Surname: "Costa",
			JobTitle: "Accountant", Note: "no role", Groups: staff},
		{Alias: "dave", ID: DaveID, Name: "Dave Dubois", GivenName: "Dave", Surname: "Dubois",
			JobTitle: "Left the company", Note: "account disabled", Disabled: true, Groups: staff},
		{Alias: "erin", ID: ErinID, Name: "Erin Eriksen", GivenName: "Erin", Surname: "Eriksen",
			JobTitle: "Programme manager", Note: "member of 250 groups"},
		{Alias: "frank", ID: FrankID, Name: "Frank Fontaine", GivenName: "Frank", Surname: "Fontaine", Admin: true,
			JobTitle: "Platform engineer", Note: "Genkan.Admin, Weather.Read", Groups: []string{"All staff", "Platform team"}},
	}
}

func genkanApp() App {
	return App{
		Name: "Genkan", ClientID: GenkanID, PrincipalID: GenkanPrincipal,
		URIs: []string{GenkanURI}, TokenVersion: 2, GroupClaims: true,
		Scopes: []Scope{{Name: GenkanScope, Description: "Use MCP servers through Genkan as you"}},
		Roles: []Role{
			{Value: "Weather.Read", Description: "Read forecasts", Applications: true},
			{Value: "Weather.Write", Description: "Set weather alerts", Applications: true},
			{Value: "Genkan.Admin", Description: "See and end everybody's sessions"},
		},
		Web:     []string{"http://localhost/callback", "http://localhost/console/callback"},
		Secrets: []Secret{{Name: "development", Value: GenkanSecret}},
		Federated: []Federated{
			{Name: "system-assigned", Issuer: "{base}/" + TenantID + "/v2.0", Subject: SystemIdentityPrincipal},
			{Name: "user-assigned", Issuer: "{base}/" + TenantID + "/v2.0", Subject: UserIdentityPrincipal},
		},
		Permissions: []Permission{
			{Resource: GraphID, Scopes: []string{"User.Read", "GroupMember.Read.All"}, Roles: []string{"User.Read.All", "GroupMember.Read.All"}},
			{Resource: SearchID, Scopes: []string{"user_impersonation"}},
			{Resource: KeyVaultID, Scopes: []string{"user_impersonation"}},
			{Resource: ProfileID, Scopes: []string{GenkanScope}},
		},
		PreAuthorized: []PreAuthorized{
			{ClientID: VSCodeID, Scopes: []string{GenkanScope}},
			{ClientID: AzureCLIID, Scopes: []string{GenkanScope}},
		},
		Assignments: []Assignment{
			{To: "alice", Role: "Weather.Read"}, {To: "alice", Role: "Weather.Write"},
			{To: "bob", Role: "Weather.Read"},
			{To: "frank", Role: "Genkan.Admin"}, {To: "frank", Role: "Weather.Read"},
		},
	}
}

// profileApp is the API behind Genkan: only Genkan calls it, and always for somebody.
func profileApp() App {
	return App{
		Name: "Profile", ClientID: ProfileID, PrincipalID: ProfilePrincipal,
		URIs: []string{ProfileURI}, TokenVersion: 2,
		Scopes:  []Scope{{Name: GenkanScope, Description: "Show your profile and search the handbook as you"}},
		Secrets: []Secret{{Name: "development", Value: ProfileSecret}},
		Permissions: []Permission{
			{Resource: GraphID, Scopes: []string{"User.Read"}},
			{Resource: SearchID, Scopes: []string{"user_impersonation"}},
		},
	}
}

func genkanTools() App {
	return App{
		Name: "Genkan local tools", ClientID: GenkanToolsID, PublicFlows: true,
		Public: []string{"http://localhost"},
		Permissions: []Permission{
			{Resource: GenkanID, Scopes: []string{GenkanScope}},
			{Resource: GraphID, Scopes: []string{"User.Read"}},
		},
	}
}

// handbook is a small index to search.
func handbook() Index {
	return Index{Name: "handbook", Documents: []map[string]string{
		{"id": "1", "title": "Storm warnings", "content": "Who sends a storm warning, and to whom. The meteorologist on duty decides."},
		{"id": "2", "title": "Outdoor events", "content": "Events in the open need a forecast that is at most six hours old."},
		{"id": "3", "title": "Travel costs", "content": "Keep every receipt. Trains before planes, where there is a train."},
		{"id": "4", "title": "New colleagues", "content": "On the first day: keys, a badge, and a tour of the weather station."},
	}}
}
