package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/storetest"
)

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// The ACL user of the documentation can do all that the store needs, and nothing beside its prefix.
func TestAnACLUserWithFewRightsIsEnough(t *testing.T) {
	server := storetest.StartRedis(t)
	server.MustDo(append([]string{"ACL", "SETUSER", "genkan", "on", ">correct-horse", "~{genkan:*"}, strings.Fields(redis.ACLRules)...)...)
	server.MustDo("ACL", "SETUSER", "default", "off")
	s := open(t, redis.Config{Addrs: []string{server.Addr}, Username: "genkan", Password: secret.NewText("correct-horse")})
	create(t, s, "one")
	if _, err := s.List(t.Context(), "sample", "tenant/alice", "", 1); err != nil {
		t.Errorf("List: %v", err)
	}
	if n, err := s.Sweep(t.Context(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	for name, c := range map[string]redis.Config{
		"a wrong password": {Username: "genkan", Password: secret.NewText("wrong-horse")},
		"no password":      {},
	} {
		c.Addrs = []string{server.Addr}
		if _, err := redis.Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "-horse") {
			t.Errorf("Open with %s = %v", name, err)
		}
	}
	other := open(t, redis.Config{Addrs: []string{server.Addr}, Prefix: "other", Username: "genkan", Password: secret.NewText("correct-horse")})
	if err := other.Create(t.Context(), sample("one")); err == nil {
		t.Error("the user may write beside its prefix")
	}
}

func TestTLSIsSpokenAndTheServersNameChecked(t *testing.T) {
	dir := t.TempDir()
	roots := certificate(t, dir)
	addr := storetest.FreeAddr(t)
	storetest.StartRedis(t, "--tls-port", port(addr), "--tls-cert-file", filepath.Join(dir, "cert.pem"),
		"--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-auth-clients", "no")
	s := open(t, redis.Config{Addrs: []string{addr}, TLS: &tls.Config{RootCAs: roots, ServerName: "redis.contoso.example"}})
	create(t, s, "one")
	for name, c := range map[string]*tls.Config{
		"another name": {RootCAs: roots, ServerName: "other.contoso.example"},
		"no root":      {ServerName: "redis.contoso.example"},
		"in the clear": nil,
	} {
		if _, err := redis.Open(t.Context(), redis.Config{Addrs: []string{addr}, TLS: c}); err == nil {
			t.Errorf("Open with %s succeeded", name)
		}
	}
}

// certificate writes a certificate for redis.contoso.example and returns the pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("GenerateKey: %v", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"redis.contoso.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("CreateCertificate: %v", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("MarshalPKCS8PrivateKey: %v", err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatalf("WriteFile: %v", err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("ParseCertificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return roots
}

// In a cluster, a script may touch only keys of one slot, and the shards lie on different nodes.
func TestAClusterKeepsTheContract(t *testing.T) {
	nodes := make([]*storetest.Redis, 3)
	for i := range nodes {
		nodes[i] = storetest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	}
	for i, slots := range []string{"0 5460", "5461 10922", "10923 16383"} {
		nodes[i].MustDo(append([]string{"CLUSTER", "ADDSLOTSRANGE"}, strings.Fields(slots)...)...)
		if i > 0 {
			nodes[i].MustDo("CLUSTER", "MEET", "127.0.0.1", port(nodes[0].Addr))
		}
	}
	var addrs []string
	for _, node := range nodes {
		addrs = append(addrs, node.Addr)
	}
	probe := redis.Config{Addrs: addrs, Cluster: true}
	storetest.Await(t, 30*time.Second, "the cluster to form", func() bool {
		s, err := redis.Open(t.Context(), probe)
		if err != nil {
			return false
		}
		defer s.Close()
		_, err = s.List(t.Context(), "sample", "", "", 1)
		return err == nil
	})
	storetest.Run(t, func(t *testing.T) store.Store {
		c := probe
		c.Prefix = strings.ReplaceAll(t.Name(), "/", ".")
		return open(t, c)
	})
	used := 0
	for _, node := range nodes {
		if node.MustDo("DBSIZE") != ":0" {
			used++
		}
	}
	if used != 3 {
		t.Errorf("%d of 3 nodes hold records", used)
	}
}
