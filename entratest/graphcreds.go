package entratest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// addPassword makes a client secret. It is the only time that its text is shown.
func (t *Tenant) addPassword(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var body struct {
		Credential password `json:"passwordCredential"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	now := t.now()
	end := now.AddDate(2, 0, 0)
	if body.Credential.End != nil {
		end = *body.Credential.End
	}
	made := Secret{ID: t.guid(), Name: body.Credential.Name, Value: t.opaque(30), NotAfter: end}
	err := t.editApp(r.PathValue("id"), func(_ *Directory, a *App) error {
		a.Secrets = append(a.Secrets, made)
		return nil
	})
	if err != nil {
		return err
	}
	begins := now.UTC().Truncate(time.Second)
	writeJSON(w, http.StatusOK, password{KeyID: made.ID, Name: made.Name, Hint: made.Value[:3], Text: made.Value,
		End: &made.NotAfter, Begins: &begins})
	return nil
}

func (t *Tenant) removePassword(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var body struct {
		KeyID string `json:"keyId"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	err := t.editApp(r.PathValue("id"), func(_ *Directory, a *App) error {
		i := slices.IndexFunc(a.Secrets, func(s Secret) bool { return strings.EqualFold(s.ID, body.KeyID) })
		if i < 0 {
			return badGraph("No password credential found with keyId.")
		}
		a.Secrets = slices.Delete(a.Secrets, i, i+1)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// federation is how Graph writes a federated identity credential.
type federation struct {
	ID        string   `json:"id,omitempty"`
	Name      string   `json:"name"`
	Issuer    string   `json:"issuer"`
	Subject   string   `json:"subject"`
	Audiences []string `json:"audiences"`
}

func federationOf(a *App, f Federated) federation {
	return federation{ID: derivedID(a.ClientID, "federated", f.Name), Name: f.Name, Issuer: f.Issuer, Subject: f.Subject,
		Audiences: []string{orElse(f.Audience, exchangeAudience)}}
}

func (t *Tenant) listFederated(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	a := t.directory().registration(r.PathValue("id"))
	if a == nil {
		return notFound(r.PathValue("id"))
	}
	var found []federation
	for _, f := range a.Federated {
		found = append(found, federationOf(a, f))
	}
	return writePage(t, w, r, "federatedIdentityCredentials", found)
}

func (t *Tenant) addFederated(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var doc federation
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	if doc.Name == "" || doc.Issuer == "" || doc.Subject == "" || len(doc.Audiences) != 1 {
		return badGraph("name, issuer, subject and exactly one audience are required.")
	}
	err := t.editApp(r.PathValue("id"), func(_ *Directory, a *App) error {
		for _, f := range a.Federated {
			if f.Name == doc.Name || f.Issuer == doc.Issuer && f.Subject == doc.Subject {
				return &graphRefusal{status: 409, code: "Request_MultipleObjectsWithSameKeyValue",
					message: "FederatedIdentityCredential with name " + doc.Name + " already exists."}
			}
		}
		if len(a.Federated) >= 20 {
			return badGraph("An application can have at most 20 federated identity credentials.")
		}
		made := Federated{Name: doc.Name, Issuer: doc.Issuer, Subject: doc.Subject, Audience: doc.Audiences[0]}
		a.Federated = append(a.Federated, made)
		doc = federationOf(a, made)
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, doc)
	return nil
}

func (t *Tenant) removeFederated(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	err := t.editApp(r.PathValue("id"), func(_ *Directory, a *App) error {
		id := r.PathValue("fid")
		i := slices.IndexFunc(a.Federated, func(f Federated) bool { return f.Name == id || federationOf(a, f).ID == id })
		if i < 0 {
			return notFound(id)
		}
		a.Federated = slices.Delete(a.Federated, i, i+1)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
