// Package story tells whole-product stories: the built binary, real clients, a real browser. It holds tests
// only.
package story
